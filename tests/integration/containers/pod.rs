//! A Kubernetes Pod, by `podman kube play`: an init container that waits, an application whose
//! entrypoint waits, and an exec probe.
//!
//! podman keeps its images and containers in a directory of the test's own.

use std::fs;
use std::process::{Child, Command, Stdio};
use std::time::Instant;

use super::engine::{both, eventually, executable, files, output, run, unique};
use crate::support::tool;

struct Podman {
    directory: tempfile::TempDir,
    network: String,
    /// `podman kube play`, which lasts until the init container has ended.
    play: Option<Child>,
}

impl Podman {
    /// podman with nothing in it; `None` where the test is to be skipped.
    fn new() -> Option<Self> {
        let is_there = Command::new("podman").arg("--version").output().is_ok_and(|output| output.status.success());
        let missing = "podman is missing: install the packages podman and containernetworking-plugins";
        assert!(is_there || std::env::var_os("CI").is_none(), "{missing}");
        if !is_there {
            eprintln!("skipped: {missing}");
            return None;
        }
        let directory = tempfile::Builder::new().prefix("when-ready-podman-").tempdir().unwrap();
        let podman = Self { network: unique("net"), directory, play: None };
        // A pod's own process is of the image too: no other image can be had.
        let settings = format!(
            "[containers]\ndefault_ulimits = [\"nofile=1024:1024\", \"nproc=1024:1024\"]\n\
             [engine]\ncgroup_manager = \"cgroupfs\"\nevents_logger = \"none\"\nlock_type = \"file\"\n\
             infra_image = \"{IMAGE}\"\n\
             [network]\nnetwork_config_dir = \"{}\"\n",
            podman.directory.path().join("networks").display()
        );
        fs::write(podman.directory.path().join("containers.conf"), settings).unwrap();
        Some(podman)
    }

    fn command(&self, args: &[&str]) -> Command {
        let path = self.directory.path();
        let mut command = Command::new(tool(&["podman"], "podman"));
        command.env("CONTAINERS_CONF", path.join("containers.conf"));
        command.arg("--root").arg(path.join("root")).arg("--runroot").arg(path.join("run"));
        command.arg("--tmpdir").arg(path.join("tmp")).args(["--storage-driver", "vfs"]).args(args);
        command
    }

    #[track_caller]
    fn podman(&self, args: &[&str]) -> String {
        run(&mut self.command(args))
    }

    fn logs(&self, container: &str) -> String {
        both(&output(&mut self.command(&["logs", container])))
    }

    #[track_caller]
    fn wait_for_log(&self, container: &str, text: &str) {
        eventually(
            || format!("`{text}` in the log of {container}:\n{}", self.logs(container)),
            || self.logs(container).contains(text),
        );
    }
}

impl Drop for Podman {
    fn drop(&mut self) {
        if let Some(mut play) = self.play.take() {
            drop(play.kill());
            drop(play.wait());
        }
        for args in [
            &["pod", "rm", "--all", "--force", "--time", "0"][..],
            &["rm", "--all", "--force", "--time", "0"],
            &["network", "rm", "--force", &self.network],
            &["rmi", "--all", "--force"],
        ] {
            drop(self.command(args).output());
        }
    }
}

const IMAGE: &str = "localhost/when-ready-test:1";

#[test]
fn a_pod_waits_in_its_init_container_and_is_probed() {
    let Some(mut podman) = Podman::new() else { return };
    let script = r#"set -o pipefail; script=$0; executable=$1; shift; "$script" "$executable" | "$@""#;
    let mut import = Command::new(tool(&["bash"], "bash"));
    import.args(["-c", script]).arg(files().join("root.sh")).arg(executable());
    let importer = podman.command(&["import", "--change", "ENTRYPOINT [\"/bin/sleep\", \"1000000\"]", "-", IMAGE]);
    import.arg(importer.get_program()).args(importer.get_args());
    import.envs(importer.get_envs().filter_map(|(name, value)| value.map(|value| (name, value))));
    run(&mut import);

    podman.podman(&["network", "create", "--internal", &podman.network]);
    // The addresses that its plugin gives out are kept beside the rest.
    let directory = podman.directory.path();
    let plugin = directory.join("networks").join(format!("{}.conflist", podman.network));
    let kept = format!("\"type\": \"host-local\", \"dataDir\": \"{}\"", directory.join("addresses").display());
    let described = fs::read_to_string(&plugin).unwrap();
    assert!(described.contains("\"type\": \"host-local\""), "{described}");
    fs::write(&plugin, described.replace("\"type\": \"host-local\"", &kept)).unwrap();
    let subnet =
        podman.podman(&["network", "inspect", "--format", "{{range .Subnets}}{{.Subnet}}{{end}}", &podman.network]);
    let (prefix, _) = subnet.rsplit_once('.').expect("an IPv4 subnet");
    let server = format!("{prefix}.200");

    let pod = unique("pod");
    let manifest = fs::read_to_string(files().join("pod.yaml")).unwrap();
    let manifest =
        manifest.replace("IMAGE", IMAGE).replace("SERVER", &server).replace("name: POD", &format!("name: {pod}"));
    let path = podman.directory.path().join("pod.yaml");
    fs::write(&path, manifest).unwrap();
    let mut play = podman.command(&["kube", "play", "--network", &podman.network]);
    play.arg(&path).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    podman.play = Some(play.spawn().unwrap());

    let (init, app) = (format!("{pod}-wait"), format!("{pod}-app"));
    podman.wait_for_log(&init, "not ready");
    let state = podman.podman(&["inspect", "--format", "{{.State.Status}}", &app]);
    assert_ne!(state, "running", "before the init container has ended");
    let script = "mkdir /srv/www; echo ok >/srv/www/health; exec httpd -f -p 8000 -h /srv/www";
    let words = ["run", "--detach", "--network", &podman.network, "--ip", &server, "--entrypoint", "/bin/sh"];
    podman.podman(&[&words[..], &[IMAGE, "-c", script]].concat());
    let begun = Instant::now();
    podman.wait_for_log(&app, "started as 1");
    eprintln!("the pod's application started {:?} after what it waited for", begun.elapsed());
    podman.wait_for_log(&app, "all is ready");

    // The probe, as podman runs it.
    let probe = || output(&mut podman.command(&["healthcheck", "run", &app]));
    eventually(|| both(&probe()), || probe().status.success());
    podman.podman(&["exec", &app, "/bin/rm", "/srv/www/health"]);
    assert_eq!(probe().status.code(), Some(1), "{}", both(&probe()));
}
