//! The completions in the real shells, typed as a person does, and the man page as troff reads it.

use std::fs;
use std::io::Write;
use std::os::unix::fs::symlink;
use std::process::{Command, Stdio};

use crate::support::terminal::Terminal;
use crate::support::{executable, tool};

/// How the scripts are loaded: sourced, or from a file where the shell looks for them.
const SHELLS: [(&str, &str, &str); 6] = [
    ("bash", "--norc -i", "source <(when-ready --completions bash)"),
    ("bash", "--norc -i", "when-ready --completions bash >script; source ./script"),
    ("zsh", "-f -i", "autoload -U compinit; compinit -u -d dump; source <(when-ready --completions zsh)"),
    (
        "zsh",
        "-f -i",
        "when-ready --completions zsh >_when-ready; fpath=($PWD $fpath); autoload -U compinit; compinit -u -d dump",
    ),
    ("fish", "--no-config -i", "when-ready --completions fish | source"),
    (
        "fish",
        "--no-config -i",
        "when-ready --completions fish >when-ready.fish; set -g fish_complete_path $PWD $fish_complete_path",
    ),
];

#[test]
fn completions_work_in_each_shell_sourced_and_from_a_file() {
    for (shell, options, load) in SHELLS {
        let directory = tempfile::tempdir().unwrap();
        let bin = directory.path().join("bin");
        fs::create_dir(&bin).unwrap();
        symlink(executable(), bin.join("when-ready")).unwrap();
        let program = tool(&[shell], shell);
        // A command of a name that nothing else begins with.
        symlink("/bin/true", bin.join("applicationxyz")).unwrap();
        let terminal = Terminal::start(
            100,
            50,
            &format!(
                "cd {0}; HOME={0} PATH={1}:$PATH {2} {options}",
                directory.path().display(),
                bin.display(),
                program.display()
            ),
        );
        terminal.keys(&["-l", &format!("{load}; echo load''ed")]);
        terminal.keys(&["Enter"]);
        terminal.wait_for("loaded");
        terminal.keys(&["-l", "when-ready --on-tim"]);
        terminal.keys(&["Tab"]);
        terminal.wait_for("when-ready --on-timeout");
        terminal.keys(&["-l", "ru"]);
        terminal.keys(&["Tab"]);
        terminal.wait_for("when-ready --on-timeout run");
        terminal.keys(&["-l", "memc"]);
        terminal.keys(&["Tab"]);
        terminal.wait_for("memcached://");
        terminal.keys(&["-l", "cache -- applicationx"]);
        terminal.keys(&["Tab"]);
        let screen = terminal.wait_for("memcached://cache -- applicationxyz");
        assert!(!screen.contains("can only be called"), "{shell}: {load}\n{screen}");
    }
}

#[test]
fn the_man_page_is_what_troff_expects() {
    let page = Command::new(executable()).arg("--man").output().unwrap().stdout;
    let mut groff = Command::new(tool(&["groff"], "groff-base"))
        .args(["-man", "-Tascii", "-ww", "-rLL=80n", "-P-cbou"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    groff.stdin.take().unwrap().write_all(&page).unwrap();
    let output = groff.wait_with_output().unwrap();
    assert!(output.status.success());
    assert_eq!(String::from_utf8_lossy(&output.stderr), "");
    let text = String::from_utf8_lossy(&output.stdout);
    for heading in ["TARGETS", "VARIABLES", "OPTIONS", "ENVIRONMENT", "FILES", "EXIT STATUS", "EXAMPLES"] {
        assert!(text.contains(heading), "{heading}\n{text}");
    }
    assert!(text.contains("${NAME}"), "{text}");
}
