//! What is expected of a target: the pairs of its fragment.

use super::{Endpoint, url};

/// Every key of every kind; what is none is not shown.
pub(crate) const KEYS: [&str; 22] = [
    "timeout",
    "successes",
    "status",
    "method",
    "header",
    "body",
    "json",
    "follow",
    "query",
    "key",
    "role",
    "cluster",
    "nonempty",
    "exit",
    "queue",
    "topic",
    "attempt-timeout",
    "insecure",
    "ca",
    "cert",
    "cert-key",
    "servername",
];

/// Whether it is a key of a fragment.
pub(super) fn is_key(text: &str) -> bool {
    KEYS.contains(&text)
}

/// The pairs of the fragment that nobody has taken yet.
#[derive(Debug, Default)]
pub(crate) struct Expectations {
    pairs: Vec<(String, Option<String>)>,
}

impl Expectations {
    pub(super) fn parse(fragment: &str) -> Result<Self, String> {
        Ok(Self { pairs: url::pairs(fragment).collect::<Result<_, _>>()? })
    }

    /// The values of a key that may be repeated.
    pub(crate) fn take_all(&mut self, key: &str) -> Result<Vec<String>, String> {
        self.pairs
            .extract_if(.., |(name, _)| name == key)
            .map(|(_, value)| value.filter(|v| !v.is_empty()).ok_or_else(|| format!("`{key}` needs a value: {key}=…")))
            .collect()
    }

    /// The value of a key that may be given once.
    pub(crate) fn take(&mut self, key: &str) -> Result<Option<String>, String> {
        let mut values = self.take_all(key)?;
        if values.len() > 1 {
            return Err(format!("`{key}` is given twice"));
        }
        Ok(values.pop())
    }

    /// Whether a key that takes no value is there.
    pub(crate) fn take_flag(&mut self, key: &str) -> Result<bool, String> {
        let given: Vec<_> = self.pairs.extract_if(.., |(name, _)| name == key).collect();
        match given.as_slice() {
            [] => Ok(false),
            all if all.iter().all(|(_, value)| value.is_none()) => Ok(true),
            _ => Err(format!("`{key}` takes no value")),
        }
    }

    /// A key that may be given once, with a value or without, which is an empty one.
    pub(crate) fn take_either(&mut self, key: &str) -> Result<Option<String>, String> {
        let mut given: Vec<_> = self.pairs.extract_if(.., |(name, _)| name == key).map(|(_, value)| value).collect();
        if given.len() > 1 {
            return Err(format!("`{key}` is given twice"));
        }
        Ok(given.pop().map(Option::unwrap_or_default))
    }

    pub(super) fn finish(self, endpoint: &Endpoint) -> Result<(), String> {
        let Some((key, _)) = self.pairs.first() else {
            return Ok(());
        };
        let known = match endpoint {
            Endpoint::Http(_) => "timeout, successes, status, method, header, body, json, follow",
            Endpoint::Postgres(_) => "timeout, successes, query",
            Endpoint::Redis(_) => "timeout, successes, key, role, cluster",
            Endpoint::Service(service) => service.protocol.keys(),
            Endpoint::File { .. } => "timeout, successes, nonempty",
            #[cfg(feature = "exec")]
            Endpoint::Exec(_) => "timeout, successes, attempt-timeout, exit",
            Endpoint::Connection(_) | Endpoint::Tls(_) | Endpoint::Server(_) | Endpoint::Dns(_) => "timeout, successes",
        };
        // What is no key may be the rest of a password with a `#` in it.
        let shown = if KEYS.contains(&key.as_str()) { format!("`{key}`") } else { "what stands".to_owned() };
        let meant = KEYS.iter().find(|known| strsim::osa_distance(known, key) == 1);
        let meant = meant.filter(|known| !KEYS.contains(&key.as_str()) && known.len() > 3);
        let meant = meant.map_or(String::new(), |known| format!("; did you mean `{known}`?"));
        let tls = if endpoint.knows_tls_keys() { format!(", {}", super::tls::KEYS) } else { String::new() };
        Err(format!("{shown} after `#` means nothing to this target; it knows {known}{tls}{meant}"))
    }
}
