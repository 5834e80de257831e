//! A file system that never answers: nobody serves its requests.

use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

/// Mounts it at its first argument, and keeps it until its input ends.
const MOUNT: &str = r"
import array, os, socket, subprocess, sys
ours, its = socket.socketpair()
environment = dict(os.environ, _FUSE_COMMFD=str(its.fileno()))
subprocess.run(['fusermount', '--', sys.argv[1]], env=environment, pass_fds=[its.fileno()], check=True)
device = array.array('i', ours.recvmsg(16, socket.CMSG_SPACE(4))[1][0][2])[0]
print('mounted', flush=True)
sys.stdin.read()
os.close(device)
subprocess.run(['fusermount', '-u', '-z', '--', sys.argv[1]])
";

/// The mount, as long as this lives.
pub struct HungMount {
    directory: tempfile::TempDir,
    keeper: Child,
}

impl HungMount {
    /// Mounts one; none where this machine does not let us.
    pub fn new() -> Option<Self> {
        if !Path::new("/dev/fuse").exists() {
            return None;
        }
        let directory = super::directory();
        let mut command = Command::new("python3");
        command.args(["-c", MOUNT]).arg(directory.path()).stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut keeper = command.stderr(Stdio::null()).spawn().ok()?;
        let mut line = String::new();
        let read = BufReader::new(keeper.stdout.take()?).read_line(&mut line);
        if read.is_ok() && line == "mounted\n" {
            return Some(Self { directory, keeper });
        }
        drop(keeper.wait());
        None
    }

    /// Something on it.
    pub fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }
}

impl Drop for HungMount {
    fn drop(&mut self) {
        drop(self.keeper.stdin.take());
        drop(self.keeper.wait());
    }
}
