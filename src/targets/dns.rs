//! Names that must resolve.

use std::fmt;

use crate::net::resolve::required_records;
use crate::net::resolve::wire::RecordType;
use crate::net::tls::Tls;
use crate::net::{self, Attempt};
use crate::targets::shared::kind::{Form, Key, Probe, Scheme, TargetKind};
use crate::targets::shared::reading::Reading;
use crate::targets::shared::url;
use crate::text::peer_excerpt;
use crate::wait::outcome::{Outcome, Ready};
use crate::wait::policy::Goal;

/// A name that must resolve.
pub(crate) static KINDS: &[TargetKind] = &[TargetKind {
    schemes: &[Scheme::new(&["dns"])],
    forms: &[Form {
        url: "dns://NAME",
        ready: "the name resolves",
        keys: &[Key::new("type=TYPE", "it has a record of this type (SRV, MX, TXT, NS, PTR, CNAME, A, AAAA)")],
    }],
    read: |written, reading| Ok(Box::new(DnsName::from_url(written.rest, reading)?)),
    ..TargetKind::USUAL
}];

/// A name that must resolve to at least one address, or have a record of another type.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct DnsName {
    name: String,
    /// `type=`
    wanted: Option<RecordType>,
}

impl DnsName {
    fn from_url(rest: &str, reading: &mut Reading<'_>) -> Result<Self, String> {
        let name = rest.strip_suffix('/').unwrap_or(rest);
        if name.contains(':') {
            return Err("a dns target is dns://NAME, without a port".to_owned());
        }
        url::check_name(name)?;
        let wanted = reading.expectations.take("type")?.map(|text| {
            let found = RecordType::ALL.into_iter().find(|known| known.name().eq_ignore_ascii_case(&text));
            found.ok_or("the value of `type` is no type of record that is known (try SRV, MX or TXT)")
        });
        Ok(Self { name: name.to_owned(), wanted: wanted.transpose()? })
    }
}

impl Probe for DnsName {
    fn kind(&self) -> &'static TargetKind {
        &KINDS[0]
    }

    fn run(&self, _: Goal, _: &Tls, attempt: &Attempt) -> Outcome {
        let (what, found): (_, Vec<String>) = match self.wanted {
            None => {
                let addresses = net::resolve(&self.name, 0, attempt)?;
                ("resolves to".to_owned(), addresses.iter().map(|address| address.ip().to_string()).collect())
            }
            Some(wanted) => {
                let found = required_records(&self.name, wanted, attempt)?;
                (format!("{} records:", wanted.name()), found.iter().map(ToString::to_string).collect())
            }
        };
        let more = if found.len() > 3 { ", …" } else { "" };
        let shown = found[..found.len().min(3)].join(", ");
        Ok(Ready::new(format!("{what} {}{more}", peer_excerpt(shown))))
    }

    fn show(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "dns://{}", self.name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::targets::scripted;

    #[test]
    fn a_type_is_named_in_any_case() {
        let wanted = |url: &str| {
            let target = scripted::target(url);
            target.as_kind::<DnsName>().and_then(|name| name.wanted).map(RecordType::name)
        };
        assert_eq!(wanted("dns://_pg._tcp.db.example#type=srv"), Some("SRV"));
        assert_eq!(wanted("dns://example.org#type=MX"), Some("MX"));
        assert_eq!(wanted("dns://example.org"), None);
    }
}
