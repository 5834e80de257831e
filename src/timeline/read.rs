//! Text → records: whole reports, over several lines or in one, and JSON log lines; whatever stands around them is
//! skipped and counted. Pure.

use serde_json::{Map, Value};

use super::stack::{Stack, StackEnd, StackTarget};

type Object = Map<String, Value>;

/// Puts what `text` has of gates into `stack`.
pub(super) fn records(text: &str, stack: &mut Stack) {
    let mut rest = text;
    while !rest.is_empty() {
        let line = rest.split_inclusive('\n').next().unwrap_or(rest);
        let taken = match object_in(line, rest) {
            Some((object, end)) => {
                if !record(&object, stack) {
                    stack.skipped += 1;
                }
                // The rest of the last line of an object is of no use.
                rest[end..].find('\n').map_or(rest.len(), |newline| end + newline + 1)
            }
            None => {
                stack.skipped += usize::from(!line.trim().is_empty());
                line.len()
            }
        };
        rest = &rest[taken..];
    }
}

/// The object that begins in the line, which `text` begins with, and where it ends. Something may stand before it:
/// `backend-1  | {"ts":…`.
fn object_in(line: &str, text: &str) -> Option<(Object, usize)> {
    let begin = line.find('{')?;
    let mut values = serde_json::Deserializer::from_str(&text[begin..]).into_iter::<Value>();
    let Some(Ok(Value::Object(object))) = values.next() else { return None };
    Some((object, begin + values.byte_offset()))
}

/// Takes an object that is a report or a log line. Says whether it is one.
fn record(object: &Object, stack: &mut Stack) -> bool {
    // The JSON that Docker's json-file driver and journald put around a line.
    for wrapper in ["log", "MESSAGE"] {
        if let Some(Value::String(line)) = object.get(wrapper) {
            return object_in(line, line).is_some_and(|(inner, _)| record(&inner, stack));
        }
    }
    if object.contains_key("outcome") { report(object, stack).is_some() } else { log_line(object, stack).is_some() }
}

fn report(object: &Object, stack: &mut Stack) -> Option<()> {
    let gate = string(object, "gate")?;
    let began = moment(object, "started_at")?;
    let elapsed = number(object, "elapsed_ms")?;
    let ending = StackEnd::of(string(object, "outcome")?)?;
    let targets = object.get("targets")?.as_array()?;
    let wait = stack.wait(gate, began);
    wait.ends(elapsed, ending);
    for target in targets.iter().filter_map(Value::as_object) {
        let told = StackTarget {
            name: string(target, "name")?.to_owned(),
            url: string(target, "url")?.to_owned(),
            ready_after: number(target, "ready_after_ms"),
            attempts: number(target, "attempts").unwrap_or(0),
            failures: failures(target),
            last_reason: string(target, "last_reason").map(str::to_owned),
        };
        let place = wait.target(&told.name, &told.url);
        *place = told;
    }
    Some(())
}

fn log_line(object: &Object, stack: &mut Stack) -> Option<()> {
    let (gate, event) = (string(object, "gate")?, string(object, "event")?);
    let (at, elapsed) = (moment(object, "ts")?, number(object, "elapsed_ms")?);
    let wait = stack.wait(gate, at.checked_sub(elapsed)?);
    let Some(name) = string(object, "target") else {
        let has_all = number(object, "ready") == number(object, "total");
        match event {
            // COMMAND that runs after the deadline all the same.
            "exec" if string(object, "level") == Some("warn") && !has_all => wait.ends(elapsed, StackEnd::TimedOut),
            "exec" => wait.ends(elapsed, StackEnd::Ready),
            _ => match StackEnd::of(event) {
                Some(ending) => wait.ends(elapsed, ending),
                None => wait.goes_on(elapsed),
            },
        }
        return Some(());
    };
    wait.goes_on(elapsed);
    let target = wait.target(name, string(object, "url").unwrap_or(name));
    target.attempts = target.attempts.max(number(object, "attempt").unwrap_or(0));
    match event {
        "ready" if target.ready_after.is_none() => target.ready_after = Some(elapsed),
        "not_ready" | "timeout" | "failed" | "interrupted" => {
            target.ready_after = None;
            target.last_reason = string(object, "reason").map(str::to_owned);
        }
        _ => {}
    }
    let counted = failures(object);
    if !counted.is_empty() {
        target.failures = counted;
    }
    Some(())
}

