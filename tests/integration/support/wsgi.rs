//! Real gunicorn and uWSGI with one worker, and an application that takes its time.

use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, SystemTime};

use tempfile::TempDir;

use super::{Reaper, directory, eventually, free_port, venv_tool};

/// How long the application takes, in seconds.
#[derive(Debug, Clone, Copy)]
pub struct Times {
    /// To be imported: until then, connections are accepted and left unanswered.
    pub import: f64,
    /// For each answer.
    pub answer: f64,
}

/// A server that runs.
pub struct Wsgi {
    directory: TempDir,
    /// The port it listens on.
    pub port: u16,
    _process: Reaper,
}

impl Wsgi {
    /// gunicorn with one sync worker.
    pub fn gunicorn(times: Times) -> Self {
        Self::start(times, |port| {
            let mut command = Command::new(venv_tool("gunicorn"));
            command.args([
                "--workers",
                "1",
                "--timeout",
                "120",
                "--bind",
                &format!("127.0.0.1:{port}"),
                "app:application",
            ]);
            command
        })
    }

    /// uWSGI with one worker, which imports the application itself.
    pub fn uwsgi(times: Times) -> Self {
        Self::start(times, |port| {
            let mut command = Command::new(venv_tool("uwsgi"));
            command.args(["--master", "--die-on-term", "--lazy-apps", "--processes", "1", "--module", "app"]);
            command.args(["--http-socket", &format!("127.0.0.1:{port}")]);
            command
        })
    }

    fn start(times: Times, command: impl Fn(u16) -> Command) -> Self {
        let (directory, port) = (directory(), free_port());
        let application = format!(
            "import time\ntime.sleep({})\ndef application(environ, start_response):\n    \
             open('requests', 'a').write(environ['PATH_INFO'] + '\\n')\n    time.sleep({})\n    \
             open('answers', 'a').write(str(time.time_ns()) + '\\n')\n    \
             start_response('200 OK', [('Content-Length', '0')])\n    return [b'']\n",
            times.import, times.answer
        );
        fs::write(directory.path().join("app.py"), application).unwrap();
        let log = fs::File::create(directory.path().join("log")).unwrap();
        let child = command(port)
            .current_dir(directory.path())
            .stdin(Stdio::null())
            .stdout(log.try_clone().unwrap())
            .stderr(log)
            .spawn()
            .expect("a WSGI server");
        let server = Self { directory, port, _process: Reaper(child) };
        eventually("the WSGI server", || is_listening(port));
        server
    }

    /// `http://127.0.0.1:PORT` and `path`
    pub fn url(&self, path: &str) -> String {
        format!("http://127.0.0.1:{}{path}", self.port)
    }

    /// How many answers it has begun.
    pub fn requests(&self) -> usize {
        fs::read_to_string(self.directory.path().join("requests")).unwrap_or_default().lines().count()
    }

    /// How long ago it gave its first answer.
    pub fn since_the_first_answer(&self) -> Duration {
        let answers = fs::read_to_string(self.directory.path().join("answers")).expect("an answer");
        let nanos = answers.lines().next().and_then(|line| line.parse().ok()).expect("a time");
        (SystemTime::UNIX_EPOCH + Duration::from_nanos(nanos)).elapsed().unwrap_or_default()
    }
}

/// Whether somebody listens there; a connection would be one that the server has to serve.
fn is_listening(port: u16) -> bool {
    const LISTEN: &str = "0A";
    let table = fs::read_to_string(Path::new("/proc/net/tcp")).unwrap();
    table.lines().skip(1).any(|line| {
        let mut fields = line.split_whitespace().skip(1);
        let (local, state) = (fields.next().unwrap_or_default(), fields.nth(1).unwrap_or_default());
        local.ends_with(&format!(":{port:04X}")) && state == LISTEN
    })
}
