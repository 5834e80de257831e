//! Values that no output may show.

use std::fmt;

/// A password, token or header value: it has no `Display`, and its `Debug` is redacted.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(String);

impl Secret {
    /// Wraps `value`.
    pub fn new(value: impl Into<String>) -> Self {
        Self(value.into())
    }

    /// The value itself, for the peer that it is meant for.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("***")
    }
}

/// Keeps what this process knows from its core dumps, and from other processes of the same user, which
/// could read its memory and its /proc/PID/environ. exec undoes it: COMMAND is none of our business.
pub fn keep_from_others() {
    // Where a filter of system calls forbids it, nothing else depends on it.
    #[cfg(target_os = "linux")]
    let _ = nix::sys::prctl::set_dumpable(false);
}

/// Shorter secrets are left alone in [`scrub`]: replacing `a` or `db` would garble every message
/// and tell more than it hides.
const MIN_SCRUBBED: usize = 4;

/// Replaces every occurrence of a secret in a text that a peer sent.
///
/// Nothing of ours prints a secret, but a server's error message may echo what it was given.
pub fn scrub(text: &str, secrets: &[&Secret]) -> String {
    secrets
        .iter()
        .map(|secret| secret.expose())
        .filter(|value| value.len() >= MIN_SCRUBBED)
        .fold(text.to_owned(), |shown, value| shown.replace(value, "***"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_cannot_be_printed() {
        assert_eq!(format!("{:?}", Secret::new("hunter2")), "***");
    }

    #[test]
    fn an_echoed_secret_is_replaced() {
        let password = Secret::new("hunter2");
        let text = scrub("bad password hunter2 for app", &[&password]);
        assert_eq!(text, "bad password *** for app");
    }

    #[test]
    fn a_tiny_secret_does_not_garble_the_message() {
        let password = Secret::new("a");
        assert_eq!(scrub("a database", &[&password]), "a database");
    }
}
