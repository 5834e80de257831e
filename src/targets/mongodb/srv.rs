//! `mongodb+srv://`: servers and options that stand in DNS ("Initial DNS Seedlist Discovery", MongoDB's driver
//! specifications).

use crate::net::resolve::records;
use crate::net::resolve::wire::{Record, RecordType};
use crate::net::{Address, Attempt, Place};
use crate::text::peer_excerpt;
use crate::wait::outcome::{Kind, NotReady};

/// The options that a text in DNS may hold; others are refused.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Options {
    pub(super) auth_source: Option<String>,
    pub(super) replica_set: Option<String>,
}

/// The servers of a name: those of `_SERVICE._tcp.NAME`, in the order of their priorities.
pub(super) fn servers(name: &str, service: &str, attempt: &Attempt) -> Result<Vec<Place>, NotReady> {
    let asked = format!("_{service}._tcp.{name}");
    let found = records(&whole(&asked), RecordType::Srv, attempt)?;
    if found.is_empty() {
        let reason =
            format!("DNS has no SRV records for {asked}: is the name spelt right, and does its cluster exist?");
        return Err(NotReady::new(Kind::Unresolved, reason));
    }
    of_records(found, name)
}

/// The name without a search list: drivers take it for a whole one.
fn whole(name: &str) -> String {
    format!("{}.", name.trim_end_matches('.'))
}

fn of_records(records: Vec<Record>, name: &str) -> Result<Vec<Place>, NotReady> {
    let server =
        |record| if let Record::Server { priority, host, port } = record { Some((priority, host, port)) } else { None };
    let mut servers: Vec<(u16, String, u16)> = records.into_iter().filter_map(server).collect();
    servers.sort();
    // Whoever can write the records of a name must not lead to another's servers.
    let parent = parent(name).to_ascii_lowercase();
    if let Some((_, host, _)) = servers.iter().find(|(_, host, _)| !host.ends_with(&format!(".{parent}"))) {
        let host = peer_excerpt(host);
        let reason = format!("the SRV records of {name} name {host}, which is outside {parent}: drivers refuse it");
        return Err(NotReady::new(Kind::Unexpected, reason));
    }
    let place = |(_, host, port)| Place::Tcp(Address { host, port });
    Ok(servers.into_iter().map(place).collect())
}

/// The domain that all servers must be in: the name without its first label; of a name of one or two, the whole.
fn parent(name: &str) -> &str {
    let name = name.trim_end_matches('.');
    match name.split_once('.') {
        Some((_, parent)) if parent.contains('.') => parent,
        _ => name,
    }
}

/// The options in the name's text, if it has one.
pub(super) fn options(name: &str, attempt: &Attempt) -> Result<Options, NotReady> {
    let texts: Vec<String> = records(&whole(name), RecordType::Txt, attempt)?
        .into_iter()
        .filter_map(|record| if let Record::Text(text) = record { Some(text) } else { None })
        .collect();
    match texts.as_slice() {
        [] => Ok(Options::default()),
        [text] => of_text(text, name),
        _ => Err(NotReady::new(Kind::Unexpected, format!("{name} has several TXT records: drivers refuse that"))),
    }
}

fn of_text(text: &str, name: &str) -> Result<Options, NotReady> {
    let mut options = Options::default();
    for pair in text.split('&').filter(|pair| !pair.is_empty()) {
        let (key, value) = pair.split_once('=').unwrap_or((pair, ""));
        match key.to_ascii_lowercase().as_str() {
            "authsource" => options.auth_source = Some(value.to_owned()),
            "replicaset" => options.replica_set = Some(value.to_owned()),
            "loadbalanced" => {}
            _ => {
                let key = peer_excerpt(key);
                let reason = format!(
                    "the TXT record of {name} holds {key}, and drivers refuse all but authSource and replicaSet"
                );
                return Err(NotReady::new(Kind::Unexpected, reason));
            }
        }
    }
    Ok(options)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn server(priority: u16, host: &str) -> Record {
        Record::Server { priority, host: host.to_owned(), port: 27017 }
    }

    #[test]
    fn servers_are_those_of_the_same_domain_in_their_order() {
        let servers = |records: Vec<Record>, name| {
            of_records(records, name).map(|places| places.iter().map(Place::to_string).collect::<Vec<_>>())
        };
        let found = servers(vec![server(2, "b.example.org"), server(1, "a.example.org")], "cluster.Example.org");
        assert_eq!(found, Ok(vec!["a.example.org:27017".to_owned(), "b.example.org:27017".to_owned()]));
        for (host, name) in
            [("evil.org", "cluster.example.org"), ("badexample.org", "cluster.example.org"), ("a.org", "b.org")]
        {
            assert_eq!(servers(vec![server(1, host)], name).map_err(|failure| failure.kind), Err(Kind::Unexpected));
        }
        assert!(servers(vec![server(1, "mongo-0.mongo")], "mongo").is_ok());
    }

    #[test]
    fn a_text_holds_two_options_and_no_others() {
        let options = of_text("authSource=admin&replicaSet=rs0", "x").unwrap();
        assert_eq!((options.auth_source.as_deref(), options.replica_set.as_deref()), (Some("admin"), Some("rs0")));
        assert_eq!(of_text("tls=false", "x").map_err(|failure| failure.kind), Err(Kind::Unexpected));
    }
}
