//! What a target can be, and what can be expected of it: the table that `--help`, the man page and the
//! completions are made of.

/// One kind of target.
pub(super) struct Form {
    /// How it is written.
    pub url: &'static str,
    /// When it is ready.
    pub ready: &'static str,
    /// What can be expected of it in the fragment: as it is written, and what it means.
    pub keys: &'static [(&'static str, &'static str)],
}

/// Every kind of target.
pub(super) const FORMS: &[Form] = &[
    Form { url: "HOST:PORT, tcp://HOST:PORT", ready: "a connection is established", keys: &[] },
    Form { url: "unix:///PATH", ready: "the same, to a socket", keys: &[] },
    Form {
        url: "http://..., https://...",
        ready: "the status is 200-399",
        keys: &[
            ("status=LIST", "accepted statuses, like 200,204,300-399"),
            ("body=TEXT", "the body holds TEXT"),
            (
                "json=/POINTER[=VALUE]",
                "the JSON value at the pointer (RFC 6901) is VALUE (A|B: either), or neither null nor false",
            ),
            ("header=NAME:VALUE", "a header that is sent"),
            ("method=METHOD", "instead of GET"),
            ("follow[=any]", "follow redirects on the same host, or everywhere"),
        ],
    },
    Form { url: "http+unix://SOCKET/PATH", ready: "the same, over a socket (written %2Frun%2Fapp.sock)", keys: &[] },
    Form { url: "ws://..., wss://...", ready: "the server agrees to a WebSocket", keys: &[] },
    Form {
        url: "postgres://USER:PASSWORD@HOST/DB",
        ready: "logged in (without a password: accepting connections)",
        keys: &[("query=SQL", "the first column of its first row is neither false nor NULL")],
    },
    Form {
        url: "redis://..., rediss://...",
        ready: "PONG",
        keys: &[
            ("key=NAME", "the key exists"),
            ("role=master|replica", "the role of the server"),
            ("cluster", "the whole cluster is up"),
        ],
    },
    Form { url: "redis+unix:///PATH", ready: "the same, to a socket", keys: &[] },
    Form {
        url: "redis+sentinel://HOST/MASTER, rediss+sentinel://...",
        ready: "the same, of the master that the sentinels name",
        keys: &[],
    },
    #[cfg(feature = "mysql")]
    Form {
        url: "mysql://USER:PASSWORD@HOST/DB",
        ready: "logged in (without a password: accepting connections)",
        keys: &[("query=SQL", "the first column of its first row is neither 0 nor NULL")],
    },
    #[cfg(feature = "amqp")]
    Form {
        url: "amqp://USER:PASSWORD@HOST/VHOST, amqps://...",
        ready: "logged in, the virtual host takes messages",
        keys: &[("queue=NAME", "the queue exists")],
    },
    #[cfg(feature = "kafka")]
    Form {
        url: "kafka://USER:PASSWORD@HOST",
        ready: "brokers and a controller are known",
        keys: &[("topic=NAME", "the topic exists, and its partitions have leaders")],
    },
    #[cfg(feature = "mongodb")]
    Form {
        url: "mongodb://USER:PASSWORD@HOST/DB",
        ready: "a primary or secondary, logged in where there is a password",
        keys: &[],
    },
    #[cfg(feature = "grpc")]
    Form { url: "grpc://HOST:PORT[/SERVICE]", ready: "the health service says SERVING", keys: &[] },
    Form { url: "memcached://HOST, nats://HOST, smtp://HOST", ready: "the server answers in its protocol", keys: &[] },
    Form { url: "tls://HOST:PORT", ready: "a TLS handshake with a certificate that verifies", keys: &[] },
    Form { url: "file:///PATH", ready: "the path exists", keys: &[("nonempty", "the file is not empty")] },
    Form { url: "dns://NAME", ready: "the name resolves", keys: &[] },
    #[cfg(feature = "exec")]
    Form {
        url: "exec:COMMAND ARG...",
        ready: "the command exits 0",
        keys: &[
            ("exit=LIST", "accepted exit codes, like 0,3"),
            ("attempt-timeout=DURATION", "the longest that one run may take"),
        ],
    },
];

/// What can be expected of every target.
pub(super) const COMMON: &[(&str, &str)] =
    &[("timeout=DURATION", "give this target up after this long"), ("successes=N", "ready after N successes in a row")];

/// What a target with TLS can say of itself, as the options of the same names say it for all.
pub(super) const TLS: &[(&str, &str)] = &[
    ("ca=FILE", "CA certificates (PEM), added to the roots"),
    ("cert=FILE", "client certificate (PEM)"),
    ("cert-key=FILE", "its key, where the file of the certificate does not hold it"),
    ("servername=NAME", "the name to ask for and to look for in the certificate"),
    ("insecure", "do not verify the certificate"),
];

impl Form {
    /// Its line in `--help`: the keys by their names alone.
    pub(super) fn summary(&self) -> String {
        let keys: Vec<String> = self.keys.iter().map(|(key, _)| format!("#{}", name(key))).collect();
        if keys.is_empty() { self.ready.to_owned() } else { format!("{}; {}", self.ready, keys.join(" ")) }
    }

    /// The schemes that it names, as they are typed: `http://`.
    pub(super) fn schemes(&self) -> impl Iterator<Item = &'static str> {
        self.url.split(", ").filter_map(|url| {
            let end = url.find("://").map(|at| at + if url[at..].starts_with(":///") { 4 } else { 3 });
            url.get(..end.or_else(|| url.starts_with("exec:").then_some(5))?)
        })
    }
}

/// `status=` of `status=LIST`, `cluster` of `cluster`.
pub(super) fn name(key: &str) -> &str {
    let end = key.find(['=', '[']).map_or(key.len(), |at| if key[at..].starts_with('=') { at + 1 } else { at });
    &key[..end]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::endpoint::KEYS;
    use crate::endpoint::schemes::{Grammar, SCHEMES};

    #[test]
    fn every_scheme_that_is_probed_by_its_own_protocol_is_told_of() {
        let told: Vec<&str> = FORMS.iter().flat_map(Form::schemes).collect();
        for scheme in SCHEMES.iter().filter(|row| !matches!(row.grammar, Grammar::Server | Grammar::Refused)) {
            let variant = ["redshift", "materialize", "risingwave", "smtps", "submission"].contains(&scheme.name());
            assert!(
                variant || told.iter().any(|url| url.starts_with(&format!("{}://", scheme.name()))),
                "{}",
                scheme.name()
            );
        }
    }

    #[test]
    fn every_key_is_told_of() {
        let told = FORMS.iter().flat_map(|form| form.keys).chain(COMMON).chain(TLS).map(|(key, _)| name(key));
        let told: Vec<&str> = told.map(|key| key.trim_end_matches('=')).collect();
        assert!(KEYS.iter().all(|key| told.contains(key)), "{KEYS:?}\n{told:?}");
    }

    #[test]
    fn schemes_and_keys_are_as_they_are_typed() {
        let schemes: Vec<&str> = FORMS.iter().flat_map(Form::schemes).collect();
        assert_eq!(schemes[..4], ["tcp://", "unix:///", "http://", "https://"]);
        assert_eq!(
            ["status=LIST", "json=/POINTER[=VALUE]", "follow[=any]", "cluster"].map(name),
            ["status=", "json=", "follow", "cluster"]
        );
    }
}
