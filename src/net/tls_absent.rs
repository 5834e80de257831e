//! Stands in for TLS in a build without it: such targets were refused as usage errors.

use super::{Budget, Connection, Stream};
use crate::config::TlsOptions;
use crate::outcome::{Kind, NotReady};

/// No TLS.
#[derive(Debug)]
pub struct Tls;

impl Tls {
    /// Nothing to load.
    ///
    /// # Errors
    ///
    /// Never.
    pub fn load(_: &TlsOptions) -> Result<Self, String> {
        Ok(Self)
    }

    /// Refuses.
    ///
    /// # Errors
    ///
    /// Always.
    pub fn verified(&self, _: Connection, _: &str, _: &Budget) -> Result<Stream, NotReady> {
        Err(NotReady::new(Kind::TlsRefused, "this build has no TLS; use one with it"))
    }
}
