//! A real terminal, to look at and to type in (tmux).

use std::process::{Command, Output};

use super::{eventually, tool};

/// A tmux server of our own with one window.
pub struct Terminal {
    socket: String,
    _directory: tempfile::TempDir,
}

impl Terminal {
    /// Runs `command` in it; its status is shown at the end.
    pub fn start(width: u16, height: u16, command: &str) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let terminal = Self { socket: directory.path().join("tmux").display().to_string(), _directory: directory };
        let (width, height) = (width.to_string(), height.to_string());
        let shell = format!("{command}; echo status $?; cat");
        let output = terminal.tmux(&["-f", "/dev/null", "new-session", "-d", "-x", &width, "-y", &height, &shell]);
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        terminal
    }

    /// A tmux command.
    pub fn tmux(&self, args: &[&str]) -> Output {
        Command::new(tool(&["tmux"], "tmux"))
            .args(["-S", &self.socket])
            .args(args)
            .env_remove("TMUX")
            .env_remove("NO_COLOR")
            .env("TERM", "xterm-256color")
            .env("LC_ALL", "C.UTF-8")
            .output()
            .expect("tmux")
    }

    /// What is on the screen.
    pub fn screen(&self) -> String {
        String::from_utf8_lossy(&self.tmux(&["capture-pane", "-p"]).stdout).trim_end().to_owned()
    }

    /// What is on the screen, with its colours.
    pub fn painted_screen(&self) -> String {
        String::from_utf8_lossy(&self.tmux(&["capture-pane", "-p", "-e"]).stdout).into_owned()
    }

    /// What is on the screen and what has left it at the top.
    pub fn history(&self) -> String {
        String::from_utf8_lossy(&self.tmux(&["capture-pane", "-p", "-S", "-"]).stdout).into_owned()
    }

    /// Types keys as tmux names them; other words letter by letter.
    pub fn keys(&self, keys: &[&str]) {
        self.tmux(&[&["send-keys"], keys].concat());
    }

    /// Waits until the screen shows `what`.
    pub fn wait_for(&self, what: &str) -> String {
        let mut screen = String::new();
        eventually(what, || {
            screen = self.screen();
            screen.contains(what)
        });
        screen
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        self.tmux(&["kill-server"]);
    }
}
