//! Application servers: what their ports do while an application starts, and when it does not.

use std::io::Write;
use std::time::Duration;

use nix::sys::signal::Signal;

use crate::page::{comes_to_hold, holds};
use crate::server::{Plan, Server, connections, debian, wheel};
use crate::support::free_port;

/// Applications whose import waits for the file `go`, for WSGI and ASGI.
const SLOW: &str =
    "import os, time\nopen('DIR/importing', 'w')\nwhile not os.path.exists('DIR/go'):\n    time.sleep(0.02)\n";
const WSGI: &str = "def app(environ, start):\n    start('200 OK', [('Content-Length', '2')])\n    return [b'ok']\n";
const ASGI: &str = "async def app(scope, receive, send):\n    if scope['type'] == 'lifespan':\n        while True:\n            \
    m = await receive()\n            if m['type'] == 'lifespan.startup':\n                await send({'type': 'lifespan.startup.complete'})\n            \
    else:\n                await send({'type': 'lifespan.shutdown.complete'})\n                return\n    \
    await send({'type': 'http.response.start', 'status': 200, 'headers': []})\n    \
    await send({'type': 'http.response.body', 'body': b'ok'})\n";

/// Starts a server whose application takes its time; holds the two rows of before and after.
fn slow(name: &str, application: &str, program: &str, package: &str, args: &[&str]) {
    let plan = Plan::new().file("slow.py", &format!("{SLOW}{application}")).env("PYTHONUNBUFFERED", "1");
    let server = plan.start(&wheel(program, package), args);
    importing(&server);
    comes_to_hold(&format!("{name}: importing"), &server.url("http", "/"));
    std::fs::write(server.path().join("go"), "").unwrap();
    comes_to_hold(&format!("{name}: ready"), &server.url("http", "/"));
}

/// Waits until the application's import has begun.
fn importing(server: &Server) {
    crate::support::eventually("the import", || server.path().join("importing").exists());
}

#[test]
fn gunicorn_and_uwsgi_accept_before_they_can_answer() {
    slow("gunicorn", WSGI, "gunicorn", "gunicorn", &["--bind", "127.0.0.1:PORT", "--no-control-socket", "slow:app"]);
    slow(
        "gunicorn --preload",
        WSGI,
        "gunicorn",
        "gunicorn",
        &["--bind", "127.0.0.1:PORT", "--preload", "--no-control-socket", "slow:app"],
    );
    slow(
        "uwsgi",
        WSGI,
        "uwsgi",
        "uWSGI",
        &["--http-socket", "127.0.0.1:PORT", "--master", "--wsgi-file", "slow.py", "--callable", "app"],
    );
}

#[test]
fn others_open_their_port_when_they_can_answer() {
    slow("uvicorn", ASGI, "uvicorn", "uvicorn", &["--host", "127.0.0.1", "--port", "PORT", "slow:app"]);
    slow("hypercorn", ASGI, "hypercorn", "hypercorn", &["--bind", "127.0.0.1:PORT", "slow:app"]);
    slow(
        "granian",
        ASGI,
        "granian",
        "granian",
        &["--interface", "asgi", "--host", "127.0.0.1", "--port", "PORT", "slow:app"],
    );
    slow("waitress", WSGI, "waitress-serve", "waitress", &["--listen", "127.0.0.1:PORT", "slow:app"]);
}

#[test]
fn a_lifespan_that_does_not_start() {
    let waits = "        open('DIR/importing', 'w')\n        await asyncio.Event().wait()\n        while True:";
    let held = format!("import asyncio\n{}", ASGI.replacen("        while True:", waits, 1));
    let server = Plan::new()
        .file("held.py", &held)
        .start(&wheel("uvicorn", "uvicorn"), &["--host", "127.0.0.1", "--port", "PORT", "held:app"]);
    importing(&server);
    holds("uvicorn: lifespan", &server.url("http", "/"));
    let server = Plan::new()
        .file("held.py", &held)
        .start(&wheel("daphne", "daphne"), &["-b", "127.0.0.1", "-p", "PORT", "held:app"]);
    comes_to_hold("daphne: no lifespan", &server.url("http", "/"));
}

#[test]
fn an_application_that_cannot_be_imported() {
    let plan = Plan::new().file("broken.py", "import nowhere_to_be_found\n");
    let server = plan
        .start(&wheel("uwsgi", "uWSGI"), &["--http-socket", "127.0.0.1:PORT", "--master", "--wsgi-file", "broken.py"])
        .listening();
    comes_to_hold("uwsgi: broken", &server.url("http", "/"));
}

