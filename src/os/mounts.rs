//! Which files lie on a file system that may not answer. Only /proc is asked: stat(2) and statfs(2) would ask the file
//! system itself.

use std::ffi::OsString;
use std::fs;
use std::os::fd::RawFd;
use std::os::unix::ffi::OsStringExt;
use std::path::{Component, Path, PathBuf};

/// Whether the file that is open as `fd` lies on such a file system.
pub(crate) fn is_remote_descriptor(fd: RawFd) -> bool {
    let info = fs::read_to_string(format!("/proc/self/fdinfo/{fd}")).unwrap_or_default();
    let number = info.lines().find_map(|line| line.strip_prefix("mnt_id:")).map(str::trim).unwrap_or_default();
    mounted().iter().any(|mount| mount.number == number && mount.is_remote())
}

/// Whether `path` leads to such a file system. Symbolic links are followed as far as they lie on others.
pub(crate) fn is_remote_path(path: &Path) -> bool {
    is_any_remote_path([path].into_iter())
}

/// Whether one of them does.
pub(crate) fn is_any_remote_path<P: AsRef<Path>>(mut paths: impl Iterator<Item = P>) -> bool {
    let mounts = mounted();
    mounts.iter().any(Mount::is_remote) && paths.any(|path| leads_to_remote(path.as_ref(), &mounts))
}

fn leads_to_remote(path: &Path, mounts: &[Mount]) -> bool {
    const MOST_LINKS: usize = 40;
    let mut place = PathBuf::from("/");
    let mut links = 0;
    let mut parts = parts_of(&std::path::absolute(path).unwrap_or_else(|_| path.to_owned()));
    while let Some(part) = parts.pop() {
        if part == ".." {
            place.pop();
            continue;
        }
        place.push(part);
        if is_remote(&place, mounts) {
            return true;
        }
        if let Ok(to) = fs::read_link(&place)
            && links < MOST_LINKS
        {
            links += 1;
            place.pop();
            if to.is_absolute() {
                place = PathBuf::from("/");
            }
            parts.extend(parts_of(&to));
        }
    }
    false
}

/// Whether something is mounted at `path` itself: a file in a container, which stays the file that it was when another
/// takes its name outside.
pub(crate) fn is_mount_point(path: &Path) -> bool {
    let path = std::path::absolute(path).unwrap_or_else(|_| path.to_owned());
    mounted().iter().any(|mount| mount.point == path)
}

/// The names in a path, the first one last.
fn parts_of(path: &Path) -> Vec<OsString> {
    let is_name = |part: &Component<'_>| matches!(part, Component::Normal(_) | Component::ParentDir);
    path.components().rev().filter(is_name).map(|part| part.as_os_str().to_owned()).collect()
}

/// Whether the file system that is mounted at `place` or above it may not answer.
fn is_remote(place: &Path, mounts: &[Mount]) -> bool {
    let above = mounts.iter().filter(|mount| place.starts_with(&mount.point));
    // The later of two mounts at one place is seen.
    above.max_by_key(|mount| mount.point.components().count()).is_some_and(Mount::is_remote)
}

fn mounted() -> Vec<Mount> {
    let info = fs::read("/proc/self/mountinfo").unwrap_or_default();
    String::from_utf8_lossy(&info).lines().filter_map(Mount::parse).collect()
}

/// A line of mountinfo, proc(5).
#[derive(Debug, PartialEq, Eq)]
struct Mount {
    /// The number by which fdinfo names it.
    number: String,
    point: PathBuf,
    kind: String,
}

impl Mount {
    /// `36 35 98:0 /root /point rw,noatime master:1 - ext3 /dev/root rw`
    fn parse(line: &str) -> Option<Self> {
        let (mount, file_system) = line.split_once(" - ")?;
        let mut fields = mount.split(' ');
        let number = fields.next()?.to_owned();
        let point = unescaped(fields.nth(3)?);
        Some(Self { number, point, kind: file_system.split(' ').next()?.to_owned() })
    }

    /// Whether its answers come over a network, or from a process.
    fn is_remote(&self) -> bool {
        const REMOTE: [&str; 15] = [
            "9p", "afs", "autofs", "beegfs", "ceph", "cifs", "coda", "gfs2", "lustre", "ncpfs", "nfs", "nfs4", "ocfs2",
            "smb3", "virtiofs",
        ];
        REMOTE.contains(&self.kind.as_str()) || self.kind.starts_with("fuse")
    }
}

/// `\040` is a blank.
fn unescaped(point: &str) -> PathBuf {
    let mut out = Vec::new();
    let mut rest = point.as_bytes();
    while let [first, tail @ ..] = rest {
        let code = tail.get(..3).and_then(|digits| std::str::from_utf8(digits).ok());
        match code.and_then(|digits| u8::from_str_radix(digits, 8).ok()).filter(|_| *first == b'\\') {
            Some(byte) => {
                out.push(byte);
                rest = &tail[3..];
            }
            None => {
                out.push(*first);
                rest = tail;
            }
        }
    }
    PathBuf::from(OsString::from_vec(out))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_of_mountinfo_is_read() {
        let line = r"36 35 0:41 / /var/my\040logs rw,noatime master:1 shared:2 - nfs4 server:/export rw,vers=4.2";
        let mount = Mount::parse(line).unwrap();
        assert_eq!(
            mount,
            Mount { number: "36".to_owned(), point: PathBuf::from("/var/my logs"), kind: "nfs4".to_owned() }
        );
        assert!(mount.is_remote());
        let fuse = Mount::parse("40 35 0:50 / /mnt rw - fuse.sshfs host:/ rw").unwrap();
        assert!(fuse.is_remote());
        let local = Mount::parse("22 1 8:1 / / rw - ext4 /dev/sda1 rw").unwrap();
        assert!(!local.is_remote());
        assert_eq!(Mount::parse("garbage"), None);
    }

    #[test]
    fn a_link_leads_to_what_it_names() {
        assert!(!is_remote_path(Path::new("/proc/self/status")));
        let directory = tempfile::tempdir().unwrap();
        let link = directory.path().join("link");
        std::os::unix::fs::symlink("link", &link).unwrap();
        assert!(!is_remote_path(&link.join("x")), "a link to itself ends");
    }
}
