//! The live view, looked at in a real terminal (tmux).

use crate::support::peer::{Peer, response};
use crate::support::terminal::Terminal;
use crate::support::{directory, eventually, executable, free_port};

#[test]
fn the_view_has_a_line_per_target_and_goes_before_the_command_runs() {
    let _directory = directory();
    let (late, ready) = (free_port(), Peer::http(response("200 OK", "")));
    let command = format!(
        "{} db=127.0.0.1:{late} web={} -t 50s -- echo the command",
        executable().display(),
        ready.url("/health")
    );
    let terminal = Terminal::start(80, 24, &command);
    let screen = terminal.wait_for("connection refused");
    let screen = if screen.contains("ok web") { screen } else { terminal.wait_for("ok web") };
    let lines: Vec<&str> = screen.lines().collect();
    assert_eq!(lines.len(), 3, "{screen}");
    assert!(lines[0].contains("db (tcp://127.0.0.1:"), "{screen}");
    assert!(lines[1].starts_with("ok web (http://127.0.0.1:"), "{screen}");
    assert!(lines[2].starts_with("1 of 2 ready, ") && lines[2].ends_with(" left"), "{screen}");
    let _peer = Peer::http_on(late, response("200 OK", ""));
    let screen = terminal.wait_for("status 0");
    assert_eq!(screen, "the command\nstatus 0");
}

#[test]
fn the_view_fits_a_narrow_terminal_and_survives_a_resize() {
    let command = format!(
        "{} a-database=127.0.0.1:{} another=127.0.0.1:{} -t 4s",
        executable().display(),
        free_port(),
        free_port()
    );
    let terminal = Terminal::start(80, 24, &command);
    terminal.wait_for("connection refused");
    terminal.tmux(&["resize-window", "-x", "40", "-y", "24"]);
    let mut screen = String::new();
    eventually("a view of three rows in 40 columns", || {
        screen = terminal.screen();
        let lines: Vec<&str> = screen.lines().collect();
        lines.len() == 3 && lines[0].ends_with('…') && lines.iter().all(|line| line.chars().count() < 40)
    });
    let screen = terminal.wait_for("status 124");
    assert!(screen.contains("not ready after "), "{screen}");
    assert!(!screen.contains(" left"), "the view is gone: {screen}");
}

#[test]
fn a_dumb_terminal_and_no_color_get_plain_lines() {
    for variable in ["TERM=dumb", "NO_COLOR=1"] {
        let command = format!("env {variable} {} 127.0.0.1:{} -t 300ms", executable().display(), free_port());
        let terminal = Terminal::start(80, 24, &command);
        let screen = terminal.wait_for("status 124");
        assert!(screen.starts_with("when-ready: waiting for 1 target"), "{screen}");
    }
}

#[test]
fn on_a_narrow_terminal_the_reason_has_most_of_the_line() {
    let port = free_port();
    let command = format!(
        "{} db=postgres://app@127.0.0.1:{port}/application http://127.0.0.1:{port}/a/long/path -t 20s",
        executable().display(),
    );
    for (width, expected) in
        [(40, "db             connection refused b…"), (59, "db                   connection refused by 127")]
    {
        let screen = Terminal::start(width, 24, &command).wait_for("connection refused");
        let line = screen.lines().next().unwrap();
        assert!(line.get(3..).is_some_and(|line| line.starts_with(expected)), "{screen}");
    }
    // Names alone where names and addresses take more than half of the line.
    let screen =
        Terminal::start(80, 24, &command.replace("/a/long", "/a/very/very/long")).wait_for("connection refused");
    assert!(screen.lines().next().unwrap().get(3..).unwrap().starts_with("db  "), "{screen}");
}

#[test]
fn more_targets_than_rows_are_counted() {
    let targets: Vec<String> = (0..60).map(|_| format!("127.0.0.1:{}", free_port())).collect();
    let command = format!("{} {} file:/// -t 20s", executable().display(), targets.join(" "));
    let screen = Terminal::start(80, 24, &command).wait_for("1 of 61 ready, ");
    let lines: Vec<&str> = screen.lines().collect();
    assert_eq!(lines.len(), 23, "{screen}");
    assert!(lines[22].starts_with("1 of 61 ready, ") && lines[22].ends_with(" left (39 not shown)"), "{screen}");
    assert!(!screen.contains("file:///"), "those that are awaited come first: {screen}");
}
