//! MongoDB: nx-27017, a server that speaks its protocol; replica sets of scripted members; pymongo beside us. The states
//! of a server are told apart beside `src/targets/mongodb`; here is the way from a URL to an answer.

use serde_json::{Value, json};

use crate::support::name_server::{Answer, NameServer, at_once};
use crate::support::network::{address, in_private_network};
use crate::support::nx_27017::Nx;
use crate::support::peer::Peer;
use crate::support::script::{Script, gets_in};
use crate::support::{Run, fails_for_good, free_port, not_ready, ready};

/// Asks the server that a driver would use for a ping.
const PING: &str = "
import sys, pymongo
client = pymongo.MongoClient(sys.argv[1], serverSelectionTimeoutMS=1500, connectTimeoutMS=1500, authSource='admin')
client.admin.command('ping', read_preference=client.read_preference)
";

/// Members at these ports with what they say of themselves.
fn set(members: &[(u16, Value)], login: Value) -> Script {
    let members: Vec<Value> = members.iter().map(|(port, hello)| json!({"port": port, "hello": hello})).collect();
    let mut settings = login;
    settings["members"] = json!(members);
    Script::start("mongo_set.py", &[&settings.to_string()])
}

fn place(port: u16) -> String {
    format!("127.0.0.1:{port}")
}

/// What a member says of itself: whether it is the primary, whom it names, and under which name it is known.
fn member(is_primary: bool, hosts: &[String], primary: Option<&str>, me: &str) -> Value {
    let mut hello = json!({
        "isWritablePrimary": is_primary, "ismaster": is_primary, "secondary": !is_primary, "setName": "rs0",
        "setVersion": 1, "hosts": hosts, "me": me,
    });
    if let Some(primary) = primary {
        hello["primary"] = json!(primary);
    }
    hello
}

/// Whether we are ready where pymongo gets in.
#[track_caller]
fn as_pymongo(url: &str, is_ready: bool) -> crate::support::Finished {
    assert_eq!(gets_in(PING, &[url]), is_ready, "pymongo: {url}");
    if is_ready { ready(url) } else { not_ready(url) }
}

#[test]
fn a_real_server_is_ready_where_a_driver_gets_in() {
    let server = Nx::start();
    let url = |rest: &str| format!("mongodb://127.0.0.1:{}/{rest}", server.port);
    as_pymongo(&url(""), true).expect_stderr("accepting connections (standalone)");
    as_pymongo(&url("app?directConnection=true"), true);
    as_pymongo(&url("?loadBalanced=true"), false).expect_stderr("leave loadBalanced=true out");
    as_pymongo(&url("?replicaSet=rs0"), false).expect_stderr("another replica set (none, not rs0)");
    Run::new().args(["--check", &url("")]).finish().expect_status(0);
    // It has no logins, and lets nobody in who has a password.
    Run::new()
        .target(url("").replace("//", "//app:hunter2secret@"))
        .timeout("500ms")
        .finish()
        .expect_nowhere("hunter2");
}

#[test]
fn a_seed_that_is_a_secondary_leads_to_the_primary() {
    let ports = [free_port(), free_port()];
    let hosts = ports.map(place);
    let members = [
        (ports[0], member(false, &hosts, Some(&hosts[1]), &hosts[0])),
        (ports[1], member(true, &hosts, Some(&hosts[1]), &hosts[1])),
    ];
    let _set = set(&members, json!({}));
    for query in ["?replicaSet=rs0", "", "?replicaSet=rs0&readPreference=secondary", "?directConnection=false"] {
        as_pymongo(&format!("mongodb://{}/{query}", hosts[0]), true);
    }
    ready(format!("mongodb://{}/?replicaSet=rs0", hosts[0])).expect_stderr(&format!("at {}", hosts[1]));
    ready(format!("mongodb://{}/?directConnection=true", hosts[0])).expect_stderr("(secondary)");
    as_pymongo(&format!("mongodb://{}/?replicaSet=rs1", hosts[0]), false)
        .expect_stderr("another replica set (rs0, not rs1)");
    // Of several seeds one that answers is enough.
    as_pymongo(&format!("mongodb://{},{}/?replicaSet=rs0", place(free_port()), hosts[0]), true);
}

#[test]
fn a_primary_that_is_advertised_where_nobody_listens_is_the_reason() {
    let (port, dead) = (free_port(), format!("localhost:{}", free_port()));
    let members = [(port, member(true, std::slice::from_ref(&dead), Some(&dead), &dead))];
    let _set = set(&members, json!({}));
    for query in ["", "?replicaSet=rs0"] {
        let run = as_pymongo(&format!("mongodb://{}/{query}", place(port)), false);
        run.expect_stderr(&format!("is advertised as {dead} (rs.conf() members[].host)"));
    }
    as_pymongo(&format!("mongodb://{}/?directConnection=true", place(port)), true);
    let until_down = Run::new().arg("--until-down").target(format!("mongodb://{}/", place(port)));
    until_down.timeout("500ms").finish().expect_status(124).expect_stderr("it still answers");
}