#[test]
fn a_worker_that_is_busy_and_a_server_that_ends() {
    let busy = "import os, time\ndef app(environ, start):\n    while environ['PATH_INFO'] == '/busy' and not os.path.exists('DIR/go'):\n        \
                time.sleep(0.02)\n    start('200 OK', [('Content-Length', '2')])\n    return [b'ok']\n";
    let server = Plan::new()
        .file("busy.py", busy)
        .start(&wheel("gunicorn", "gunicorn"), &["--bind", "127.0.0.1:PORT", "--no-control-socket", "busy:app"])
        .listening();
    comes_to_hold("gunicorn: ready", &server.url("http", "/"));
    let mut request = connections(server.port, 1);
    request[0].write_all(b"GET /busy HTTP/1.0\r\n\r\n").unwrap();
    comes_to_hold("gunicorn: busy", &server.url("http", "/"));
    server.signal(Signal::SIGTERM);
    comes_to_hold("gunicorn: ending", &server.url("http", "/"));
    std::fs::write(server.path().join("go"), "").unwrap();
}

/// A server with a request under way is told to end; holds what a new connection meets.
fn ending(name: &str, program: &str, args: &[&str]) {
    let waits = "    if scope['type'] == 'http' and scope['path'] == '/busy':\n        while not os.path.exists('DIR/go'):\n            \
                 await asyncio.sleep(0.02)\n    await send({'type': 'http.response.start'";
    let busy = ASGI.replacen("    await send({'type': 'http.response.start'", waits, 1);
    let server = Plan::new()
        .file("busy.py", &format!("import asyncio, os\n{busy}"))
        .start(&wheel(program, program), args)
        .listening();
    comes_to_hold(&format!("{name}: ready"), &server.url("http", "/"));
    let mut request = connections(server.port, 1);
    request[0].write_all(b"GET /busy HTTP/1.1\r\nHost: x\r\n\r\n").unwrap();
    // It has the request once it has answered a later one.
    comes_to_hold(&format!("{name}: ready"), &server.url("http", "/"));
    server.signal(Signal::SIGTERM);
    comes_to_hold(&format!("{name}: ending"), &server.url("http", "/"));
    std::fs::write(server.path().join("go"), "").unwrap();
}

#[test]
fn servers_on_their_way_out() {
    let web = ["--host", "127.0.0.1", "--port", "PORT", "busy:app"];
    ending("uvicorn", "uvicorn", &web);
    ending("uvicorn --workers", "uvicorn", &[&["--workers", "2"][..], &web].concat());
    ending("granian", "granian", &[&["--interface", "asgi"][..], &web].concat());
}

#[test]
fn ruby_servers() {
    let slow = |name: &str, program: &str, args: &[&str]| {
        let server = Plan::new()
            .file(
                "config.ru",
                "File.write('DIR/importing', '')\nsleep 0.02 until File.exist?('DIR/go')\n\
                 run lambda { |_| [200, { 'content-length' => '2' }, ['ok']] }\n",
            )
            .start(&debian(program, program), args);
        importing(&server);
        comes_to_hold(&format!("{name}: importing"), &server.url("http", "/"));
        std::fs::write(server.path().join("go"), "").unwrap();
        comes_to_hold(&format!("{name}: ready"), &server.url("http", "/"));
    };
    slow("puma", "puma", &["-b", "tcp://127.0.0.1:PORT"]);
    slow("puma -w", "puma", &["-w", "2", "-b", "tcp://127.0.0.1:PORT"]);
    slow("unicorn", "unicorn", &["-l", "127.0.0.1:PORT"]);
}

mod java {
    use super::*;

    const SLOW_JSP: &str =
        "<web-app version=\"3.1\"><listener><listener-class>Slow</listener-class></listener></web-app>";

    /// A listener that waits for the file `go`, or throws where there is a file `throw`, compiled against `api`.
    fn listener(plan: Plan, package: &str, api: &str, classes: &str) -> Plan {
        let source = format!(
            "import {package}.servlet.*;\npublic class Slow implements ServletContextListener {{\n  \
             public void contextInitialized(ServletContextEvent e) {{\n    \
             if (new java.io.File(\"DIR/throw\").exists()) throw new RuntimeException(\"broken\");\n    \
             try {{ while (!new java.io.File(\"DIR/go\").exists()) Thread.sleep(20); }} catch (InterruptedException i) {{ }}\n  }}\n  \
             public void contextDestroyed(ServletContextEvent e) {{ }}\n}}\n"
        );
        let plan = plan.file("source/Slow.java", &source).file(&format!("{classes}/.keep"), "");
        let output = std::process::Command::new(debian("javac", "default-jdk-headless"))
            .args(["-cp", api, "-d"])
            .arg(plan.path().join(classes))
            .arg(plan.path().join("source/Slow.java"))
            .output()
            .expect("javac");
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        plan
    }

