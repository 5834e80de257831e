//! What GitHub is told: the workflows and the action are well-formed and careful, and the action works.

use std::fs;
use std::path::Path;
use std::process::{Command, Output};

use crate::support::peer::{Peer, response};
use crate::support::{executable, free_port, venv_tool, write_executable};

const ROOT: &str = env!("CARGO_MANIFEST_DIR");

fn run(command: &mut Command) -> String {
    let output = command.current_dir(ROOT).output().unwrap_or_else(|error| panic!("{command:?}: {error}"));
    assert!(output.status.success(), "{command:?}\n{}", both(&output));
    both(&output)
}

fn both(output: &Output) -> String {
    format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr))
}

#[test]
fn workflows_and_action_are_what_github_expects() {
    let check = |schema: &str, files: &[&str]| {
        let mut command = Command::new(venv_tool("check-jsonschema"));
        run(command.args(["--builtin-schema", schema]).args(files));
    };
    let names = ["ci", "nightly", "release"].map(|name| format!(".github/workflows/{name}.yml"));
    check("vendor.github-workflows", &names.each_ref().map(String::as_str));
    check("vendor.github-actions", &["action.yml"]);
    // Actions that are not pinned, permissions that are not needed, text that becomes script.
    run(Command::new(venv_tool("zizmor"))
        .args(["--offline", "--no-progress", "--min-severity", "medium"])
        .args([".github/workflows", "action.yml"]));
}

#[test]
fn every_action_of_others_is_pinned_by_digest() {
    for file in ["ci.yml", "nightly.yml", "release.yml"] {
        let text = fs::read_to_string(Path::new(ROOT).join(".github/workflows").join(file)).unwrap();
        for line in text.lines().filter(|line| line.contains("uses:") && !line.contains("uses: ./")) {
            let digest = line.split(['@', ' ']).find(|word| word.len() == 40);
            assert!(digest.is_some_and(|word| word.bytes().all(|b| b.is_ascii_hexdigit())), "{file}: {line}");
        }
    }
}

/// The files of a release, as far as the installer wants them.
fn release(directory: &Path) {
    let name = format!("when-ready-{}-{}-linux", env!("CARGO_PKG_VERSION"), std::env::consts::ARCH);
    fs::copy(executable(), directory.join(&name)).unwrap();
    let sums = Command::new("sha256sum").arg(&name).current_dir(directory).output().unwrap();
    fs::write(directory.join("SHA256SUMS"), sums.stdout).unwrap();
}

#[test]
fn the_action_installs_and_waits() {
    let files = tempfile::tempdir().unwrap();
    release(files.path());
    let peer = Peer::http(response("200 OK", ""));
    let from = format!("from={}", files.path().display());
    let action = |inputs: &[&str]| {
        Command::new(venv_tool("python3"))
            .args(["tests/integration/support/run_action.py", "action.yml", &from])
            .args(inputs)
            .current_dir(ROOT)
            .output()
            .unwrap()
    };
    let output = action(&[&format!("targets=web={} {}", peer.url("/"), peer.url("/two"))]);
    assert!(output.status.success(), "{}", both(&output));
    assert!(both(&output).contains("all is ready"), "{}", both(&output));
    assert!(both(&output).ends_with("in PATH afterwards: RUNNER_TEMP/when-ready\n"), "{}", both(&output));

    let closed = format!("targets={} 127.0.0.1:{}", peer.url("/"), free_port());
    let output = action(&[&closed, "timeout=300ms"]);
    assert_eq!(output.status.code(), Some(124), "{}", both(&output));
    let output = action(&[&closed, "timeout=5s", "args=--any --quiet"]);
    assert!(output.status.success(), "{}", both(&output));
    // Without targets it only installs.
    assert!(action(&[]).status.success());

    let sums = files.path().join("SHA256SUMS");
    let wrong = fs::read_to_string(&sums).unwrap().split_off(64);
    fs::write(&sums, "0".repeat(64) + &wrong).unwrap();
    let output = action(&[]);
    assert!(!output.status.success() && both(&output).contains("not what its sum says"), "{}", both(&output));
}

#[test]
fn the_action_installs_its_own_version_unless_told_otherwise() {
    // Nothing is downloaded: where it would be from is what the installer says.
    let offline = tempfile::tempdir().unwrap();
    let curl = offline.path().join("curl");
    write_executable(&curl, "#!/bin/sh\nexit 7\n", 0o755);
    let path = format!("{}:{}", offline.path().display(), std::env::var("PATH").unwrap());
    let own = concat!("releases/download/v", env!("CARGO_PKG_VERSION"), "/SHA256SUMS");
    for (version, place) in [
        ("version=", own),
        ("version=1.2.3", "releases/download/v1.2.3/SHA256SUMS"),
        ("version=v1.2.3", "releases/download/v1.2.3/SHA256SUMS"),
        ("version=latest", "releases/latest/download/SHA256SUMS"),
    ] {
        let output = Command::new(venv_tool("python3"))
            .args(["tests/integration/support/run_action.py", "action.yml", version])
            .env("PATH", &path)
            .current_dir(ROOT)
            .output()
            .unwrap();
        assert!(!output.status.success());
        assert!(both(&output).contains(&format!("cannot fetch https://github.com/when-ready/when-ready/{place}")));
    }
}
