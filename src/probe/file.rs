//! Paths in the file system.

use std::io;
use std::path::Path;

use crate::net::Budget;
use crate::outcome::{Kind, NotReady, Outcome, Ready, Stage};

pub(super) fn probe(path: &Path, nonempty: bool, budget: &Budget) -> Outcome {
    budget.enter(Stage::Reading);
    let shown = path.display();
    match std::fs::metadata(path) {
        Ok(_) if !nonempty => Ok(Ready::new("it exists")),
        Ok(metadata) if metadata.is_dir() => {
            match std::fs::read_dir(path).map(|mut entries| entries.next().is_some()) {
                Ok(true) => Ok(Ready::new("it has content")),
                Ok(false) => Err(NotReady::new(Kind::Unexpected, format!("{shown} is an empty directory"))),
                Err(error) => Err(NotReady::new(Kind::Unexpected, format!("{shown} cannot be read: {error}"))),
            }
        }
        Ok(metadata) if metadata.len() > 0 => Ok(Ready::new("it has content")),
        Ok(_) => Err(NotReady::new(Kind::Unexpected, format!("{shown} is empty"))),
        Err(error) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => {
            Err(NotReady::new(Kind::Missing, format!("{shown} does not exist yet")))
        }
        Err(error) => Err(NotReady::new(Kind::Unexpected, format!("{shown} cannot be looked at: {error}"))),
    }
}