    fn tomcat(throws: bool) -> Server {
        let conf = "<Server port=\"-1\"><Service name=\"Catalina\"><Connector port=\"PORT\" address=\"127.0.0.1\"/>\
             <Engine name=\"Catalina\" defaultHost=\"localhost\"><Host name=\"localhost\" appBase=\"webapps\" deployOnStartup=\"true\"/>\
             </Engine></Service></Server>";
        let plan = Plan::new()
            .file("conf/server.xml", conf)
            .file("webapps/slow/WEB-INF/web.xml", SLOW_JSP)
            .file("temp/.keep", "")
            .file("logs/.keep", "");
        let plan = listener(plan, "jakarta", "/usr/share/tomcat10/lib/servlet-api.jar", "webapps/slow/WEB-INF/classes");
        let plan = if throws { plan.file("throw", "") } else { plan };
        let plan = plan
            .file("webapps/slow/index.html", "ok")
            .env("CATALINA_BASE", "DIR")
            .env("CATALINA_HOME", "/usr/share/tomcat10");
        let plan = plan.file("conf/web.xml", include_str!("web.xml"));
        plan.start(
            &debian("java", "default-jre-headless"),
            &[
                "-Xmx128m",
                "-Dcatalina.base=DIR",
                "-Dcatalina.home=/usr/share/tomcat10",
                "-Djava.io.tmpdir=DIR/temp",
                "-cp",
                "/usr/share/tomcat10/bin/bootstrap.jar:/usr/share/tomcat10/bin/tomcat-juli.jar",
                "org.apache.catalina.startup.Bootstrap",
                "start",
            ],
        )
    }

    #[test]
    fn tomcat_accepts_before_its_applications_have_started() {
        let server = tomcat(false).listening();
        comes_to_hold("tomcat: starting", &server.url("http", "/slow/"));
        std::fs::write(server.path().join("go"), "").unwrap();
        comes_to_hold("tomcat: ready", &server.url("http", "/slow/"));
        let broken = tomcat(true).listening();
        comes_to_hold("tomcat: failed", &broken.url("http", "/slow/"));
    }

    #[test]
    fn jetty_opens_its_port_when_its_applications_have_started() {
        let start = |throws: bool| {
            let plan = Plan::new().file("webapps/slow/WEB-INF/web.xml", SLOW_JSP).file("webapps/slow/index.html", "ok");
            let plan = listener(
                plan,
                "javax",
                "/usr/share/jetty9/lib/servlet-api-3.1.jar:/usr/share/java/servlet-api-3.1.jar:/usr/share/java/javax.servlet-api.jar:/usr/share/java/servlet-api.jar",
                "webapps/slow/WEB-INF/classes",
            );
            let plan = if throws { plan.file("throw", "") } else { plan };
            plan.file("tmp/.keep", "").start(
                &debian("java", "default-jre-headless"),
                &[
                    "-Xmx128m",
                    "-Djava.io.tmpdir=DIR/tmp",
                    "-jar",
                    "/usr/share/jetty9/start.jar",
                    "jetty.home=/usr/share/jetty9",
                    "jetty.base=DIR",
                    "--module=http,deploy,webapp",
                    "jetty.http.host=127.0.0.1",
                    "jetty.http.port=PORT",
                ],
            )
        };
        let server = start(false);
        crate::support::eventually("its start", || server.log().contains("INFO"));
        comes_to_hold("jetty: starting", &server.url("http", "/slow/"));
        std::fs::write(server.path().join("go"), "").unwrap();
        comes_to_hold("jetty: ready", &server.url("http", "/slow/"));
        let broken = start(true).listening();
        comes_to_hold("jetty: failed", &broken.url("http", "/slow/"));
    }
}

#[test]
fn a_published_port_whose_service_is_not_up() {
    // What docker-proxy does: it accepts, tries the container, and ends the connection.
    let closed = free_port();
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    std::thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            assert!(std::net::TcpStream::connect(("127.0.0.1", closed)).is_err());
            std::thread::sleep(Duration::from_millis(2));
            drop(stream);
        }
    });
    comes_to_hold("published: tcp", &format!("127.0.0.1:{port}"));
    holds("published: http", &format!("http://127.0.0.1:{port}/"));
    holds("published: postgres", &format!("postgres://127.0.0.1:{port}/"));
}
