//! The completions in the real shells, typed as a person does, and the man page as troff reads it.

use std::fs;
use std::io::Write;
use std::os::unix::fs::symlink;
use std::process::{Command, Stdio};

use crate::support::terminal::Terminal;
use crate::support::{executable, tool};

/// Each shell twice, for the ways that docs/shells.md shows in this order: how it is started, and what
/// people have in its start-up file before and after the lines of the page.
const SHELLS: [(&str, &str, &str, &str); 6] = [
    ("bash", "--norc -i", "true", "true"),
    ("bash", "--norc -i", "true", "source /usr/share/bash-completion/bash_completion"),
    ("zsh", "-f -i", "autoload -U compinit; compinit -u -d dump", "true"),
    ("zsh", "-f -i", "true", "autoload -U compinit; compinit -u -d dump"),
    ("fish", "-i", "true", "true"),
    ("fish", "-i", "true", "true"),
];

#[test]
fn completions_work_in_each_shell_in_both_ways_that_the_page_shows() {
    let page = include_str!("../../docs/shells.md");
    let blocks = page.split("\n```").filter_map(|block| block.split_once('\n'));
    let blocks: Vec<(&str, &str)> = blocks.filter(|(name, _)| ["bash", "zsh", "fish"].contains(name)).collect();
    assert_eq!(blocks.len(), SHELLS.len(), "{blocks:?}");
    for ((name, block), (shell, options, before, after)) in blocks.into_iter().zip(SHELLS) {
        assert_eq!(name, shell);
        let home = tempfile::tempdir().unwrap();
        let bin = home.path().join("bin");
        fs::create_dir(&bin).unwrap();
        symlink(executable(), bin.join("when-ready")).unwrap();
        // A command of a name that nothing else begins with.
        symlink("/bin/true", bin.join("applicationxyz")).unwrap();
        let terminal = Terminal::start(
            100,
            50,
            &format!(
                "cd {0}; env -u XDG_DATA_HOME -u XDG_CONFIG_HOME HOME={0} PATH={1}:$PATH {2} {options}",
                home.path().display(),
                bin.display(),
                tool(&[shell], shell).display()
            ),
        );
        for line in [before].into_iter().chain(block.lines()).chain([after, "echo load''ed"]) {
            terminal.keys(&["-l", line]);
            terminal.keys(&["Enter"]);
        }
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
        assert!(!screen.contains("can only be called"), "{shell}: {block}\n{screen}");
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
    // Whatever else the reference takes from the environment is there, too.
    let reference = include_str!("../../docs/reference.md");
    let line = reference.lines().find(|line| line.starts_with("From the environment are also taken: ")).unwrap();
    let names: Vec<&str> = line.split('`').skip(1).step_by(2).collect();
    assert!(names.len() >= 8, "{line}");
    for name in names {
        assert!(text.contains(name.trim_end_matches('*')), "{name}\n{text}");
    }
}
