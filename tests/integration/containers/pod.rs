//! The Kubernetes examples, by `podman kube play`: an init container that waits under the restricted
//! profile, an application whose entrypoint waits, and an exec probe.
//!
//! podman keeps its images and containers in a directory of the test's own.

use std::fs;
use std::process::{Child, Command, Stdio};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use super::engine::{both, eventually, examples, executable, files, output, run, unique};
use crate::support::tool;

/// One at a time: each podman here has a store of its own, and would give out the same addresses.
static TURN: Mutex<()> = Mutex::new(());

struct Podman {
    _turn: MutexGuard<'static, ()>,
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
        let turn = TURN.lock().unwrap_or_else(PoisonError::into_inner);
        let podman = Self { _turn: turn, network: unique("net"), directory, play: None };
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

    /// What `podman kube play` said.
    fn played(&self) -> String {
        fs::read_to_string(self.directory.path().join("said")).unwrap_or_default()
    }

    #[track_caller]
    fn wait_for_log(&self, container: &str, text: &str) {
        eventually(
            || format!("`{text}` in the log of {container}:\n{}\n{}", self.logs(container), self.played()),
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

/// What stands in for the examples' applications.
const APPLICATION: &str = "echo started as $$ && mkdir -p /tmp/www && echo ok >/tmp/www/health && echo ok >/tmp/www/index.html \
                           && exec httpd -f -p PORT -h /tmp/www";

impl Podman {
    /// Brings in the image of all containers.
    fn import(&self) {
        let script = r#"set -o pipefail; script=$0; executable=$1; shift; "$script" "$executable" | "$@""#;
        let mut import = Command::new(tool(&["bash"], "bash"));
        import.args(["-c", script]).arg(files().join("root.sh")).arg(executable());
        let importer = self.command(&["import", "--change", "ENTRYPOINT [\"/bin/sleep\", \"1000000\"]", "-", IMAGE]);
        import.arg(importer.get_program()).args(importer.get_args());
        import.envs(importer.get_envs().filter_map(|(name, value)| value.map(|value| (name, value))));
        run(&mut import);
    }

    /// Makes the network; gives an address in it for what is waited for.
    fn make_network(&self) -> String {
        self.podman(&["network", "create", "--internal", &self.network]);
        // The addresses that its plugin gives out are kept beside the rest.
        let directory = self.directory.path();
        let plugin = directory.join("networks").join(format!("{}.conflist", self.network));
        let kept = format!("\"type\": \"host-local\", \"dataDir\": \"{}\"", directory.join("addresses").display());
        let described = fs::read_to_string(&plugin).unwrap();
        assert!(described.contains("\"type\": \"host-local\""), "{described}");
        fs::write(&plugin, described.replace("\"type\": \"host-local\"", &kept)).unwrap();
        let subnet =
            self.podman(&["network", "inspect", "--format", "{{range .Subnets}}{{.Subnet}}{{end}}", &self.network]);
        let (prefix, _) = subnet.rsplit_once('.').expect("an IPv4 subnet");
        format!("{prefix}.200")
    }

    /// Plays an example with what a cluster has and a podman alone has not: images, a secret, names.
    fn play(&mut self, example: &str, changes: &[(&str, String)]) {
        let mut manifest = fs::read_to_string(examples().join(example)).unwrap();
        for (from, to) in changes {
            assert!(manifest.contains(from), "{from} in\n{manifest}");
            manifest = manifest.replace(from, to);
        }
        let path = self.directory.path().join(example);
        fs::write(&path, manifest).unwrap();
        let mut play = self.command(&["kube", "play", "--network", &self.network]);
        let said = fs::File::create(self.directory.path().join("said")).unwrap();
        play.arg(&path).stdin(Stdio::null()).stdout(Stdio::null()).stderr(said);
        self.play = Some(play.spawn().unwrap());
    }

    /// Starts what is waited for.
    fn serve(&self, address: &str) {
        let script = "mkdir /srv/www; echo ok >/srv/www/health; exec httpd -f -p 8000 -h /srv/www";
        let words = ["run", "--detach", "--network", &self.network, "--ip", address, "--entrypoint", "/bin/sh"];
        self.podman(&[&words[..], &[IMAGE, "-c", script]].concat());
    }
}

#[test]
fn the_init_container_of_the_example_holds_the_application_back() {
    let Some(mut podman) = Podman::new() else { return };
    podman.import();
    let server = podman.make_network();
    let name = unique("pod");
    let application = APPLICATION.replace("PORT", "8000");
    let secret = "valueFrom:\n                secretKeyRef:\n                  name: backend\n                  key: database-url";
    let aliases =
        format!("      hostAliases:\n        - ip: {server}\n          hostnames: [api, db]\n      initContainers:\n");
    podman.play(
        "kubernetes.yaml",
        &[
            ("image: when-ready:0.1.0", format!("image: {IMAGE}\n          command: [\"/when-ready\"]")),
            (
                "image: backend:1",
                format!("image: {IMAGE}\n          command: [\"/bin/sh\", \"-c\", \"{application}\"]"),
            ),
            ("  name: backend\nspec:", format!("  name: {name}\nspec:")),
            ("      initContainers:\n", aliases),
            (secret, "value: tcp://db:8000".to_owned()),
            // podman restarts an init container that has ended well, as the whole pod's policy says.
            (
                "    spec:\n      securityContext:",
                "    spec:\n      restartPolicy: Never\n      securityContext:".to_owned(),
            ),
        ],
    );
    // podman's versions name a Deployment's pod differently.
    let find = |end: &str| {
        let names = podman.podman(&["ps", "--all", "--format", "{{.Names}}"]);
        names.lines().find(|found| found.ends_with(end)).map(str::to_owned)
    };
    eventually(|| podman.played(), || find("-wait").is_some());
    let (init, app) = (find("-wait").unwrap(), find("-backend").unwrap());
    podman.wait_for_log(&init, "not ready");
    let state = podman.podman(&["inspect", "--format", "{{.State.Status}}", &app]);
    assert_ne!(state, "running", "before the init container has ended");
    let confined = "{{.HostConfig.ReadonlyRootfs}} {{.Config.User}} {{.EffectiveCaps}}";
    assert_eq!(podman.podman(&["inspect", "--format", confined, &init]), "true 65534:65534 []");
    podman.serve(&server);
    let begun = Instant::now();
    podman.wait_for_log(&app, "started as 1");
    eprintln!("the pod's application started {:?} after what it waited for", begun.elapsed());
}

#[test]
fn a_container_with_its_own_gate_is_probed() {
    let Some(mut podman) = Podman::new() else { return };
    podman.import();
    let server = podman.make_network();
    let name = unique("pod");
    let application = APPLICATION.replace("PORT", "3000");
    podman.play(
        "kubernetes-entrypoint.yaml",
        &[
            ("image: frontend:1", format!("image: {IMAGE}")),
            ("metadata:\n  name: frontend", format!("metadata:\n  name: {name}")),
            ("\"/app/server\"]", format!("\"sh\", \"-c\", \"{application}\"]")),
            (
                "  containers:\n",
                format!("  hostAliases:\n    - ip: {server}\n      hostnames: [backend]\n  containers:\n"),
            ),
        ],
    );
    let app = format!("{name}-frontend");
    podman.wait_for_log(&app, "not ready");
    podman.serve(&server);
    podman.wait_for_log(&app, "started as 1");
    // The probe, as podman runs it.
    let probe = || output(&mut podman.command(&["healthcheck", "run", &app]));
    eventually(|| both(&probe()), || probe().status.success());
    podman.podman(&["exec", &app, "/bin/rm", "/tmp/www/index.html"]);
    assert_eq!(probe().status.code(), Some(1), "{}", both(&probe()));
}
