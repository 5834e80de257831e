//! What a whole wait says, in virtual time.

use std::collections::BTreeMap;

use super::*;
use crate::cli;
use crate::config::Parsed;
use crate::run::rules;
use crate::targets::shared::lookup::Lookup;
use crate::wait::gate::{Arrival, World};
use crate::wait::outcome::{Outcome, Ready, Stage};
use crate::wait::tracker::Begun;

const MS: Duration = Duration::from_millis(1);

fn config(words: &str) -> Config {
    let lookup = Lookup::without_files(&|_| None);
    match cli::parse(words.split(' ').map(Into::into).collect(), &lookup) {
        Ok(Parsed::Run(config)) => *config,
        other => panic!("{words} gave {other:?}"),
    }
}

/// Answers each attempt after 2 ms, as `answer` says of its target, its number and the time.
struct Answers<F> {
    now: Duration,
    due: BTreeMap<(Duration, usize), u32>,
    answer: F,
}

impl<F: FnMut(usize, u32, Duration) -> Outcome> World for Answers<F> {
    fn now(&mut self) -> Duration {
        self.now
    }

    fn has_room(&mut self, _: usize) -> bool {
        true
    }

    fn start(&mut self, target: usize, begun: Begun) -> Result<(), NotReady> {
        self.due.insert((self.now + 2 * MS, target), begun.attempt);
        Ok(())
    }

    fn abandon(&mut self, _: usize) {}

    fn stage(&mut self, _: usize, _: u32) -> Stage {
        Stage::Exchanging
    }

    fn next(&mut self, until: Option<Duration>) -> Option<Arrival> {
        let until = until.unwrap_or(Duration::MAX);
        match self.due.first_key_value() {
            Some((&(at, target), &attempt)) if at <= until => {
                self.due.pop_first();
                self.now = self.now.max(at);
                let outcome = (self.answer)(target, attempt, self.now);
                Some(Arrival::Done { target, attempt, outcome })
            }
            _ => {
                self.now = self.now.max(until);
                None
            }
        }
    }

    fn jitter(&mut self) -> f64 {
        0.0
    }
}

/// The lines of a wait for `words`.
fn said(words: &str, answer: impl FnMut(usize, u32, Duration) -> Outcome) -> Vec<String> {
    let config = config(words);
    let mut reporter = Reporter::new(&config);
    reporter.live = None;
    reporter.sink = Sink::kept();
    let mut gate = rules::gate(&config);
    let mut world = Answers { now: Duration::ZERO, due: BTreeMap::new(), answer };
    let verdict = gate.run(&mut world, &mut reporter);
    reporter.conclude(verdict, &gate, world.now);
    let status = match verdict {
        Verdict::Ready => ExitStatus::Ready,
        _ => ExitStatus::TimedOut,
    };
    reporter.close(&gate, &Closing { verdict, program: None, status: Some(status) }, world.now);
    reporter.sink.lines_kept()
}

fn in_turn(_: usize, attempt: u32, _: Duration) -> Outcome {
    Err(match attempt % 2 {
        0 => NotReady::new(Kind::ConnectionClosed, format!("closed, and so on {attempt}")),
        _ => NotReady::new(Kind::TimedOut, "no answer within 1s"),
    })
}

#[test]
fn a_port_that_fails_in_two_ways_in_turn_is_told_of_in_a_handful_of_lines() {
    let lines = said("-t 30s db=127.0.0.1:1", in_turn);
    let starts: Vec<&str> = lines.iter().map(|line| &line[..line.len().min(40)]).collect();
    assert!(lines.len() <= 9, "{lines:#?}");
    assert_eq!(starts.iter().filter(|line| line.contains("still waiting for db (")).count(), 2, "{lines:#?}");
}

#[test]
fn a_reason_that_only_changes_its_words_is_told_of_once() {
    let lines = said("-t 30s db=127.0.0.1:1", |_, attempt, _| {
        Err(NotReady::new(Kind::NotAccepting, format!("loading, {attempt}% done")))
    });
    assert_eq!(lines.len(), 6, "{lines:#?}");
}

#[test]
fn five_targets_are_told_of_in_at_most_sixteen_lines_in_75_seconds() {
    let lines = said("-t 75s a=127.0.0.1:1 b=127.0.0.1:2 c=127.0.0.1:3 d=127.0.0.1:4 e=127.0.0.1:5", |_, _, _| {
        Err(NotReady::new(Kind::ConnectionRefused, "connection refused: nothing listens there yet"))
    });
    assert!(lines.len() <= 16, "the closing line is one of them: {lines:#?}");
    let reminder = lines.iter().find(|line| line.contains("still waiting")).unwrap();
    let each = |name| format!("{name} (connection refused: nothing listens there yet)");
    let all: Vec<String> = ["a", "b", "c", "d", "e"].map(each).into();
    assert_eq!(*reminder, format!("when-ready: still waiting for {} (10s)", all.join(", ")));
}

#[test]
fn a_reminder_of_hundreds_is_one_line_of_bounded_length() {
    let targets: Vec<String> = (1..100).map(|port| format!("a-target-with-a-name-{port}=127.0.0.1:{port}")).collect();
    let lines = said(&format!("-t 12s {}", targets.join(" ")), |_, _, _| {
        Err(NotReady::new(Kind::ConnectionRefused, "refused ".repeat(40)))
    });
    let reminders: Vec<&String> = lines.iter().filter(|line| line.contains("still waiting")).collect();
    assert_eq!(reminders.len(), 1);
    assert!(reminders[0].chars().count() < 800, "{}", reminders[0]);
    assert!(reminders[0].ends_with(" more (10s)"), "{}", reminders[0]);
}

#[test]
fn a_target_that_falls_is_told_of_again() {
    let lines = said("-t 60s a=127.0.0.1:1 b=127.0.0.1:2", |target, _, now| {
        let is_up = match target {
            0 => now < MS * 1000 || now > MS * 9000,
            _ => now > MS * 8000,
        };
        if is_up { Ok(Ready::new("connected")) } else { Err(NotReady::new(Kind::ConnectionRefused, "refused")) }
    });
    let told = |part: &str| lines.iter().filter(|line| line.contains(part)).count();
    assert_eq!((told("a (tcp://127.0.0.1:1): ready"), told("a (tcp://127.0.0.1:1): not ready")), (2, 1), "{lines:#?}");
    assert!(lines.last().unwrap().starts_with("when-ready: all is ready after 9"), "{lines:#?}");
}
