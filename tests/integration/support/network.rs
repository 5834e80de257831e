//! Networks of a test's own: namespaces, links between them, firewalls.

use std::fs;
use std::net::IpAddr;
use std::process::{Command, Stdio};
use std::thread;

use nix::sched::{CloneFlags, unshare};

use super::tool;

/// What a loaded machine may add to a deadline; the product promises 100 ms.
pub const SLACK: u64 = 600;

/// Runs `test` in a network with nothing but a loopback interface, and with mounts of its own. It
/// ends with the threads and processes that are in it.
pub fn in_private_network(test: impl FnOnce() + Send) {
    assert!(nix::unistd::geteuid().is_root(), "a network namespace takes root: run the tests as root (tests/run does)");
    // A thread of its own: whatever it starts is in the namespace too, the other tests are not.
    on_a_thread(|| {
        unshare(CloneFlags::CLONE_NEWNET | CloneFlags::CLONE_NEWNS).expect("a namespace");
        sh("mount --make-rprivate / && ip link set lo up");
        test();
    });
}

fn on_a_thread<T: Send>(work: impl FnOnce() -> T + Send) -> T {
    match thread::scope(|scope| scope.spawn(work).join()) {
        Ok(result) => result,
        Err(panic) => std::panic::resume_unwind(panic),
    }
}

/// Runs a script of tools that a network takes.
#[track_caller]
pub fn sh(script: &str) {
    for (program, package) in [("ip", "iproute2"), ("nft", "nftables"), ("mount", "mount")] {
        tool(&[program], package);
    }
    let path = format!("{}:/usr/sbin:/sbin", std::env::var("PATH").unwrap_or_default());
    let status = Command::new("sh").args(["-c", script]).env("PATH", path).stdin(Stdio::null()).status().unwrap();
    assert!(status.success(), "{script}: {status}");
}

/// The firewall consists of this rule.
pub fn firewall(rule: &str) {
    sh(&format!(
        "nft flush ruleset && nft add table inet t && \
         nft add chain inet t i '{{ type filter hook input priority 0; }}' && nft add rule inet t i '{rule}'"
    ));
}

/// Puts a file in the place of one in /etc, for this test alone.
pub fn replace(path: &str, content: &str) {
    let directory = super::directory();
    let file = directory.path().join("file");
    fs::write(&file, content).unwrap();
    sh(&format!("chmod 755 {} && mount --bind {} {path}", directory.path().display(), file.display()));
}

/// An IP address.
pub fn address(text: &str) -> IpAddr {
    text.parse().unwrap()
}

/// 127.0.0.1 and those after it.
pub fn loopback(count: u8) -> Vec<IpAddr> {
    (1..=count).map(|last| [127, 0, 0, last].into()).collect()
}
