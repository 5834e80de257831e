//! Paths in the file system.

use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::{fmt, fs};

use crate::net::Attempt;
use crate::net::tls::Tls;
use crate::targets::shared::kind::{Form, Key, Probe, Scheme, TargetKind};
use crate::targets::shared::reading::Reading;
use crate::targets::shared::url;
use crate::wait::outcome::{Kind, NotReady, Outcome, Ready, Stage};
use crate::wait::policy::Goal;

/// A path that must exist.
pub(crate) static KINDS: &[TargetKind] = &[TargetKind {
    schemes: &[Scheme::new(&["file"])],
    forms: &[Form {
        url: "file:///PATH",
        ready: "the path exists",
        keys: &[Key::new("nonempty", "the file is not empty"), Key::new("body=TEXT", "the file holds TEXT")],
    }],
    names_a_path: true,
    read: |written, reading| Ok(Box::new(File::from_url(written.rest, reading)?)),
    ..TargetKind::USUAL
}];

/// A path in the file system.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct File {
    /// The path that must exist.
    pub(crate) path: PathBuf,
    /// Whether it must also have content.
    pub(crate) nonempty: bool,
    /// `body=`: the text that it must hold.
    pub(crate) body: Option<String>,
}

impl File {
    /// A URL, of which `rest` stands behind `file://`.
    pub(crate) fn from_url(rest: &str, reading: &mut Reading<'_>) -> Result<Self, String> {
        let nonempty = reading.expectations.take_flag("nonempty")?;
        Ok(Self { path: url::path_of(rest, "file:///path")?, nonempty, body: reading.expectations.take("body")? })
    }
}

impl Probe for File {
    fn kind(&self) -> &'static TargetKind {
        &KINDS[0]
    }

    fn run(&self, _: Goal, _: &Tls, attempt: &Attempt) -> Outcome {
        look(&self.path, self.nonempty, self.body.as_deref(), attempt)
    }

    fn holds_descriptors(&self) -> bool {
        false
    }

    fn show(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "file://{}", self.path.display())
    }
}

fn look(path: &Path, nonempty: bool, body: Option<&str>, attempt: &Attempt) -> Outcome {
    attempt.enter(Stage::Reading);
    let shown = path.display();
    let not_yet = |what: &str| Err(NotReady::new(Kind::Unexpected, format!("{shown} {what}")));
    let unreadable =
        |error: io::Error| Err(NotReady::new(Kind::Unexpected, format!("{shown} cannot be read: {error}")));
    let metadata = match fs::metadata(path) {
        Ok(metadata) => metadata,
        Err(error) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => {
            return Err(NotReady::new(Kind::Missing, format!("{shown} does not exist yet")));
        }
        Err(error) => {
            return Err(NotReady::new(Kind::Unexpected, format!("{shown} cannot be looked at: {error}")));
        }
    };
    if let Some(text) = body {
        // A pipe would lose what is read of it.
        return match metadata.is_file().then(|| holds(path, text.as_bytes(), attempt)) {
            None => not_yet("is no file that holds text"),
            Some(Ok(true)) => Ok(Ready::new("it holds the text")),
            Some(Ok(false)) => not_yet("lacks the expected text"),
            Some(Err(error)) => unreadable(error),
        };
    }
    if !nonempty {
        return Ok(Ready::new("it exists"));
    }
    if metadata.is_dir() {
        return match fs::read_dir(path).map(|mut entries| entries.next().is_some()) {
            Ok(true) => Ok(Ready::new("it has content")),
            Ok(false) => not_yet("is an empty directory"),
            Err(error) => unreadable(error),
        };
    }
    if metadata.len() > 0 { Ok(Ready::new("it has content")) } else { not_yet("is empty") }
}

/// Whether a file holds a text. No more of it is kept than the text may begin in.
fn holds(path: &Path, text: &[u8], attempt: &Attempt) -> io::Result<bool> {
    let (mut file, mut kept, mut piece) = (fs::File::open(path)?, Vec::new(), [0; 16 << 10]);
    loop {
        if attempt.is_over() {
            return Err(io::ErrorKind::TimedOut.into());
        }
        let n = file.read(&mut piece)?;
        kept.extend_from_slice(&piece[..n]);
        if kept.windows(text.len()).any(|window| window == text) {
            return Ok(true);
        }
        if n == 0 {
            return Ok(false);
        }
        kept.drain(..(kept.len() + 1).saturating_sub(text.len()));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::targets::scripted::attempt;

    #[test]
    fn a_text_is_found_wherever_it_stands_in_a_file() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("log");
        let kind = |body: &str| look(&path, false, Some(body), &attempt()).err().map(|failure| failure.kind);
        assert_eq!(kind("x"), Some(Kind::Missing));
        for before in [0, 1, (16 << 10) - 3, 16 << 10, 40_000] {
            fs::write(&path, format!("{}migrated\n", ".".repeat(before))).unwrap();
            assert_eq!((kind("migrated"), kind("migrate!")), (None, Some(Kind::Unexpected)), "{before}");
        }
        fs::write(&path, "").unwrap();
        assert_eq!(kind("x"), Some(Kind::Unexpected));
        let of_directory = look(directory.path(), false, Some("x"), &attempt());
        assert_eq!(of_directory.unwrap_err().kind, Kind::Unexpected);
    }
}
