//! Where a redirect leads (RFC 9110, section 15.4; references as in RFC 3986, section 5.2).

use ureq::http::{Method, header};

use crate::net::tls_settings::TargetTls;
use crate::net::{Address, Place};
use crate::targets::http::{Follow, Http, authority, query_values, request_target, shown_path};
use crate::targets::shared::url::{self, Userinfo};

/// Where a redirect leads.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Redirect {
    /// To a request that is to be made next.
    Next(Box<Http>),
    /// To this host, where it is not to be followed to.
    OtherHost(String),
}

impl Http {
    /// The request that a redirect with `status` and `location` asks for.
    ///
    /// Credentials, and all other fields that were given, go to no other host, port or weaker protocol; only a
    /// change from http to https at the usual ports is no other place.
    ///
    /// # Errors
    ///
    /// Says what is wrong with the location, without quoting it: it may hold a token.
    pub(crate) fn redirected(&self, status: u16, location: &str) -> Result<Redirect, String> {
        let location = location.trim();
        let location = location.split('#').next().unwrap_or_default();
        let own_scheme = if self.tls.is_some() { "https" } else { "http" };
        let whole = match scheme_of(location) {
            Some(_) => location.to_owned(),
            None if location.starts_with("//") => format!("{own_scheme}:{location}"),
            None => format!("{own_scheme}://{}{}", self.authority, self.reference(location)),
        };
        let tls = match scheme_of(&whole).map(str::to_ascii_lowercase).as_deref() {
            Some("http") => false,
            Some("https") => true,
            _ => return Err("it leads to something that is not HTTP".to_owned()),
        };
        let rest = whole.split_once("://").map_or("", |(_, rest)| rest);
        let parts = url::split(rest, Userinfo::AndPathWithAt)?;
        let (host, port) = url::host_and_port(parts.hosts)?;
        let is_same_host = host.eq_ignore_ascii_case(&self.host);
        if !is_same_host && self.follow != Follow::Any {
            return Ok(Redirect::OtherHost(host));
        }
        let (path, path_and_query) = request_target(parts.path, parts.query)?;

        let mut next = self.clone();
        let port = port.unwrap_or(if tls { 443 } else { 80 });
        if parts.hosts != self.authority || tls != self.tls.is_some() {
            let is_upgrade = self.tls.is_none() && tls && self.port() == Some(80) && port == 443;
            let is_same_place = is_same_host && self.port() == Some(port) && (tls || self.tls.is_none());
            if !(is_same_place || is_same_host && is_upgrade) {
                next.headers.retain(|field| field.name == header::ACCEPT || field.name == header::USER_AGENT);
            }
            let address = Address { host: host.clone(), port };
            next.authority = authority(&address, if tls { 443 } else { 80 });
            next.place = Place::Tcp(address);
            next.origin = format!("http{}://{}", if tls { "s" } else { "" }, parts.hosts);
            // The settings for one server's certificate hold for no other.
            next.tls = match &self.tls {
                Some(own) if tls && is_same_host => Some(own.clone()),
                _ => tls.then(TargetTls::default),
            };
        }
        next.host = host;
        next.query_values.extend(query_values(parts.query.unwrap_or_default()));
        next.path = shown_path(&path);
        next.path_and_query = path_and_query;
        // As browsers and curl do.
        if matches!(status, 301..=303) && next.method == Method::POST || status == 303 && next.method != Method::HEAD {
            next.method = Method::GET;
        }
        Ok(Redirect::Next(Box::new(next)))
    }

    fn port(&self) -> Option<u16> {
        match &self.place {
            Place::Tcp(address) => Some(address.port),
            Place::Unix(_) => None,
        }
    }

    /// A relative reference as a path and query of this host.
    fn reference(&self, location: &str) -> String {
        let own = self.path_and_query.expose();
        let own_path = own.split('?').next().unwrap_or_default();
        match location.chars().next() {
            None => own.to_owned(),
            Some('/') => location.to_owned(),
            Some('?') => format!("{own_path}{location}"),
            Some(_) => format!("{}{location}", &own_path[..own_path.rfind('/').map_or(0, |slash| slash + 1)]),
        }
    }
}

