//! Schemes, keys and how both are written: in URLs and in the help.

/// Schemes that mean the same.
#[derive(Debug)]
pub(crate) struct Scheme {
    /// The name that is shown and suggested, and its other names.
    pub(crate) names: &'static [&'static str],
    /// Whether the whole connection is TLS.
    pub(crate) layer: Layer,
    /// The port that clients take by themselves, if there is one.
    pub(crate) port: Option<u16>,
    /// The protocol's name in messages.
    pub(crate) protocol: &'static str,
}

/// A scheme's word about TLS.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Layer {
    /// Nothing: plain, or the protocol's own way to begin it.
    Plain,
    /// TLS from the first byte.
    Tls,
}

impl Scheme {
    /// A scheme without TLS, and without a port of its own.
    pub(crate) const fn new(names: &'static [&'static str]) -> Self {
        Self { names, layer: Layer::Plain, port: None, protocol: "" }
    }

    /// The same with a port.
    pub(crate) const fn port(self, port: u16) -> Self {
        Self { port: Some(port), ..self }
    }

    /// The same over TLS.
    pub(crate) const fn tls(self) -> Self {
        Self { layer: Layer::Tls, ..self }
    }

    /// The same with a name for its protocol.
    pub(crate) const fn speaks(self, protocol: &'static str) -> Self {
        Self { protocol, ..self }
    }

    /// The name that is shown and suggested.
    pub(crate) fn name(&self) -> &'static str {
        self.names.first().copied().unwrap_or_default()
    }
}

/// A way to write a target, as the help has it.
#[derive(Debug)]
pub(crate) struct Form {
    /// How it is written.
    pub(crate) url: &'static str,
    /// When it is ready.
    pub(crate) ready: &'static str,
    /// The keys of its fragment.
    pub(crate) keys: &'static [Key],
}

/// A key of the fragment: as it is written (`json=/POINTER[=VALUE]`), and what it means.
#[derive(Debug)]
pub(crate) struct Key {
    /// As it is written.
    pub(crate) written: &'static str,
    /// The meaning.
    pub(crate) meaning: &'static str,
}

impl Key {
    pub(crate) const fn new(written: &'static str, meaning: &'static str) -> Self {
        Self { written, meaning }
    }

    /// The key alone: `status` of `status=LIST`.
    pub(crate) fn name(&self) -> &'static str {
        self.typed().trim_end_matches('=')
    }

    /// As it is typed: `status=` of `status=LIST`, `follow` of `follow[=any]`.
    pub(crate) fn typed(&self) -> &'static str {
        let end = match self.written.find(['=', '[']) {
            Some(at) if self.written[at..].starts_with('=') => at + 1,
            Some(at) => at,
            None => self.written.len(),
        };
        &self.written[..end]
    }
}

/// The keys of every target.
pub(crate) static COMMON_KEYS: &[Key] = &[
    Key::new("timeout=DURATION", "give this target up after this long"),
    Key::new("attempt-timeout=DURATION", "the longest that one attempt may take"),
    Key::new("successes=N", "ready after N successes in a row"),
    Key::new("optional", "wait for it until its timeout or the deadline, and never fail because of it"),
];

impl Form {
    /// Its line in `--help`: the keys by their names alone.
    pub(crate) fn summary(&self) -> String {
        let keys: Vec<String> = self.keys.iter().map(|key| format!("#{}", key.typed())).collect();
        if keys.is_empty() { self.ready.to_owned() } else { format!("{}; {}", self.ready, keys.join(" ")) }
    }

    /// The schemes that it names, as they are typed: `http://`.
    pub(crate) fn schemes(&self) -> impl Iterator<Item = &'static str> {
        self.url.split(", ").filter_map(|url| {
            let end = url.find("://").map(|at| at + if url[at..].starts_with(":///") { 4 } else { 3 });
            url.get(..end.or_else(|| url.starts_with("exec:").then_some(5))?)
        })
    }
}

/// A URL whose scheme is known, before its kind reads it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Written<'a> {
    /// The scheme.
    pub(crate) scheme: &'static Scheme,
    /// The clients whose way of writing a URL it is.
    pub(crate) dialect: Dialect,
    /// The text behind `://`, without the fragment.
    pub(crate) rest: &'a str,
    /// The fragment, where it is none of keys and the kind has a meaning for it; percent-encoded.
    pub(crate) bare_fragment: Option<&'a str>,
}

impl Written<'_> {
    /// The port that clients take by themselves.
    pub(crate) fn default_port(&self) -> u16 {
        self.scheme.port.unwrap_or_default()
    }

    /// Whether the scheme says TLS.
    pub(crate) fn is_tls(&self) -> bool {
        self.scheme.layer == Layer::Tls || matches!(self.dialect, Dialect::DriverOverTls | Dialect::R2dbc(Layer::Tls))
    }
}

/// The clients whose way of writing a URL it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Dialect {
    /// libpq's, redis-py's, curl's.
    Plain,
    /// With a driver, as `SQLAlchemy` has it: `postgresql+asyncpg`.
    Driver,
    /// The same, where what stands behind the `+` says TLS: `activemq+ssl`.
    DriverOverTls,
    /// With a socket's path in place of the host: `mysql+unix:///run/mysqld.sock`.
    Socket,
    /// `jdbc:`
    Jdbc,
    /// `r2dbc:` and `r2dbcs:`
    R2dbc(Layer),
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn schemes_and_keys_are_as_they_are_typed() {
        let form = Form { url: "unix:///PATH, exec:COMMAND, http://H", ready: "", keys: &[] };
        assert_eq!(form.schemes().collect::<Vec<_>>(), ["unix:///", "exec:", "http://"]);
        for (written, typed, name) in [
            ("status=LIST", "status=", "status"),
            ("json=/POINTER[=VALUE]", "json=", "json"),
            ("follow[=any]", "follow", "follow"),
            ("cluster", "cluster", "cluster"),
        ] {
            let key = Key::new(written, "");
            assert_eq!((key.typed(), key.name()), (typed, name));
        }
    }
}
