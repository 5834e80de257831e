//! What one target says about TLS.

use std::path::PathBuf;

use super::Expectations;

/// What is checked of a server's certificate.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CertificateCheck {
    /// Nothing but that the server holds its key.
    Nothing,
    /// The chain up to a root.
    Chain,
    /// The chain, and that it names the host.
    ChainAndName,
}

/// What one target says about TLS. It counts for that target alone, and before the options for all
/// (`--tls-insecure`, `--tls-cert`); a CA is added to theirs.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct TargetTls {
    /// `#insecure`, or redis-py's `ssl_cert_reqs` and `ssl_check_hostname`. Without: the chain and the name,
    /// unless `--tls-insecure`.
    pub check: Option<CertificateCheck>,
    /// `#ca=FILE`, `ssl_ca_certs`: CA certificates (PEM), added to the roots.
    pub ca: Option<PathBuf>,
    /// `#cert=FILE`, `ssl_certfile`: the client's certificate (PEM).
    pub cert: Option<PathBuf>,
    /// `#cert-key=FILE`, `ssl_keyfile`: its key (PEM). Without, the file of the certificate holds it too.
    pub key: Option<PathBuf>,
    /// `#servername=NAME`: the name that is sent (SNI) and looked for in the certificate, instead of the host's.
    pub server_name: Option<String>,
}

/// The keys of a fragment that are about TLS, for messages.
pub(super) const KEYS: &str = "insecure, ca, cert, cert-key and servername";

impl TargetTls {
    /// Takes what the fragment says; it wins over what the URL's own parameters said.
    pub(super) fn take(mut self, expectations: &mut Expectations) -> Result<Self, String> {
        if expectations.take_flag("insecure")? {
            self.check = Some(CertificateCheck::Nothing);
        }
        let path = |value: Option<String>| value.map(PathBuf::from);
        self.ca = path(expectations.take("ca")?).or(self.ca);
        self.cert = path(expectations.take("cert")?).or(self.cert);
        self.key = path(expectations.take("cert-key")?).or(self.key);
        self.server_name = expectations.take("servername")?.or(self.server_name);
        if let Some(name) = &self.server_name {
            super::url::check_name(name).map_err(|_| "the value of `servername` is no host's name".to_owned())?;
        }
        if self.key.is_some() && self.cert.is_none() {
            return Err("`cert-key` goes with `cert`".to_owned());
        }
        Ok(self)
    }
}
