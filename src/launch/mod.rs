//! Handing over: COMMAND takes this process's place.

mod program;

use std::ffi::{CString, OsStr, OsString};
use std::fmt;
use std::fs::File;
use std::io::{self, Read};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use nix::errno::Errno;
use nix::fcntl::AtFlags;
use nix::unistd::{self, AccessFlags, execvp, faccessat};

use program::{Program, family, machine_name};

use crate::os::{self, dispositions, mounts};

/// Where execvp(3) looks without a PATH.
const DEFAULT_PATH: &str = "/usr/local/bin:/bin:/usr/bin";
/// The shell that execvp(3) has run a file that the kernel does not know.
pub(crate) const SHELL: &str = "/bin/sh";
/// This much of a file is looked at: its first line, or the headers of an executable.
const HEAD: usize = 4096;
/// The kernel follows interpreters of interpreters this deep.
const MAX_INTERPRETERS: u8 = 4;

/// Why COMMAND cannot run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum LaunchError {
    /// Exit status 127.
    NotFound,
    /// Exit status 126, and why.
    NotExecutable(String),
}

impl fmt::Display for LaunchError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotFound => f.write_str("it is not found"),
            Self::NotExecutable(why) => f.write_str(why),
        }
    }
}

/// Looks COMMAND up as execvp(3) will, and looks at it as the kernel will, so that what is wrong with it shows before
/// the wait and not after.
///
/// # Errors
///
/// [`LaunchError`]
pub(crate) fn look_up(program: &OsStr, path: Option<&OsStr>) -> Result<PathBuf, LaunchError> {
    if program.is_empty() {
        return Err(LaunchError::NotFound);
    }
    let mut denied = None;
    for file in places(program, path) {
        match judge_file(&file, path, MAX_INTERPRETERS) {
            Ok(()) => return Ok(file),
            Err(LaunchError::NotFound) => {}
            Err(error) => {
                denied.get_or_insert(error);
            }
        }
    }
    Err(denied.unwrap_or(LaunchError::NotFound))
}

/// Whether looking COMMAND up may have to wait for a file system that does not answer.
pub(crate) fn may_hang(program: &OsStr, path: Option<&OsStr>) -> bool {
    mounts::is_any_remote_path(places(program, path).iter())
}

/// Where execvp(3) looks for COMMAND.
fn places(program: &OsStr, path: Option<&OsStr>) -> Vec<PathBuf> {
    if program.as_bytes().contains(&b'/') {
        return vec![program.into()];
    }
    let directories = std::env::split_paths(path.unwrap_or(OsStr::new(DEFAULT_PATH)));
    directories.map(|directory| directory.join(program)).collect()
}

fn unable<T>(why: impl Into<String>) -> Result<T, LaunchError> {
    Err(LaunchError::NotExecutable(why.into()))
}

fn judge_file(file: &Path, path: Option<&OsStr>, interpreters: u8) -> Result<(), LaunchError> {
    let metadata = match std::fs::metadata(file) {
        Ok(metadata) => metadata,
        Err(error) if error.kind() == io::ErrorKind::PermissionDenied => {
            return unable("permission denied: this user may not search a directory above it");
        }
        Err(_) => return Err(LaunchError::NotFound),
    };
    if metadata.is_dir() {
        return unable("it is a directory");
    }
    if !metadata.is_file() {
        return unable("it is not a regular file");
    }
    let mode = metadata.permissions().mode();
    if mode & 0o111 == 0 {
        return unable("it is not executable (chmod +x)");
    }
    // With the IDs that exec will ask with.
    if faccessat(nix::fcntl::AT_FDCWD, file, AccessFlags::X_OK, AtFlags::AT_EACCESS) == Err(Errno::EACCES) {
        if os::is_noexec(file) {
            return unable("its file system is mounted noexec");
        }
        return unable(format!("this user may not execute it (its mode is {:03o})", mode & 0o777));
    }
    let mut head = vec![0; HEAD];
    let Ok(length) = File::open(file).and_then(|mut file| file.read(&mut head)) else {
        // An executable may be run by who may not read it.
        return Ok(());
    };
    head.truncate(length);
    match Program::parse(&head) {
        Program::Script { interpreter, argument } => judge_interpreter(interpreter, argument, path, interpreters),
        Program::Elf(elf) if !family().contains(&elf.machine) => {
            // An emulator may be registered for it, which /proc does not show in a container.
            if os::has_interpreter(&head) {
                return Ok(());
            }
            let (its, ours) =
                (machine_name(elf.machine), family().first().map_or_else(String::new, |m| machine_name(*m)));
            unable(format!("it is an executable for another architecture ({its}; this is {ours})"))
        }
        Program::Elf(elf) => match elf.linker.and_then(|range| head.get(range)) {
            Some(linker) => {
                let linker = linker.strip_suffix(b"\0").unwrap_or(linker);
                if Path::new(OsStr::from_bytes(linker)).exists() {
                    return Ok(());
                }
                let linker = String::from_utf8_lossy(linker);
                unable(format!("its dynamic linker {linker} is not there: it was built for another C library"))
            }
            None => Ok(()),
        },
        // An emulator may be registered for such a file as well; else the shell runs it.
        Program::Other if unistd::access(SHELL, AccessFlags::F_OK).is_ok() || os::has_interpreter(&head) => Ok(()),
        Program::Other => unable("it has no `#!` line, and there is no /bin/sh to run it"),
    }
}

