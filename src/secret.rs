//! Values that no output may show.

use std::fmt;

/// A password, token or header value: it has no `Display`, and its `Debug` is redacted.
///
/// It is bytes: a password in a file or a variable need not be UTF-8.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(Vec<u8>);

impl Secret {
    /// Wraps `value`, text or bytes.
    pub fn new(value: impl Into<Vec<u8>>) -> Self {
        Self(value.into())
    }

    /// The value itself, for the peer that it is meant for.
    pub fn expose_bytes(&self) -> &[u8] {
        &self.0
    }

    /// The value as text, for what was made of text; of what was not, the part before its first byte
    /// that is none.
    pub fn expose(&self) -> &str {
        let valid = std::str::from_utf8(&self.0).map_or_else(|error| error.valid_up_to(), str::len);
        std::str::from_utf8(&self.0[..valid]).unwrap_or_default()
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_cannot_be_printed() {
        assert_eq!(format!("{:?}", Secret::new("hunter2")), "***");
    }

    #[test]
    fn a_secret_that_is_no_text_is_whole_as_bytes() {
        let password = Secret::new(b"p\xe4ssword".to_vec());
        assert_eq!((password.expose_bytes(), password.expose()), (&b"p\xe4ssword"[..], "p"));
    }
}
