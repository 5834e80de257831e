//! A real mosquitto in a temporary directory.

use std::process::{Command, Stdio};

use tempfile::TempDir;

use super::{Reaper, directory, eventually, free_port, tool, unprivileged};

/// A broker, running.
pub struct Mosquitto {
    directory: TempDir,
    /// The port it listens on.
    pub port: u16,
    process: Reaper,
}

impl Mosquitto {
    /// A broker with the user app (`secret word`), and further lines of its configuration.
    pub fn start(settings: &str) -> Self {
        let (directory, port) = (directory(), free_port());
        let path = directory.path();
        let passwords = path.join("passwords");
        let made = Command::new(tool(&["mosquitto_passwd"], "mosquitto"))
            .args(["-b", "-c", passwords.to_str().unwrap(), "app", "secret word"])
            .status();
        assert!(made.unwrap().success());
        std::os::unix::fs::chown(&passwords, Some(65534), Some(65534)).ok();
        let conf = path.join("mosquitto.conf");
        let text = format!(
            "listener {port} 127.0.0.1\npassword_file {}\nlog_dest file {}\n{settings}\n",
            passwords.display(),
            path.join("log").display()
        );
        std::fs::write(&conf, text).unwrap();
        let process = unprivileged(&tool(&["mosquitto"], "mosquitto"))
            .args(["-c", conf.to_str().unwrap()])
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("mosquitto");
        let broker = Self { directory, port, process: Reaper(process) };
        // Not by a connection that says nothing: its count of sessions goes wrong by those.
        eventually("mosquitto", || broker.log().contains(" running"));
        broker
    }

    /// What it has logged.
    pub fn log(&self) -> String {
        std::fs::read_to_string(self.directory.path().join("log")).unwrap_or_default()
    }

    /// Its process.
    pub fn pid(&self) -> nix::unistd::Pid {
        nix::unistd::Pid::from_raw(i32::try_from(self.process.0.id()).unwrap())
    }
}
