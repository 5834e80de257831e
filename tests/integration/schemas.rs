//! Real log lines beside their published schema, and the bill of materials beside `CycloneDX`'s own.

use std::collections::BTreeSet;
use std::process::Command;

use nix::sys::signal::Signal;

use crate::support::peer::{Peer, response};
use crate::support::{Run, free_port, venv_tool};

const LOG: &str = include_str!("../../docs/schema/log.schema.json");

#[test]
fn every_log_line_follows_its_schema_however_the_run_ends() {
    let mut schemas = boon::Schemas::new();
    let mut compiler = boon::Compiler::new();
    compiler.add_resource("log", serde_json::from_str(LOG).unwrap()).unwrap();
    let schema = compiler.compile("log", &mut schemas).unwrap();
    let mut seen = BTreeSet::new();
    let mut check = |stderr: &str, last: &str| {
        let lines: Vec<serde_json::Value> = stderr.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        for line in &lines {
            assert!(schemas.validate(line, schema).is_ok(), "{line}");
            seen.insert(line["event"].as_str().unwrap().to_owned());
        }
        assert_eq!(lines.last().unwrap()["event"], last, "{stderr}");
    };
    let run = |words: &[&str]| Run::new().args(["--log-format", "json", "--verbose"]).args(words.iter().copied());
    let peer = Peer::http(response("200 OK", ""));
    let missing = Peer::http(response("404 Not Found", ""));
    let closed = format!("127.0.0.1:{}", free_port());
    let reminded = run(&[&closed]).timeout("10.5s").spawn();

    // A target that is left out is worth a note.
    check(&run(&["${NOBODY_SETS_IT:-}", &peer.url("/"), "--", "true"]).finish().expect_status(0).stderr, "exec");
    check(&run(&[&peer.url("/"), &closed, "--timeout", "300ms"]).finish().expect_status(124).stderr, "timeout");
    check(&run(&[&missing.url("/#fail-status=404")]).finish().expect_status(1).stderr, "failed");
    check(&run(&["postgres://%zz"]).finish().expect_status(2).stderr, "failed");
    let running = run(&[&closed]).timeout("60s").spawn();
    running.wait_for_stderr("not ready");
    running.signal(Signal::SIGTERM);
    check(&running.finish().expect_status(143).stderr, "interrupted");
    check(&reminded.finish().expect_status(124).stderr, "timeout");
    let schema: serde_json::Value = serde_json::from_str(LOG).unwrap();
    let events = schema["properties"]["event"]["enum"].as_array().unwrap().iter();
    assert_eq!(seen, events.map(|event| event.as_str().unwrap().to_owned()).collect(), "every event was tried");
}

/// What `CycloneDX` says of standard input, and of what does not follow: references to nothing, and
/// licences that SPDX does not know.
const JUDGE: &str = "
import json, sys
from cyclonedx.schema import SchemaVersion
from cyclonedx.validation.json import JsonStrictValidator
from license_expression import get_spdx_licensing
text = sys.stdin.read()
bom = json.loads(text)
error = JsonStrictValidator(SchemaVersion.from_version(bom['specVersion'])).validate_str(text)
assert error is None, error
everything = [bom['metadata']['component'], *bom['components']]
references = [component['bom-ref'] for component in everything]
assert len(set(references)) == len(references), references
assert {entry['ref'] for entry in bom['dependencies']} <= set(references)
assert {ref for entry in bom['dependencies'] for ref in entry['dependsOn']} == set(references[1:])
for component in everything:
    for licence in component['licenses']:
        found = get_spdx_licensing().validate(licence['expression'], strict=True)
        assert not found.errors, (component['name'], found.errors)
print('valid')
";

#[test]
fn the_bill_of_materials_is_valid_and_names_what_cargo_links() {
    let root = env!("CARGO_MANIFEST_DIR");
    let text = |command: &mut Command| {
        let output = command.current_dir(root).output().unwrap_or_else(|error| panic!("{command:?}: {error}"));
        assert!(output.status.success(), "{command:?}\n{}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap()
    };
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("bom");
    let bom = text(Command::new("python3").args(["dist/inventory", "bom"]).env("SOURCE_DATE_EPOCH", "1700000000"));
    std::fs::write(&file, &bom).unwrap();
    let mut judge = Command::new(venv_tool("python3"));
    assert_eq!(text(judge.args(["-c", JUDGE]).stdin(std::fs::File::open(&file).unwrap())), "valid\n");

    let target = format!("{}-unknown-linux-musl", std::env::consts::ARCH);
    let mut tree = Command::new(env!("CARGO"));
    tree.args(["tree", "--locked", "--edges", "normal,no-proc-macro", "--prefix", "none", "--format", "{p}"]);
    let linked = text(tree.args(["--target", &target]));
    let linked: BTreeSet<String> = linked
        .lines()
        .map(|line| line.split(' ').take(2).collect::<Vec<_>>().join(" "))
        .filter(|name| !name.starts_with("when-ready "))
        .collect();
    let bom: serde_json::Value = serde_json::from_str(&bom).unwrap();
    let named = |component: &serde_json::Value| {
        format!("{} v{}", component["name"].as_str().unwrap(), component["version"].as_str().unwrap())
    };
    let named: BTreeSet<String> =
        bom["components"].as_array().unwrap().iter().map(named).filter(|name| !name.starts_with("std v")).collect();
    assert_eq!(named, linked);
    assert!(named.len() > 30, "{named:?}");
}
