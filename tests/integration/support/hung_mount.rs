//! A file system that never answers: nobody serves its requests.

use std::io::{BufRead, BufReader};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};

/// Mounts it at its first argument, and keeps it until its input ends. By mount(2): fusermount(1) is not everywhere.
const MOUNT: &str = r"
import ctypes, os, sys
MS_NOSUID, MS_NODEV, MNT_DETACH = 2, 4, 2
libc, place = ctypes.CDLL(None, use_errno=True), sys.argv[1].encode()
device = os.open('/dev/fuse', os.O_RDWR)
options = f'fd={device},rootmode=40000,user_id=0,group_id=0'.encode()
if libc.mount(b'hung', place, b'fuse', MS_NOSUID | MS_NODEV, options) != 0:
    sys.exit(os.strerror(ctypes.get_errno()))
print('mounted', flush=True)
sys.stdin.read()
os.close(device)
libc.umount2(place, MNT_DETACH)
";

/// The mount, as long as this lives.
pub struct HungMount {
    directory: tempfile::TempDir,
    keeper: Child,
}

impl HungMount {
    /// Mounts one.
    pub fn new() -> Self {
        let directory = super::directory();
        let mut command = Command::new("python3");
        command.args(["-c", MOUNT]).arg(directory.path()).stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut keeper = command.spawn().expect("python3");
        let mut line = String::new();
        BufReader::new(keeper.stdout.take().unwrap()).read_line(&mut line).unwrap();
        assert_eq!(line, "mounted\n", "run the tests as root, where /dev/fuse is (tests/run does)");
        Self { directory, keeper }
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
