//! The reference stack of examples/compose.yaml: frontend, backend, Postgres, Redis, Qdrant and a slow LLM service.

use std::process::Command;
use std::time::Instant;

use super::engine::{Container, Sandbox, both, docker, eventually, examples, files, output, run, unique};
use super::{application_logs, wait_for_restarts};
use crate::support::tool;

const SERVICES: [&str; 6] = ["postgres", "redis", "qdrant", "llm-service", "backend", "frontend"];

/// A run of the stack; it is taken down at the end.
struct Stack {
    project: String,
    variables: Vec<(&'static str, String)>,
    sandbox: Sandbox,
}

impl Stack {
    fn new(variables: &[(&'static str, &str)]) -> Option<Self> {
        let sandbox = Sandbox::new("stack")?;
        let mut variables: Vec<_> = variables.iter().map(|&(name, value)| (name, value.to_owned())).collect();
        variables.push(("STACK_IMAGE", sandbox.images.stack().to_owned()));
        Some(Self { project: unique("stack"), variables, sandbox })
    }

    fn command(&self, args: &[&str]) -> Command {
        // The plugin where it is there, else the program of old.
        let mut command = if output(&mut docker(["compose", "version"])).status.success() {
            docker(["compose"])
        } else {
            Command::new(tool(&["docker-compose"], "docker-compose"))
        };
        command.arg("--file").arg(examples().join("compose.yaml")).arg("--file").arg(files().join("compose.yaml"));
        command.args(["--project-name", &self.project]).args(args);
        command.envs(self.variables.iter().map(|(name, value)| (name, value)));
        command
    }

    #[track_caller]
    fn compose(&self, args: &[&str]) {
        run(&mut self.command(args));
    }

    /// The container of a service.
    #[track_caller]
    fn service(&self, name: &str) -> Container {
        let project = format!("label=com.docker.compose.project={}", self.project);
        let service = format!("label=com.docker.compose.service={name}");
        Container { name: run(&mut docker(["ps", "--all", "--quiet", "--filter", &project, "--filter", &service])) }
    }

    fn is_healthy(&self, name: &str) -> bool {
        self.service(name).inspect("{{.State.Health.Status}}") == "healthy"
    }

    /// The whole stack in one command, as `scripts/check-services-health.sh` showed it.
    fn check(&self) -> (i32, String) {
        let network = format!("{}_default", self.project);
        let mut command = self.sandbox.docker_run(&["--rm", "--network", &network]);
        command.args([&self.sandbox.images.alone, "--check"]);
        command.args(["frontend=http://frontend:3000/", "backend=http://backend:8000/health"]);
        command.args(["llm-service=http://llm-service:9000/health", "qdrant=http://qdrant:6333/readyz"]);
        command.args(["postgres=postgres://app:p%40ss@postgres/app", "redis=redis://:p%40ss@redis"]);
        let shown = output(&mut command);
        (shown.status.code().unwrap(), both(&shown))
    }
}

impl Drop for Stack {
    fn drop(&mut self) {
        drop(self.command(&["down", "--volumes", "--timeout", "0"]).output());
    }
}

/// When a container first wrote a line, as the engine noted it: RFC 3339 in UTC sorts as text.
#[track_caller]
fn wrote_at(container: &Container, line: &str) -> String {
    let logs = both(&output(&mut docker(["logs", "--timestamps", &container.name])));
    let found = logs.lines().find_map(|shown| shown.split_once(' ').filter(|(_, text)| *text == line));
    found.unwrap_or_else(|| panic!("no `{line}` in\n{logs}")).0.to_owned()
}

#[test]
fn the_stack_starts_in_order_and_mends_itself() {
    let Some(stack) = Stack::new(&[]) else { return };
    let begun = Instant::now();
    stack.compose(&["up", "--detach"]);
    for service in ["backend", "frontend"] {
        stack.service(service).wait_for_health("healthy");
    }
    eprintln!("cold start: backend and frontend healthy after {:?}", begun.elapsed());
    for service in SERVICES {
        stack.service(service).wait_for_health("healthy");
    }
    eprintln!("cold start: all healthy after {:?}", begun.elapsed());

    let [backend, frontend] = ["backend", "frontend"].map(|name| stack.service(name));
    assert_eq!(application_logs(&backend), "connected to postgres\nconnected to redis\nconnected to qdrant\nserving\n");
    assert_eq!(application_logs(&frontend), "connected to backend\nserving\n");
    let [backend_serves, frontend_connected] =
        [wrote_at(&backend, "serving"), wrote_at(&frontend, "connected to backend")];
    assert!(backend_serves < frontend_connected, "{backend_serves} {frontend_connected}");
    for service in SERVICES {
        assert_eq!(stack.service(service).inspect("{{.RestartCount}}"), "0", "{service}");
    }
    for secret in ["p@ss", "p%40ss"] {
        assert!(!backend.logs().contains(secret), "{}", backend.logs());
    }
    let (status, shown) = stack.check();
    assert!(status == 0 && shown.contains("6 of 6 targets are healthy"), "{status}\n{shown}");

    // The backend is restarted: it waits for nothing that is there, and the frontend is never restarted.
    let begun = Instant::now();
    stack.compose(&["restart", "--timeout", "5", "backend"]);
    eventually(|| stack.check().1, || stack.check().0 == 0);
    eprintln!("restart of the backend: all healthy after {:?}", begun.elapsed());
    assert!(!application_logs(&backend).contains("FAILED"), "{}", backend.logs());

    // All of it at once: nobody waits for the model, which takes long again, but who asks for it.
    let begun = Instant::now();
    stack.compose(&["restart", "--timeout", "5"]);
    let check_front = || stack.check().1.lines().any(|row| row.starts_with("frontend ") && row.contains(" HEALTHY "));
    eventually(|| stack.check().1, check_front);
    eprintln!("restart of the stack: the frontend answers after {:?}", begun.elapsed());
    eventually(|| stack.check().1, || stack.check().0 == 0);

    // The database goes: the checks say so, and nothing is restarted for it.
    stack.compose(&["stop", "postgres"]);
    backend.wait_for_health("unhealthy");
    let (status, shown) = stack.check();
    assert!(status == 1 && shown.contains("3 of 6 targets are healthy"), "{status}\n{shown}");
    // And a backend that is started meanwhile waits for it.
    stack.compose(&["restart", "--timeout", "5", "backend"]);
    let begun = Instant::now();
    stack.compose(&["start", "postgres"]);
    eventually(|| stack.check().1, || SERVICES.iter().all(|service| stack.is_healthy(service)));
    eprintln!("return of the database: all healthy after {:?}", begun.elapsed());
    assert!(!application_logs(&backend).contains("FAILED"), "{}", backend.logs());
    assert_eq!(backend.inspect("{{.RestartCount}}"), "0");
    assert_eq!(frontend.inspect("{{.RestartCount}}"), "0");
}

#[test]
fn a_service_that_never_comes_is_named_and_the_policy_tries_again() {
    let Some(stack) = Stack::new(&[("GATE_TIMEOUT", "2s"), ("LOADING_SECONDS", "1")]) else { return };
    stack.compose(&["up", "--detach", "--no-deps", "redis", "llm-service", "backend"]);
    let backend = stack.service("backend");
    let is_down_with_124 = || backend.inspect("{{.State.Status}} {{.State.ExitCode}}") == "restarting 124";
    eventually(|| backend.inspect("{{json .State}}"), is_down_with_124);
    wait_for_restarts(&backend, 2);
    for missing in
        ["postgres (postgres://app@postgres:5432/app): not ready after 2s", "qdrant (http://qdrant:6333/readyz): not"]
    {
        backend.wait_for_log(missing);
    }
    assert_eq!(application_logs(&backend), "");
    let begun = Instant::now();
    stack.compose(&["up", "--detach", "--no-deps", "postgres", "qdrant"]);
    backend.wait_for_health("healthy");
    eprintln!("a service that came late: healthy {:?} after it was started", begun.elapsed());
    assert!(!application_logs(&backend).contains("FAILED"), "{}", backend.logs());
}
