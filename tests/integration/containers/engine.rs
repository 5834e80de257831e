//! The Docker engine, and what a test makes there: all of it goes when the test ends, however it ends.

use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, OnceLock, Weak};
use std::thread;
use std::time::{Duration, Instant};

use crate::support::tool;

/// How long anything may take that happens in an engine.
const PATIENCE: Duration = Duration::from_secs(2 * 60);

/// Where the files beside this one are.
pub fn files() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/integration/containers")
}

/// Where the examples are that users copy.
pub fn examples() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("examples")
}

/// Whether an engine answers. Without one, CI fails; elsewhere the caller is to skip its test.
pub fn is_there() -> bool {
    static ANSWERS: OnceLock<bool> = OnceLock::new();
    let answers = *ANSWERS
        .get_or_init(|| Command::new("docker").arg("info").output().is_ok_and(|output| output.status.success()));
    let missing = "no Docker engine answers: install docker.io and docker-cli, and start dockerd";
    assert!(answers || std::env::var_os("CI").is_none(), "{missing}");
    if !answers {
        eprintln!("skipped: {missing}");
    }
    answers
}

/// The static executable, which alone runs in images without a libc.
pub fn executable() -> PathBuf {
    static BUILT: &str = "target/x86_64-unknown-linux-musl/release/when-ready";
    let built = Path::new(env!("CARGO_MANIFEST_DIR")).join(BUILT);
    let executable = std::env::var_os("WHEN_READY_STATIC_BIN").map_or(built, PathBuf::from);
    assert!(
        executable.exists(),
        "{} is missing: build it with `cargo build --release --target x86_64-unknown-linux-musl`, \
         or name another in WHEN_READY_STATIC_BIN",
        executable.display()
    );
    executable
}

/// A name that no other run and no other test has.
pub fn unique(name: &str) -> String {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    format!("when-ready-{}-{}-{name}", std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed))
}

/// Runs a command to its end, and panics with what it said where it fails.
#[track_caller]
pub fn run(command: &mut Command) -> String {
    let output = output(command);
    assert!(output.status.success(), "{command:?}: {}\n{}", output.status, both(&output));
    String::from_utf8_lossy(&output.stdout).trim().to_owned()
}

/// Runs a command to its end.
#[track_caller]
pub fn output(command: &mut Command) -> Output {
    command.stdin(Stdio::null()).output().unwrap_or_else(|error| panic!("{command:?}: {error}"))
}

/// Everything that a command wrote.
pub fn both(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr)
}

/// A `docker` command.
pub fn docker<'a>(args: impl IntoIterator<Item = &'a str>) -> Command {
    let mut command = Command::new(tool(&["docker"], "docker.io and docker-cli"));
    // The engine's own builder: no other is everywhere.
    command.args(args).env("DOCKER_BUILDKIT", "0");
    command
}

/// Waits until `condition` holds.
#[track_caller]
pub fn eventually(what: impl Fn() -> String, mut condition: impl FnMut() -> bool) {
    let deadline = Instant::now() + PATIENCE;
    while !condition() {
        assert!(Instant::now() < deadline, "not within {PATIENCE:?}: {}", what());
        thread::sleep(Duration::from_millis(50));
    }
}

/// The images that tests run, there for as long as any test uses them.
pub struct Images {
    label: String,
    /// The executable and nothing else, with it as the entrypoint.
    pub alone: String,
    /// busybox and the executable.
    pub busybox: String,
    /// The same with PostgreSQL, Redis and the scripts of the stack.
    stack: OnceLock<String>,
}

impl Images {
    /// The images, made by whoever comes first.
    pub fn get() -> Arc<Self> {
        static SHARED: Mutex<Weak<Images>> = Mutex::new(Weak::new());
        let mut shared = SHARED.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        if let Some(images) = shared.upgrade() {
            return images;
        }
        let label = unique("images");
        let mut images = Self { alone: String::new(), busybox: String::new(), stack: OnceLock::new(), label };
        images.busybox = images.import("busybox", "");
        images.alone = images.build_alone();
        let images = Arc::new(images);
        *shared = Arc::downgrade(&images);
        images
    }

    /// The image of the stack.
    pub fn stack(&self) -> &str {
        self.stack.get_or_init(|| self.import("stack", "stack"))
    }

    fn import(&self, name: &str, kind: &str) -> String {
        let image = unique(name);
        let script = r#"set -o pipefail; "$0" "$1" $2 | docker import --change "LABEL made-by=$3" --change 'ENV PATH=/bin' - "$4""#;
        let mut command = Command::new(tool(&["bash"], "bash"));
        command.args(["-c", script]).arg(files().join("root.sh")).arg(executable());
        run(command.args([kind, &self.label, &image]));
        image
    }

    /// Builds the last stage of the example, with a cargo that has already built.
    fn build_alone(&self) -> String {
        let image = unique("alone");
        run(&mut self.build(&image, &[]));
        image
    }

    /// Builds `Dockerfile.example`. No registry is asked: its base images are local ones, and the
    /// `cargo` of the build stage puts the executable in place that was built before.
    pub fn build(&self, image: &str, options: &[&str]) -> Command {
        let root = env!("CARGO_MANIFEST_DIR");
        let rust = format!("RUST_IMAGE={}", self.busybox);
        let app = format!("APP_IMAGE={}", self.busybox);
        let label = format!("made-by={}", self.label);
        let mut command = docker(["build", "--quiet", "--force-rm", "--no-cache", "--network", "none", "-t", image]);
        command.args(["--build-arg", &rust, "--build-arg", &app, "--label", &label]).args(options);
        command.arg("--file").arg(format!("{root}/Dockerfile.example")).arg(root);
        command
    }
}

