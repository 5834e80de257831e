//! Networks of a test's own: namespaces, links between them, firewalls.

use std::fs::{self, File};
use std::io::{BufRead, BufReader};
use std::net::{IpAddr, SocketAddr, TcpListener};
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::process::{Command, Stdio};
use std::thread;
use std::time::Duration;

use nix::sched::{CloneFlags, setns, unshare};

use super::{Reaper, tool};

/// How late, by itself, a deadline may be kept.
pub const SLACK: u64 = 100;

/// Runs `test` in a network with nothing but a loopback interface, and with mounts of its own. It
/// ends with the threads and processes that are in it.
pub fn in_private_network(test: impl FnOnce() + Send) {
    assert!(nix::unistd::geteuid().is_root(), "a network namespace takes root: run the tests as root (tests/run does)");
    // A thread of its own: whatever it starts is in the namespace too, the other tests are not.
    on_a_thread(|| {
        unshare(CloneFlags::CLONE_NEWNET | CloneFlags::CLONE_NEWNS).expect("a namespace");
        // Hosts have their names in /run/netns, as ip-netns(8) wants it.
        sh("mount --make-rprivate / && ip link set lo up && mkdir -p /run/netns && mount -t tmpfs tmpfs /run/netns");
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

/// Lets the kernel's own repeats of a SYN come that it sends after 1 and 3 s. The next comes after 7.
pub fn past_the_kernels_repeats() {
    thread::sleep(Duration::from_millis(3200));
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
    if fs::metadata(path).is_ok_and(|file| file.nlink() == 0) {
        // It has been replaced before: what is there has no name any more.
        return fs::write(path, content).unwrap();
    }
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

/// A local network, with the test's own host in it as 10.0.0.1.
pub fn lan() {
    sh("ip link add lan type bridge && ip addr add 10.0.0.1/24 dev lan && ip link set lan up");
}

/// Another host: a namespace with a name.
pub struct Host(&'static str);

impl Host {
    /// A host without a network.
    fn new(name: &'static str) -> Self {
        sh(&format!("ip netns add {name} && ip -n {name} link set lo up"));
        Self(name)
    }

    /// A host in the [`lan`]. The interface is `lan` there, and has the host's name here.
    pub fn in_lan(name: &'static str, address: &str) -> Self {
        let host = Self::new(name);
        sh(&format!("ip link add {name} type veth peer name lan netns {name} && ip link set {name} master lan up"));
        host.sh(&format!("ip addr add {address}/24 dev lan && ip link set lan up"));
        host
    }

    /// Runs `work` on this host; what it starts stays there.
    pub fn run<T: Send>(&self, work: impl FnOnce() -> T + Send) -> T {
        on_a_thread(|| {
            let namespace = File::open(Path::new("/run/netns").join(self.0)).expect("a namespace");
            setns(namespace, CloneFlags::CLONE_NEWNET).expect("to enter a namespace");
            work()
        })
    }

    /// Runs a script of tools on this host.
    pub fn sh(&self, script: &str) {
        self.run(|| sh(script));
    }

    /// Listens on this host.
    pub fn listen(&self, address: impl Into<SocketAddr>) -> TcpListener {
        let address = address.into();
        self.run(|| TcpListener::bind(address).expect("a port to listen on"))
    }
}

/// A host at the end of a cable through which everything takes its time.
pub struct FarHost {
    /// The host, which is 10.0.0.2.
    pub host: Host,
    _between: Host,
    _cable: Reaper,
}

impl FarHost {
    /// Instead of a [`lan`]; each way takes `delay` seconds.
    pub fn new(delay: f64) -> Self {
        let (host, between) = (Host::new("far"), Host::new("between"));
        sh("ip link add lan type veth peer name here netns between");
        sh("ip addr add 10.0.0.1/24 dev lan && ip link set lan up");
        host.sh("ip link add lan type veth peer name there netns between");
        host.sh("ip addr add 10.0.0.2/24 dev lan && ip link set lan up");
        between.sh("ip link set here up && ip link set there up");
        // The kernel's own way is tc-netem(8), which not every kernel has.
        let python = tool(&["/usr/bin/python3", "python3"], "python3-minimal");
        let mut cable = between.run(|| {
            let mut command = Command::new(python);
            command.args(["-c", include_str!("slow_cable.py"), &delay.to_string(), "here", "there"]);
            Reaper(command.stdin(Stdio::null()).stdout(Stdio::piped()).spawn().expect("python3"))
        });
        let mut line = String::new();
        BufReader::new(cable.0.stdout.take().unwrap()).read_line(&mut line).expect("a line");
        assert_eq!(line, "ready\n");
        Self { host, _between: between, _cable: cable }
    }
}
