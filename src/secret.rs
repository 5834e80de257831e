//! Values that no output may show.

use std::fmt;

/// A password, token or header value: it has no `Display`, and its `Debug` is redacted.
///
/// A secret is bytes: a password in a file or a variable need not be UTF-8.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Secret(Vec<u8>);

impl Secret {
    /// Wraps `value`, text or bytes.
    pub(crate) fn new(value: impl Into<Vec<u8>>) -> Self {
        Self(value.into())
    }

    /// The value itself, for the peer that it is meant for.
    pub(crate) fn expose_bytes(&self) -> &[u8] {
        &self.0
    }

    /// The value as text, for what was made of text; of what was not, the part before its first byte
    /// that is none.
    pub(crate) fn expose(&self) -> &str {
        let valid = std::str::from_utf8(&self.0).map_or_else(|error| error.valid_up_to(), str::len);
        std::str::from_utf8(&self.0[..valid]).unwrap_or_default()
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("***")
    }
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