fn string<'a>(object: &'a Object, key: &str) -> Option<&'a str> {
    object.get(key)?.as_str()
}

fn number(object: &Object, key: &str) -> Option<u64> {
    object.get(key)?.as_u64()
}

/// A moment, in milliseconds since 1970.
fn moment(object: &Object, key: &str) -> Option<u64> {
    let time = humantime::parse_rfc3339(string(object, key)?).ok()?;
    u64::try_from(time.duration_since(std::time::UNIX_EPOCH).ok()?.as_millis()).ok()
}

fn failures(object: &Object) -> Vec<(String, u64)> {
    let counts = object.get("failures").and_then(Value::as_object);
    counts.into_iter().flatten().filter_map(|(kind, count)| Some((kind.clone(), count.as_u64()?))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stack(text: &str) -> Stack {
        let mut stack = Stack::default();
        records(text, &mut stack);
        stack.finish();
        stack
    }

    const READY: &str = r#"{"ts":"2026-11-29T10:00:02.000Z","level":"info","event":"ready","gate":"api","msg":"m","target":"db","url":"tcp://db:5432","attempt":7,"failures":{"connection_refused":6},"elapsed_ms":1900}"#;
    const EXEC: &str = r#"{"ts":"2026-11-29T10:00:02.100Z","level":"info","event":"exec","gate":"api","msg":"m","ready":1,"total":1,"elapsed_ms":2000}"#;

    #[test]
    fn log_lines_of_one_wait_come_together_and_what_is_around_them_is_skipped_and_counted() {
        let docker = serde_json::json!({"log": format!("{EXEC}\n"), "stream": "stderr"});
        let stack = stack(&format!("hello\napi-1  | {READY}\n\n{{\"a\":1}}\n{{broken\n{docker}\nbye"));
        assert_eq!((stack.skipped, stack.waits.len()), (4, 1));
        let wait = &stack.waits[0];
        assert_eq!((wait.gate.as_str(), wait.elapsed, wait.ending), ("api", 2000, StackEnd::Ready));
        assert_eq!((wait.targets[0].ready_after, wait.targets[0].attempts), (Some(1900), 7));
        assert_eq!(wait.targets[0].failures, [("connection_refused".to_owned(), 6)]);
    }

    #[test]
    fn a_report_over_several_lines_is_one_record_and_joins_the_log_of_the_same_wait() {
        let report = serde_json::json!({
            "version": "1", "gate": "api", "started_at": "2026-11-29T10:00:00.110Z", "outcome": "ready",
            "elapsed_ms": 2000, "targets": [{"name": "db", "url": "tcp://db:5432", "state": "ready", "attempts": 7,
            "ready_after_ms": 1901, "latency_ms": 1, "proof": "p", "last_reason": null, "failures": {}}]});
        let report = serde_json::to_string_pretty(&report).unwrap();
        let stack = stack(&format!("{READY}\n{EXEC}\n{report}\n{report}"));
        assert_eq!((stack.skipped, stack.waits.len()), (0, 1), "{:?}", stack.waits);
        assert_eq!(stack.waits[0].targets[0].ready_after, Some(1901));
    }

    #[test]
    fn a_gate_that_starts_again_has_another_wait() {
        let again = EXEC.replace("10:00:02", "10:00:12");
        assert_eq!(stack(&format!("{EXEC}\n{again}")).waits.len(), 2);
    }

    #[test]
    fn a_target_that_fell_is_not_ready() {
        let fell = READY.replace(r#""ready""#, r#""not_ready""#).replace("1900", "1950").replace("02.000", "02.050");
        assert_eq!(stack(&format!("{READY}\n{fell}")).waits[0].targets[0].ready_after, None);
    }
}
