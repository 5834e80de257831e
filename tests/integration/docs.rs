//! README, the guide and the examples say what is true: their snippets stand in files that are tried,
//! their links lead somewhere, and their tables name what the executable knows.

use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::net::TcpListener;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::thread;

use crate::support::network::{in_private_network, replace};
use crate::support::peer::{Peer, response};
use crate::support::{Run, directory, executable, tool, venv_tool, write_executable};

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// The files of a directory, by the end of their names.
fn files(directory: &str, suffix: &str) -> Vec<PathBuf> {
    let entries = fs::read_dir(root().join(directory)).unwrap();
    let mut found: Vec<PathBuf> = entries.map(|entry| entry.unwrap().path()).collect();
    found.retain(|path| path.to_string_lossy().ends_with(suffix));
    found.sort();
    assert!(!found.is_empty(), "no *{suffix} in {directory}");
    found
}

/// Every page that people read.
fn pages() -> Vec<(PathBuf, String)> {
    let top = ["README.md", "CONTRIBUTING.md", "SECURITY.md"].map(|name| root().join(name));
    let all = top.into_iter().chain(files("docs", ".md"));
    all.map(|path| (path.clone(), fs::read_to_string(path).unwrap())).collect()
}

/// The fenced blocks of a page in a language.
fn blocks<'a>(page: &'a str, language: &str) -> Vec<&'a str> {
    let fence = format!("\n```{language}\n");
    let inner = |rest: &'a str| rest.split("\n```").next().unwrap();
    page.split(&fence[..]).skip(1).map(inner).collect()
}

/// The lines of a text without the blanks that all of them begin with.
fn dedented(text: &str) -> Vec<String> {
    let indent = |line: &str| line.len() - line.trim_start().len();
    let common = text.lines().filter(|line| !line.trim().is_empty()).map(indent).min().unwrap_or(0);
    text.lines().map(|line| line.get(common..).unwrap_or_default().trim_end().to_owned()).collect()
}

/// Whether `lines` stand in `whole`, all of them indented by as much.
fn holds(whole: &str, lines: &[String]) -> bool {
    let all: Vec<&str> = whole.lines().collect();
    all.windows(lines.len()).any(|window| dedented(&window.join("\n")) == lines)
}

#[test]
fn every_manifest_and_dockerfile_snippet_is_part_of_an_example() {
    let mut yaml: Vec<String> =
        files("examples", ".yaml").iter().map(|path| fs::read_to_string(path).unwrap()).collect();
    yaml.push(fs::read_to_string(root().join("action.yml")).unwrap_or_default());
    let dockerfiles =
        ["examples/Dockerfile", "Dockerfile.example"].map(|name| fs::read_to_string(root().join(name)).unwrap());
    let mut count = 0;
    for (path, page) in pages() {
        for (language, sources) in [("yaml", &yaml[..]), ("dockerfile", &dockerfiles[..])] {
            for block in blocks(&page, language) {
                let lines = dedented(block);
                let found = sources.iter().any(|source| holds(source, &lines));
                assert!(found, "{}: no example holds this {language} snippet:\n{block}", path.display());
                count += 1;
            }
        }
    }
    assert!(count >= 10, "{count} snippets");
}

#[test]
fn the_kubernetes_examples_are_valid() {
    for path in files("examples", ".yaml") {
        if !path.file_name().unwrap().to_string_lossy().starts_with("kubernetes") {
            continue;
        }
        let output = Command::new(venv_tool("kubernetes-validate")).arg("--strict").arg(&path).output().unwrap();
        let said = String::from_utf8_lossy(&output.stderr).into_owned() + &String::from_utf8_lossy(&output.stdout);
        assert!(output.status.success(), "{}:\n{said}", path.display());
    }
}

/// What follows `migration=` in the example of a Job, asked of a server on a port.
fn target_of_the_job(port: u16, token: &Path) -> String {
    let example = fs::read_to_string(root().join("examples/kubernetes-job.yaml")).unwrap();
    let quoted = example.split_once("\"migration=").unwrap().1.split_once('"').unwrap().0;
    // Between double quotes, YAML joins lines at a backslash.
    let target: String = quoted.split("\\\n").map(str::trim_start).collect();
    target
        .replace("https://kubernetes.default.svc", &format!("http://127.0.0.1:{port}"))
        .replace("/var/run/secrets/kubernetes.io/serviceaccount/token", token.to_str().unwrap())
}

