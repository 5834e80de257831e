//! What the fragment of one target says about TLS.

use std::path::PathBuf;

use crate::net::tls_settings::{CertificateCheck, TargetTls};
use crate::targets::shared::expectations::Expectations;
use crate::targets::shared::scheme::Key;
use crate::targets::shared::url;

/// The keys of a target with TLS; the options of the same names count for all.
pub(crate) static KEYS: &[Key] = &[
    Key::new("ca=FILE", "CA certificates (PEM), added to the roots"),
    Key::new("cert=FILE", "client certificate (PEM)"),
    Key::new("cert-key=FILE", "its key, where the file of the certificate does not hold it"),
    Key::new("servername=NAME", "the name to ask for and to look for in the certificate"),
    Key::new("insecure", "do not verify the certificate"),
];

/// Takes what the fragment says; it wins over what the URL's own parameters said.
pub(crate) fn take(mut tls: TargetTls, expectations: &mut Expectations) -> Result<TargetTls, String> {
    if expectations.take_flag("insecure")? {
        tls.check = Some(CertificateCheck::Nothing);
    }
    let path = |value: Option<String>| value.map(PathBuf::from);
    tls.ca = path(expectations.take("ca")?).or(tls.ca);
    tls.cert = path(expectations.take("cert")?).or(tls.cert);
    tls.key = path(expectations.take("cert-key")?).or(tls.key);
    tls.server_name = expectations.take("servername")?.or(tls.server_name);
    if let Some(name) = &tls.server_name {
        url::check_name(name).map_err(|_| "the value of `servername` is no host's name".to_owned())?;
    }
    if tls.key.is_some() && tls.cert.is_none() {
        return Err("`cert-key` goes with `cert`".to_owned());
    }
    Ok(tls)
}
