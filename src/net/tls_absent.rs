//! Stands in for TLS in a build without it: such targets were refused as usage errors.

use super::tls_settings::{Settings, TlsFailure};
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
    pub fn connect(&self, _: Connection, _: &Settings<'_>, _: &Budget) -> Result<Stream, TlsFailure> {
        Err(NotReady::new(Kind::TlsRefused, "this build has no TLS; use one with it").into())
    }

    /// Whether `--tls-ca` names a CA.
    pub fn has_ca(&self) -> bool {
        false
    }

    /// Whether `--tls-cert` names a certificate.
    pub fn has_identity(&self) -> bool {
        false
    }
}