/// `scheme:` before anything that a scheme cannot hold (RFC 3986, section 3.1).
fn scheme_of(reference: &str) -> Option<&str> {
    let (scheme, _) = reference.split_once(':')?;
    let is_scheme = scheme.starts_with(|c: char| c.is_ascii_alphabetic())
        && scheme.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '+' | '-' | '.'));
    is_scheme.then_some(scheme)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::targets::Surroundings;
    use crate::targets::shared::http_options::HttpDefaults;
    use crate::targets::shared::lookup::Lookup;
    use crate::targets::shared::target::Target;

    fn http(url: &str) -> Http {
        let (env, file) = (|_: &str| None, |_: &str| Err(std::io::ErrorKind::NotFound.into()));
        let context = Surroundings { lookup: Lookup { env: &env, file: &file }, http: &HttpDefaults::default() };
        Target::parse(url, &context).unwrap().as_kind::<Http>().cloned().unwrap_or_else(|| panic!("{url}"))
    }

    fn next(from: &str, location: &str) -> Http {
        match http(from).redirected(302, location) {
            Ok(Redirect::Next(next)) => *next,
            other => panic!("{location}: {other:?}"),
        }
    }

    #[test]
    fn references_lead_where_rfc_3986_says() {
        for (location, expected) in [
            ("/x", "http://h:8000/x"),
            ("y", "http://h:8000/a/y"),
            ("../y?z=1#part", "http://h:8000/y?z=1"),
            ("./", "http://h:8000/a/"),
            ("?q", "http://h:8000/a/b?q"),
            ("", "http://h:8000/a/b"),
            ("//h/x", "http://h/x"),
            ("HTTPS://H:1/ä b", "https://H:1/%C3%A4%20b"),
            ("/../../x", "http://h:8000/x"),
        ] {
            let next = next("http://h:8000/a/b#follow", location);
            let scheme = if next.tls.is_some() { "https" } else { "http" };
            let shown = format!("{scheme}://{}{}", next.authority, next.path_and_query.expose());
            assert_eq!(shown, expected, "{location}");
        }
        for wrong in ["ftp://h/", "http:///x", "http://h:99999/", "mailto:x"] {
            assert!(http("http://h/#follow").redirected(302, wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn another_host_is_for_follow_any_alone() {
        let other = Redirect::OtherHost("other".to_owned());
        assert_eq!(http("http://h/#follow").redirected(302, "http://other/"), Ok(other));
        assert_eq!(next("http://h/#follow=any", "http://other:1/").place.to_string(), "other:1");
    }

    #[test]
    fn credentials_never_go_to_another_place() {
        for (from, location, go) in [
            ("http://u:p@h/#follow=any", "/x", true),
            ("http://u:p@h/#follow=any", "http://H/x", true),
            ("http://u:p@h/#follow=any", "https://h/x", true),
            ("http://u:p@h/#follow=any", "http://h:8000/x", false),
            ("https://u:p@h/#follow=any", "http://h/x", false),
            ("https://u:p@h/#follow=any", "https://other/x", false),
            ("http://h/#follow=any&header=X-Token:t", "http://other/x", false),
        ] {
            assert_eq!(!next(from, location).headers.is_empty(), go, "{from} {location}");
        }
    }

    #[test]
    fn a_post_becomes_a_get_as_in_browsers() {
        for (method, status, expected) in [
            ("POST", 302, "GET"),
            ("POST", 307, "POST"),
            ("PUT", 303, "GET"),
            ("PUT", 302, "PUT"),
            ("HEAD", 303, "HEAD"),
        ] {
            let from = http(&format!("http://h/#follow&method={method}"));
            let Ok(Redirect::Next(next)) = from.redirected(status, "/x") else { panic!() };
            assert_eq!(next.method.as_str(), expected, "{method} {status}");
        }
    }

    #[test]
    fn follow_has_one_value_alone() {
        assert_eq!(http("http://h/").follow, Follow::None);
        assert_eq!(http("http://h/#follow").follow, Follow::SameHost);
        assert_eq!(http("http://h/#follow=any").follow, Follow::Any);
    }
}
