//! Handing over: COMMAND takes this process's place.

use std::ffi::{OsStr, OsString};
use std::io;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::Command;

/// Where execvp(3) looks without a PATH.
const DEFAULT_PATH: &str = "/usr/local/bin:/bin:/usr/bin";

/// Why COMMAND cannot run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LaunchError {
    /// Exit status 127.
    NotFound,
    /// Exit status 126, and why.
    NotExecutable(&'static str),
}

/// Looks COMMAND up as execvp(3) will, so that a typing error shows before the wait and not after.
///
/// # Errors
///
/// [`LaunchError`]
pub fn look_up(program: &OsStr, path: Option<&OsStr>) -> Result<PathBuf, LaunchError> {
    if program.is_empty() {
        return Err(LaunchError::NotFound);
    }
    if program.as_encoded_bytes().contains(&b'/') {
        let file = PathBuf::from(program);
        return judge(&file).map(|()| file);
    }
    let mut denied = None;
    for directory in std::env::split_paths(path.unwrap_or(OsStr::new(DEFAULT_PATH))) {
        let file = directory.join(program);
        match judge(&file) {
            Ok(()) => return Ok(file),
            Err(LaunchError::NotFound) => {}
            Err(error) => denied = Some(error),
        }
    }
    Err(denied.unwrap_or(LaunchError::NotFound))
}

fn judge(file: &Path) -> Result<(), LaunchError> {
    match std::fs::metadata(file) {
        Ok(metadata) if metadata.is_dir() => Err(LaunchError::NotExecutable("it is a directory")),
        Ok(metadata) if metadata.permissions().mode() & 0o111 == 0 => {
            Err(LaunchError::NotExecutable("it is not executable (chmod +x)"))
        }
        Ok(_) => Ok(()),
        Err(error) if error.kind() == io::ErrorKind::PermissionDenied => {
            Err(LaunchError::NotExecutable("permission denied"))
        }
        Err(_) => Err(LaunchError::NotFound),
    }
}

/// Runs COMMAND in this process's place; comes back only with the reason why it did not.
///
/// std resets SIGPIPE to its default; handlers are reset by exec itself, and the mask by the caller.
pub fn exec(command: &[OsString]) -> io::Error {
    match command {
        [program, args @ ..] => Command::new(program).args(args).exec(),
        [] => io::ErrorKind::NotFound.into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_command_is_found_as_execvp_finds_it() {
        let path = Some(OsStr::new("/nonexistent:/bin:/usr/bin"));
        assert!(look_up(OsStr::new("sh"), path).is_ok());
        assert!(look_up(OsStr::new("/bin/sh"), None).is_ok());
        assert_eq!(look_up(OsStr::new("no-such-command"), path), Err(LaunchError::NotFound));
        assert_eq!(look_up(OsStr::new(""), path), Err(LaunchError::NotFound));
        assert!(matches!(look_up(OsStr::new("/etc"), path), Err(LaunchError::NotExecutable(_))));
        assert!(matches!(look_up(OsStr::new("/etc/passwd"), path), Err(LaunchError::NotExecutable(_))));
    }
}
