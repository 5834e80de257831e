//! Lists of whole URLs, as some protocols' clients take them: `nats://a,nats://b`. Any one that answers will do.

use std::fmt;

use crate::net::tls::Tls;
use crate::net::tls_settings::{Encryption, TlsFiles};
use crate::net::{Attempt, Place};
use crate::secret::Secret;
use crate::targets::registry;
use crate::targets::shared::hosts::first_ready;
use crate::targets::shared::kind::{Probe, TargetKind};
use crate::targets::shared::server::shown;
use crate::targets::shared::url::split_name;
use crate::wait::outcome::Outcome;
use crate::wait::policy::Goal;

/// Several servers of one kind, of which one is wanted: asked in order, each with its own credentials.
#[derive(Debug)]
pub(crate) struct AnyOf {
    /// At least one.
    pub(super) servers: Vec<Box<dyn Probe>>,
}

/// The URLs of a list, where `text` is one whose kind takes lists: of one kind, each with a scheme.
///
/// Behind a comma credentials that a URL lacks are those of the first, as NATS' clients have it; behind a semicolon
/// each URL has its own, as in kombu.
pub(crate) fn urls_of_list(text: &str) -> Option<Vec<String>> {
    let (first, others) = split_first(text)?;
    let mut urls = vec![first.to_owned()];
    let userinfo = authority(first).rsplit_once('@').map(|(userinfo, _)| userinfo);
    for (separator, url) in others {
        let (scheme, rest) = url.split_once("://")?;
        urls.push(match userinfo {
            Some(userinfo) if separator == ',' && !authority(url).contains('@') => {
                format!("{scheme}://{userinfo}@{rest}")
            }
            _ => url.to_owned(),
        });
    }
    Some(urls)
}

/// The first URL and, each with what stands before it, the others; None where there are none.
fn split_first(text: &str) -> Option<(&str, Vec<(char, &str)>)> {
    let kind_of = |url: &str| registry::find(url.split_once("://")?.0).map(|found| found.kind);
    let kind = kind_of(text).filter(|kind| kind.takes_lists)?;
    // Blanks are what OpenLDAP's library has between URLs; elsewhere they separate targets.
    let separators: &[char] = if kind.schemes[0].name() == "ldap" { &[',', ';', ' '] } else { &[',', ';'] };
    let begins_another = |at: &usize| {
        let next = text[at + 1..].trim_start();
        split_name(next).0.is_none() && kind_of(next).is_some_and(|other| std::ptr::eq(other, kind))
    };
    let cuts: Vec<usize> = text.match_indices(separators).map(|(at, _)| at).filter(begins_another).collect();
    let ends = cuts.iter().skip(1).copied().chain([text.len()]);
    let others: Vec<(char, &str)> = cuts
        .iter()
        .zip(ends)
        .map(|(&begin, end)| (if text[begin..].starts_with(',') { ',' } else { ';' }, text[begin + 1..end].trim()))
        // Between a comma and the blank behind it.
        .filter(|(_, url)| !url.is_empty())
        .collect();
    cuts.first().map(|&end| (text[..end].trim(), others))
}

fn authority(url: &str) -> &str {
    let rest = url.split_once("://").map_or(url, |(_, rest)| rest);
    &rest[..rest.find(['/', '?', '#']).unwrap_or(rest.len())]
}

/// The server that a failure is told of.
struct Listed<'a>(&'a dyn Probe);

impl fmt::Display for Listed<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&shown(&self.0.places()))
    }
}

impl Probe for AnyOf {
    fn kind(&self) -> &'static TargetKind {
        self.servers[0].kind()
    }

    fn run(&self, goal: Goal, tls: &Tls, attempt: &Attempt) -> Outcome {
        let servers: Vec<Listed<'_>> = self.servers.iter().map(|server| Listed(&**server)).collect();
        first_ready(&servers, goal, attempt, |server, attempt| server.0.run(goal, tls, attempt))
    }

    fn places(&self) -> Vec<Place> {
        self.servers.iter().flat_map(|server| server.places()).collect()
    }

    fn tls_use(&self) -> Encryption {
        let uses = self.servers.iter().map(|server| server.tls_use());
        uses.reduce(|one, other| if one == other { one } else { Encryption::IfOffered }).unwrap_or(Encryption::Never)
    }

    fn knows_tls_keys(&self) -> bool {
        self.servers.iter().any(|server| server.knows_tls_keys())
    }

    fn tls_files(&self) -> Vec<TlsFiles<'_>> {
        self.servers.iter().flat_map(|server| server.tls_files()).collect()
    }

    fn is_led_by_peers(&self) -> bool {
        self.servers.iter().any(|server| server.is_led_by_peers())
    }

    fn secrets(&self) -> Vec<&Secret> {
        self.servers.iter().flat_map(|server| server.secrets()).collect()
    }

    fn hide_expected(&mut self, is_written: &dyn Fn(&str) -> bool) {
        self.servers.iter_mut().for_each(|server| server.hide_expected(is_written));
    }

    fn show(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let urls: Vec<String> = self.servers.iter().map(ToString::to_string).collect();
        f.write_str(&urls.join(","))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_of_urls_are_those_of_one_kind_that_takes_them() {
        let urls = |text: &str| urls_of_list(text).unwrap_or_default();
        assert_eq!(urls("nats://a:4222,nats://b:4222"), ["nats://a:4222", "nats://b:4222"]);
        assert_eq!(urls("nats://u:p@a, nats://b"), ["nats://u:p@a", "nats://u:p@b"]);
        assert_eq!(urls("nats://u:p@a,nats://v:q@b"), ["nats://u:p@a", "nats://v:q@b"]);
        assert_eq!(urls("amqp://u:p@a//;amqp://b:1"), ["amqp://u:p@a//", "amqp://b:1"]);
        assert_eq!(urls("kafka://a,kafkas://b").len(), 2);
        assert_eq!(urls("ldap://a ldaps://b, ldap://c"), ["ldap://a", "ldaps://b", "ldap://c"]);
        for text in [
            "nats://a nats://b",
            "nats://a,b",
            "nats://a",
            "http://a,http://b",
            "nats://a,http://b",
            "nats://a,x=nats://b",
            "a,b",
        ] {
            assert!(urls(text).is_empty(), "{text}");
        }
    }
}