impl Drop for Images {
    fn drop(&mut self) {
        let filter = format!("label=made-by={}", self.label);
        // Stages that end up in no image have the label of their base. An image goes after those made of it.
        while remove(&["images", "--quiet", "--all", "--filter", &filter], &["rmi", "--force"]) {}
    }
}

/// Removes what a list holds; whether any could be.
fn remove(list: &[&str], removal: &[&str]) -> bool {
    let found = docker(list.iter().copied()).output().map(|found| found.stdout).unwrap_or_default();
    let found = String::from_utf8_lossy(&found).into_owned();
    let removed =
        |one: &str| docker(removal.iter().copied()).arg(one).output().is_ok_and(|output| output.status.success());
    found.split_whitespace().filter(|&one| removed(one)).count() > 0
}

/// What one test makes in the engine.
pub struct Sandbox {
    label: String,
    /// The images it runs.
    pub images: Arc<Images>,
}

impl Sandbox {
    /// Nothing yet; `None` where the test is to be skipped.
    pub fn new(test: &str) -> Option<Self> {
        is_there().then(|| Self { label: format!("made-by={}", unique(test)), images: Images::get() })
    }

    /// A network that leads nowhere else.
    pub fn network(&self, options: &[&str]) -> String {
        let name = unique("net");
        run(docker(["network", "create", "--internal", "--label", &self.label]).args(options).arg(&name));
        name
    }

    /// A command that runs a container to its end.
    pub fn docker_run(&self, options: &[&str]) -> Command {
        let mut command = docker(["run", "--label", &self.label]);
        // Names that the engine does not know are asked for nowhere outside.
        command.args(["--dns", "127.0.0.1"]).args(options);
        command
    }

    /// Starts a container.
    #[track_caller]
    pub fn start(&self, options: &[&str], image: &str, args: &[&str]) -> Container {
        let name = unique("c");
        run(self.docker_run(&["--detach", "--name", &name]).args(options).arg(image).args(args));
        Container { name }
    }

    /// Starts a container with a limit of processes that the engine's own runtime may be too many for:
    /// until its last step, it counts against the limit too. Where it fails, it is asked again.
    #[track_caller]
    pub fn start_limited(&self, options: &[&str], image: &str, args: &[&str]) -> Container {
        let mut said = String::new();
        for _ in 0..20 {
            let name = unique("c");
            let output = output(self.docker_run(&["--detach", "--name", &name]).args(options).arg(image).args(args));
            if output.status.success() {
                return Container { name };
            }
            said = both(&output);
            let is_of_the_engine = ["cannot start a stopped process", "OCI runtime"].iter().any(|it| said.contains(it));
            assert!(is_of_the_engine, "{said}");
        }
        panic!("the engine cannot start it: {said}");
    }

    /// A container of busybox that runs a script.
    #[track_caller]
    pub fn script(&self, options: &[&str], script: &str) -> Container {
        self.start(options, &self.images.busybox, &["sh", "-c", script])
    }
}

impl Drop for Sandbox {
    fn drop(&mut self) {
        let filter = format!("label={}", self.label);
        remove(&["ps", "--quiet", "--all", "--filter", &filter], &["rm", "--force", "--volumes"]);
        remove(&["network", "ls", "--quiet", "--filter", &filter], &["network", "rm"]);
    }
}

/// A container; it is removed with its [`Sandbox`].
pub struct Container {
    /// Its name or ID.
    pub name: String,
}

impl Container {
    /// A field, as `docker inspect` formats it.
    #[track_caller]
    pub fn inspect(&self, format: &str) -> String {
        run(&mut docker(["inspect", "--format", format, &self.name]))
    }

    /// What it wrote.
    #[track_caller]
    pub fn logs(&self) -> String {
        both(&output(&mut docker(["logs", &self.name])))
    }

    /// Waits until it has written `text`.
    #[track_caller]
    pub fn wait_for_log(&self, text: &str) -> &Self {
        eventually(|| format!("`{text}` in\n{}", self.logs()), || self.logs().contains(text));
        self
    }

    /// Waits for its end: its exit code.
    #[track_caller]
    pub fn wait(&self) -> i32 {
        let is_over = || self.inspect("{{.State.Status}}") == "exited";
        eventually(|| format!("the end of {}:\n{}", self.name, self.logs()), is_over);
        self.exit_code()
    }

    /// The exit code of its last run.
    #[track_caller]
    pub fn exit_code(&self) -> i32 {
        self.inspect("{{.State.ExitCode}}").parse().unwrap()
    }

    /// `docker stop`, and how long it took.
    #[track_caller]
    pub fn stop(&self) -> Duration {
        let begun = Instant::now();
        run(&mut docker(["stop", "--time", "10", &self.name]));
        begun.elapsed()
    }

    /// Its address in its one network.
    #[track_caller]
    pub fn address(&self) -> String {
        self.inspect("{{range .NetworkSettings.Networks}}{{.IPAddress}}{{end}}")
    }

    /// Waits until its health check says `health`.
    #[track_caller]
    pub fn wait_for_health(&self, health: &str) {
        let found = || self.inspect("{{.State.Status}} {{with .State.Health}}{{.Status}}{{end}}");
        let wanted = format!("running {health}");
        eventually(|| format!("{health}, but {}:\n{}", found(), self.logs()), || found() == wanted);
    }
}
