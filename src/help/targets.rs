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
fn name(key: &str) -> &str {
    let end = key.find(['=', '[']).map_or(key.len(), |at| if key[at..].starts_with('=') { at + 1 } else { at });
    &key[..end]
}

#[cfg(test)]
mod tests {
    use super::*;

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