#[test]
fn a_set_without_a_primary_is_ready_only_for_who_wants_none() {
    let port = free_port();
    let hosts = [place(port)];
    let _set = set(&[(port, member(false, &hosts, None, &hosts[0]))], json!({}));
    let url = |query: &str| format!("mongodb://{}/?replicaSet=rs0{query}", hosts[0]);
    as_pymongo(&url(""), false).expect_stderr("has no member that is a primary");
    for preference in ["primaryPreferred", "secondary", "secondaryPreferred", "nearest"] {
        as_pymongo(&url(&format!("&readPreference={preference}")), true);
    }
    let waiting = [(free_port(), json!({"isreplicaset": true, "ismaster": false, "secondary": false}))];
    let _set = set(&waiting, json!({}));
    as_pymongo(&format!("mongodb://{}/?replicaSet=rs0", place(waiting[0].0)), false).expect_stderr("rs.initiate()");
}

#[test]
fn a_login_is_that_of_the_user_old_or_new() {
    for mechanism in ["SCRAM-SHA-256", "SCRAM-SHA-1"] {
        let port = free_port();
        let hosts = [place(port)];
        let login = json!({"mechanism": mechanism, "password": "right pass"});
        let _set = set(&[(port, member(true, &hosts, Some(&hosts[0]), &hosts[0]))], login);
        let url = |password: &str, query: &str| format!("mongodb://app:{password}@{}/?{query}", hosts[0]);
        for query in ["", "authMechanism=DEFAULT", &format!("authMechanism={mechanism}")] {
            as_pymongo(&url("right%20pass", query), true).expect_stderr("logged in as app");
        }
        assert!(!gets_in(PING, &[&url("hunter2secret", "")]));
        fails_for_good(url("hunter2secret", ""))
            .expect_stderr("Authentication failed. (18): check user, password and authSource")
            .expect_nowhere("hunter2secret");
    }
}

#[test]
fn servers_and_options_that_stand_in_dns_are_found() {
    in_private_network(|| {
        let port = free_port();
        let server = move |name: &str| {
            let labels =
                name.split('.').flat_map(|label| [&[u8::try_from(label.len()).unwrap()], label.as_bytes()].concat());
            [&[0, 1, 0, 1][..], &port.to_be_bytes(), &labels.collect::<Vec<_>>(), &[0]].concat()
        };
        let text = |text: &str| [&[u8::try_from(text.len()).unwrap()], text.as_bytes()].concat();
        let _server = NameServer::start("options timeout:1 attempts:1", move |name| {
            at_once(match name {
                "_mongodb._tcp.cluster.example.org." | "_other._tcp.cluster.example.org." => {
                    Answer::Records(vec![(33, server("a.example.org"))])
                }
                "_mongodb._tcp.evil.example.org." => Answer::Records(vec![(33, server("a.example.com"))]),
                "cluster.example.org." => Answer::Records(vec![(16, text("authSource=admin&replicaSet=rs0"))]),
                "a.example.org." => Answer::Addresses(vec![address("127.0.0.1")]),
                _ => Answer::NxDomain,
            })
        });
        let hosts = [format!("a.example.org:{port}")];
        let members = [(port, member(true, &hosts, Some(&hosts[0]), &hosts[0]))];
        let _set = set(&members, json!({"password": "right"}));
        for query in ["", "&srvServiceName=other"] {
            ready(format!("mongodb+srv://app:right@cluster.example.org/?tls=false{query}"))
                .expect_stderr("logged in as app (primary of rs0");
        }
        not_ready("mongodb+srv://evil.example.org/?tls=false").expect_stderr("outside example.org");
        not_ready("mongodb+srv://nothing.example.org/")
            .expect_stderr("no SRV records for _mongodb._tcp.nothing.example.org");
        // TLS is the default, and its first byte is no length of a message.
        not_ready("mongodb+srv://app:hunter2secret@cluster.example.org/").expect_nowhere("hunter2secret");
    });
    let greeting = Peer::start(|stream, _| drop(stream));
    for wrong in [format!("mongodb+srv://127.0.0.1:{}", greeting.port), "mongodb+srv://a,b".to_owned()] {
        Run::new().target(wrong).finish().expect_status(2).expect_stderr("one host and no port");
    }
}