#[test]
fn the_example_of_a_job_tells_failed_from_unfinished() {
    let directory = directory();
    let token = directory.path().join("token");
    fs::write(&token, "a.b.c\n").unwrap();
    let condition = |kind: &str, status: &str| format!(r#"{{"type":"{kind}","status":"{status}"}}"#);
    let (resumed, failing) = (condition("Suspended", "False"), condition("FailureTarget", "True"));
    let failed = format!("{failing},{}", condition("Failed", "True"));
    let met = format!("{},{}", condition("SuccessCriteriaMet", "True"), condition("Complete", "True"));
    for (state, status) in [
        ("{}".to_owned(), 124),
        (r#"{"active":1}"#.to_owned(), 124),
        // Its pods fail, and it still tries.
        (r#"{"active":1,"failed":2}"#.to_owned(), 124),
        (format!(r#"{{"conditions":[{}]}}"#, condition("Suspended", "True")), 124),
        (format!(r#"{{"active":1,"conditions":[{resumed}]}}"#), 124),
        (format!(r#"{{"failed":3,"conditions":[{}]}}"#, condition("Failed", "True")), 1),
        (format!(r#"{{"failed":3,"conditions":[{failed}]}}"#), 1),
        (format!(r#"{{"failed":3,"conditions":[{resumed},{}]}}"#, condition("Failed", "True")), 1),
        (format!(r#"{{"failed":3,"conditions":[{resumed},{failed}]}}"#), 1),
        (format!(r#"{{"succeeded":1,"conditions":[{met}]}}"#), 0),
        (format!(r#"{{"succeeded":1,"conditions":[{resumed},{met}]}}"#), 0),
    ] {
        let peer = Peer::http(response("200 OK", &format!(r#"{{"kind":"Job","status":{state}}}"#)));
        let gate = Run::new().target(target_of_the_job(peer.port, &token)).env("NAMESPACE", "default");
        gate.timeout("300ms").finish().expect_status(status);
    }
}

#[test]
fn the_compose_examples_are_valid() {
    for path in files("examples", ".yaml") {
        if !path.file_name().unwrap().to_string_lossy().starts_with("compose") {
            continue;
        }
        let mut command = Command::new(tool(&["docker-compose"], "docker-compose"));
        if path.ends_with("compose-timeline.yaml") {
            // It adds to the stack, and is none by itself.
            command.arg("--file").arg(path.with_file_name("compose.yaml"));
        }
        let output = command.arg("--file").arg(&path).args(["config", "--quiet"]).output().unwrap();
        assert!(output.status.success(), "{}:\n{}", path.display(), String::from_utf8_lossy(&output.stderr));
    }
}

/// How the pages name a heading in a link.
fn anchor(heading: &str) -> String {
    let kept = heading.chars().filter(|c| c.is_alphanumeric() || matches!(c, ' ' | '-' | '_'));
    kept.collect::<String>().trim().to_lowercase().replace(' ', "-")
}

#[test]
fn every_link_between_pages_leads_somewhere() {
    for (path, page) in pages() {
        for link in page.split("](").skip(1).map(|rest| rest.split(')').next().unwrap()) {
            if link.starts_with("http") {
                continue;
            }
            let (file, fragment) = link.split_once('#').unwrap_or((link, ""));
            let target = if file.is_empty() { path.clone() } else { path.parent().unwrap().join(file) };
            assert!(target.exists(), "{}: {link} leads nowhere", path.display());
            if !fragment.is_empty() {
                let text = fs::read_to_string(&target).unwrap();
                let headings = text.lines().filter(|line| line.starts_with('#'));
                let found = headings.map(|line| anchor(line.trim_start_matches('#'))).any(|name| name == fragment);
                assert!(found, "{}: {link} names no heading", path.display());
            }
        }
    }
}

#[test]
fn the_reference_names_every_option_with_its_default() {
    let reference = fs::read_to_string(root().join("docs/reference.md")).unwrap();
    let help = Run::new().arg("--help").finish().expect_status(0).stdout;
    let mut count = 0;
    for line in help.lines().filter(|line| line.trim_start().starts_with('-')) {
        let flag = line.split_whitespace().find(|word| word.starts_with("--")).unwrap();
        let row =
            reference.lines().find(|row| row.starts_with("| `-") && row.split(['`', ' ']).any(|word| word == flag));
        let row = row.unwrap_or_else(|| panic!("docs/reference.md has no row for {flag}"));
        if let Some(default) = line.strip_suffix(']').and_then(|line| line.rsplit_once('[')).map(|(_, default)| default)
        {
            assert!(row.contains(default), "the default of {flag} is {default}:\n{row}");
        }
        count += 1;
    }
    assert!(count >= 30, "{count} options in\n{help}");
}

#[test]
fn the_front_door_is_read_in_three_minutes() {
    let readme = fs::read_to_string(root().join("README.md")).unwrap();
    assert!(readme.lines().count() <= 250, "{} lines", readme.lines().count());
}

/// The hosts that the pages speak of.
const HOSTS: &str = "127.0.0.1 localhost db db-1 db-2 cache cache-a cache-b redis api search backend optional legacy \
                     mysql rabbitmq sentinel-1 sentinel-2\n";

/// Answers every request on a port, as a service that is well.
fn serve(port: u16) {
    const ANSWER: &str = "HTTP/1.1 200 OK\r\nContent-Length: 18\r\nConnection: close\r\n\r\n{\"status\": \"green\"}";
    let listener = TcpListener::bind(("127.0.0.1", port)).unwrap();
    thread::spawn(move || {
        for mut stream in listener.incoming().flatten() {
            let request = BufReader::new(stream.try_clone().unwrap());
            drop(request.lines().map_while(Result::ok).find(String::is_empty));
            drop(stream.write_all(ANSWER.as_bytes()));
        }
    });
}

/// What a variable of that name holds.
fn example_of(name: &str) -> &'static str {
    match name {
        "URL" => "http://api:8000",
        _ if name.ends_with("URL") || name.ends_with("CONN") => "postgres://app:secret@db/app",
        _ if name.ends_with("PORT") => "5432",
        _ if name.ends_with("HOST") => "db",
        _ => "app",
    }
}

/// Where the pages' commands run: with the executable on PATH, and applications that say that they run.
struct Desk(tempfile::TempDir);

impl Desk {
    fn new() -> Self {
        let directory = directory();
        for name in
            ["app", "worker", "serve", "manage.py", "python", "check", "rails", "php", "airflow", "bundle", "pgpool"]
        {
            let path = directory.path().join(name);
            write_executable(&path, format!("#!/bin/sh\necho {name} runs\n"), 0o755);
        }
        symlink(executable(), directory.path().join("when-ready")).unwrap();
        fs::copy("/etc/ssl/certs/ca-certificates.crt", directory.path().join("ca.pem")).expect("ca-certificates");
        Self(directory)
    }

    /// What is not there is given up soon, and the command runs even so, unless the page says otherwise.
    fn run(&self, script: &str) -> Output {
        let path = format!("{}:{}", self.0.path().display(), std::env::var("PATH").unwrap());
        let mut command = Command::new("sh");
        command.args(["-e", "-c", script]).current_dir(self.0.path()).stdin(Stdio::null());
        command.env("PATH", path).env("URL", "http://api:8000").env("PW", "secret").env("WHEN_READY_TIMEOUT", "300ms");
        command.env("WHEN_READY_ON_TIMEOUT", "run");
        for name in script.split("${").skip(1).filter_map(|rest| rest.split(['}', ':']).next()) {
            command.env(name, example_of(name));
        }
        command.output().unwrap()
    }
}

#[test]
fn every_command_of_the_pages_runs() {
    in_private_network(|| {
        replace("/etc/hosts", HOSTS);
        replace("/etc/resolv.conf", "nameserver 127.0.0.1\noptions timeout:1 attempts:1\n");
        for port in [80, 3000, 5432, 6379, 8000, 9000, 9200] {
            serve(port);
        }
        let desk = Desk::new();
        let mut count = 0;
        for (path, page) in pages() {
            let mut blocks: Vec<(String, &[i32])> = Vec::new();
            for block in blocks_of_commands(&page) {
                blocks.push((block, &[0]));
            }
            // In tables: whatever else they come to, they are understood.
            for line in page.lines().filter(|line| line.starts_with('|')) {
                for span in line.split('`').skip(1).step_by(2).filter(|span| span.starts_with("when-ready ")) {
                    blocks.push((span.replace("\\|", "|"), &[0, 1, 124]));
                }
            }
            for (script, accepted) in blocks {
                let output = desk.run(&script);
                let said = String::from_utf8_lossy(&output.stderr).into_owned();
                let status = output.status.code().unwrap();
                assert!(accepted.contains(&status), "{}: {script}\n{status}: {said}", path.display());
                count += 1;
            }
        }
        assert!(count > 40, "{count} commands");
    });
}

/// The blocks that a reader is to run, with the executable that is there already.
fn blocks_of_commands(page: &str) -> Vec<String> {
    let as_here = |block: &str| block.replace("cargo build --release && ", "").replace("target/release/", "");
    blocks(page, "sh").into_iter().map(as_here).collect()
}