fn judge_interpreter(
    interpreter: &[u8],
    argument: &[u8],
    path: Option<&OsStr>,
    interpreters: u8,
) -> Result<(), LaunchError> {
    const CR_LF: &str = "its first line ends with CR LF: save it with LF line ends";
    let file = Path::new(OsStr::from_bytes(interpreter));
    if interpreter.ends_with(b"\r") && !file.exists() {
        return unable(CR_LF);
    }
    let shown = file.display();
    let Some(left) = interpreters.checked_sub(1) else { return unable("its interpreters are too many") };
    match judge_file(file, path, left) {
        Ok(()) => {}
        Err(LaunchError::NotFound) => return unable(format!("its interpreter {shown} is not there")),
        Err(LaunchError::NotExecutable(why)) => return unable(format!("its interpreter {shown}: {why}")),
    }
    // Most interpreters take it for a part of their option; perl and ruby do not.
    let is_lenient =
        |name: &OsStr| [&b"env"[..], b"perl", b"ruby"].iter().any(|lenient| name.as_bytes().starts_with(lenient));
    if argument.ends_with(b"\r") && !file.file_name().is_some_and(is_lenient) {
        return unable(CR_LF);
    }
    // `env` looks for what follows it in PATH: an option or a variable is left to itself.
    if file.file_name() == Some(OsStr::new("env")) && !argument.starts_with(b"-") && !argument.contains(&b'=') {
        if argument.ends_with(b"\r") {
            return unable(CR_LF);
        }
        if !argument.is_empty() && look_up(OsStr::from_bytes(argument), path) == Err(LaunchError::NotFound) {
            let name = String::from_utf8_lossy(argument);
            return unable(format!("its interpreter {name} is not found in PATH"));
        }
    }
    Ok(())
}

/// Runs COMMAND in this process's place, as execvp(3) does; comes back only with the reason why it did not.
///
/// Handlers are reset by exec itself, and the mask by the caller.
pub(crate) fn exec(command: &[OsString], path: Option<&OsStr>) -> Errno {
    dispositions::restore_closed_pipes();
    // No word of a command line holds a NUL.
    let words: Result<Vec<CString>, _> = command.iter().map(|word| CString::new(word.as_bytes())).collect();
    let Ok(mut words) = words else { return Errno::EINVAL };
    let Err(error) = execvp(&words[0], &words);
    // musl's execvp has no shell run what the kernel does not know.
    if error == Errno::ENOEXEC
        && let Ok(Ok(file)) = look_up(&command[0], path).map(|file| CString::new(file.into_os_string().into_vec()))
    {
        words[0] = file;
        let Ok(shell) = CString::new(SHELL) else { return error };
        words.insert(0, shell);
        let Err(error) = execvp(&words[0], &words);
        return error;
    }
    error
}

#[cfg(test)]
mod tests {
    use super::*;

    fn unable_to_run(file: &Path) -> String {
        match look_up(file.as_os_str(), Some(OsStr::new("/bin:/usr/bin"))) {
            Err(LaunchError::NotExecutable(why)) => why,
            other => panic!("{} gave {other:?}", file.display()),
        }
    }

    #[test]
    fn a_command_is_found_as_execvp_finds_it() {
        let path = Some(OsStr::new("/nonexistent:/bin:/usr/bin"));
        assert!(look_up(OsStr::new("sh"), path).is_ok());
        assert!(look_up(OsStr::new("/bin/sh"), None).is_ok());
        assert_eq!(look_up(OsStr::new("no-such-command"), path), Err(LaunchError::NotFound));
        assert_eq!(look_up(OsStr::new(""), path), Err(LaunchError::NotFound));
        assert_eq!(unable_to_run(Path::new("/etc")), "it is a directory");
        assert_eq!(unable_to_run(Path::new("/etc/passwd")), "it is not executable (chmod +x)");
    }

    #[test]
    fn what_the_kernel_would_refuse_is_explained() {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("command");
        let foreign = if cfg!(target_arch = "s390x") { 62 } else { 22 };
        let mut elf = b"\x7fELF\x02\x01\x01\0\0\0\0\0\0\0\0\0\x02\0".to_vec();
        elf.extend([foreign, 0]);
        elf.resize(64, 0);
        for (content, why) in [
            (&b"#!/bin/sh\r\necho\r\n"[..], "its first line ends with CR LF: save it with LF line ends"),
            (b"#!/bin/sh -e\r\necho\r\n", "its first line ends with CR LF: save it with LF line ends"),
            (b"#! /bin/bash -eu \r\n", "its first line ends with CR LF: save it with LF line ends"),
            (b"#!/usr/bin/env sh\r\n", "its first line ends with CR LF: save it with LF line ends"),
            (b"#!/no/such/interpreter -x\n", "its interpreter /no/such/interpreter is not there"),
            (b"#!/etc/passwd\n", "its interpreter /etc/passwd: it is not executable (chmod +x)"),
            (b"#!/usr/bin/env no-such-interpreter\n", "its interpreter no-such-interpreter is not found in PATH"),
            (&elf, "it is an executable for another architecture"),
        ] {
            // Elsewhere nobody knows what the kernel has an emulator for.
            if content == elf && cfg!(any(not(target_os = "linux"), portable)) {
                continue;
            }
            std::fs::write(&file, content).unwrap();
            std::fs::set_permissions(&file, PermissionsExt::from_mode(0o755)).unwrap();
            let said = unable_to_run(&file);
            assert!(said.starts_with(why), "{said}");
        }
        for content in [
            &b"#!/bin/sh\n"[..],
            b"echo without a first line\n",
            b"",
            b"#!/usr/bin/env -S sh -e\n",
            b"#!/usr/bin/perl -w\r\n",
        ] {
            std::fs::write(&file, content).unwrap();
            assert!(look_up(file.as_os_str(), Some(OsStr::new("/bin:/usr/bin"))).is_ok(), "{content:?}");
        }
    }
}
