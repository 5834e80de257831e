//! The live view, looked at in a real terminal (tmux).

use crate::support::peer::{Peer, response};
use crate::support::terminal::Terminal;
use crate::support::{directory, eventually, executable, free_port};

#[test]
fn the_view_has_a_line_per_target_and_its_last_state_stays_above_the_command() {
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
    let lines: Vec<&str> = screen.lines().collect();
    assert_eq!(lines.len(), 5, "{screen}");
    assert!(lines[0].starts_with("ok db (tcp://127.0.0.1:") && lines[0].contains('█'), "{screen}");
    assert!(lines[1].starts_with("ok web (http://127.0.0.1:") && lines[1].contains("ms  "), "{screen}");
    assert!(
        lines[2].starts_with("when-ready: all is ready after ") && lines[2].ends_with("; running echo"),
        "{screen}"
    );
    assert_eq!(lines[3..], ["the command", "status 0"], "{screen}");
}

#[test]
fn after_a_failure_the_ready_rows_stay_and_each_other_one_has_its_reason() {
    let ready = Peer::http(response("200 OK", ""));
    let command = format!(
        "{} db=127.0.0.1:{} web={} -t 900ms -- true",
        executable().display(),
        free_port(),
        ready.url("/health")
    );
    for width in [80, 120] {
        let terminal = Terminal::start(width, 24, &command);
        let screen = terminal.wait_for("status 124");
        let lines: Vec<&str> = screen.lines().collect();
        assert!(lines[0].starts_with("x  db (tcp://127.0.0.1:") && lines[0].ends_with('░'), "{screen}");
        assert!(lines[1].contains(" attempts; last: connection refused by 127.0.0.1:"), "{screen}");
        let web = lines.iter().position(|line| line.starts_with("ok web (http://127.0.0.1:")).expect(&screen);
        assert!(lines[web].contains("ms  "), "{screen}");
        assert!(lines[web + 1].starts_with("when-ready: gave up after "), "{screen}");
        assert!(lines[web + 1].ends_with(": 1 of 2 ready; true was not run (124)"), "{screen}");
        assert!(lines.iter().all(|line| line.chars().count() < usize::from(width)), "{screen}");
    }
}

#[test]
fn what_is_ready_is_green_what_is_not_red_and_what_somebody_must_mend_yellow() {
    let (ready, other) = (Peer::http(response("200 OK", "")), Peer::http("220 mail ready\r\n".to_owned()));
    let command = format!(
        "{} db=127.0.0.1:{} web={} mail={} -t 900ms",
        executable().display(),
        free_port(),
        ready.url("/"),
        other.url("/")
    );
    let coloured = Terminal::start(100, 24, &command);
    coloured.wait_for("status 124");
    let screen = coloured.painted_screen();
    // The colour of the sign before a name.
    let colour = |name: &str| {
        let before = |line: &str| line.split_once(&format!("\x1b[39m {name} (")).map(|(sign, _)| sign.to_owned());
        let sign = screen.lines().find_map(before).expect(&screen);
        ["\x1b[31m", "\x1b[32m", "\x1b[33m"].into_iter().rfind(|colour| sign.contains(colour))
    };
    assert_eq!(["db", "web", "mail"].map(colour), [Some("\x1b[31m"), Some("\x1b[32m"), Some("\x1b[33m")], "{screen}");
    for plain in [format!("env NO_COLOR=1 {command}"), format!("{command} --color never")] {
        let terminal = Terminal::start(100, 24, &plain);
        terminal.wait_for("status 124");
        let screen = terminal.painted_screen();
        assert!(!screen.contains("\x1b[3") && screen.contains("x  db (") && screen.contains("ok web ("), "{screen}");
    }
}

#[test]
fn the_last_state_has_all_targets_also_when_the_screen_has_fewer_rows() {
    let targets: Vec<String> = (0..30).map(|n| format!("t{n}=127.0.0.1:{}", free_port())).collect();
    let command = format!("{} {} here=file:/// -t 400ms", executable().display(), targets.join(" "));
    let terminal = Terminal::start(80, 10, &command);
    terminal.wait_for("status 124");
    let history = terminal.history();
    for n in 0..30 {
        assert!(history.contains(&format!("x  t{n} (")), "{history}");
    }
    assert!(history.contains("ok here (file:///)"), "{history}");
}

#[test]
fn a_terminal_without_a_size_or_not_in_the_foreground_gets_log_lines() {
    let port = free_port();
    let program = executable().display().to_string();
    // What Docker's `tty: true` gives a container that nobody is attached to.
    let unsized_one = format!("stty rows 0 cols 0; {program} 127.0.0.1:{port} -t 600ms");
    let background = format!("set -m; {program} 127.0.0.1:{port} -t 600ms & wait $!");
    for command in [unsized_one, background] {
        let terminal = Terminal::start(80, 24, &format!("bash -c '{command}'"));
        let screen = terminal.wait_for("0 of 1 ready (124)");
        assert!(screen.starts_with("when-ready: waiting for 1 target"), "{screen}");
        assert!(screen.contains("when-ready: gave up after "), "{screen}");
    }
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
    assert!(screen.contains("x  a-database  "), "{screen}");
    assert!(!screen.contains(" left"), "only the last state stays: {screen}");
}

#[test]
fn a_dumb_terminal_gets_plain_lines() {
    let command = format!("env TERM=dumb {} 127.0.0.1:{} -t 300ms", executable().display(), free_port());
    let terminal = Terminal::start(80, 24, &command);
    let screen = terminal.wait_for("status 124");
    assert!(screen.starts_with("when-ready: waiting for 1 target"), "{screen}");
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
