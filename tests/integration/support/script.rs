//! Servers and clients in Python, with the packages of tests/requirements.txt.

use std::io::{BufRead, BufReader};
use std::process::{Command, Stdio};

use super::{Reaper, venv_tool};

/// A server of tests/integration/support that says `ready` once it listens.
pub struct Script {
    _process: Reaper,
}

impl Script {
    /// Starts it.
    pub fn start(file: &str, args: &[&str]) -> Self {
        let script = format!("{}/tests/integration/support/{file}", env!("CARGO_MANIFEST_DIR"));
        // What it imports stays uncompiled: nothing is written beside it.
        let mut child = Command::new(venv_tool("python3"))
            .arg("-B")
            .arg(script)
            .args(args)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("python3");
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
        assert_eq!(line, "ready\n", "{file} has ended: are the packages of tests/requirements.txt there?");
        Self { _process: Reaper(child) }
    }
}

/// Whether a client of another's making gets in: Python that ends in an exception where it does not.
pub fn gets_in(code: &str, args: &[&str]) -> bool {
    let output = Command::new(venv_tool("python3")).args(["-c", code]).args(args).output().expect("python3");
    println!("{args:?}: {}", String::from_utf8_lossy(&output.stderr).lines().last().unwrap_or("gets in"));
    output.status.success()
}
