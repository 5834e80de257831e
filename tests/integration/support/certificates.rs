//! A CA and certificates, made anew in each test.

use std::fs;
use std::net::TcpStream;
use std::path::PathBuf;
use std::sync::Arc;

use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair, SanType, date_time_ymd};
use tempfile::TempDir;

/// What takes TLS connections with this certificate, for HTTP/2 and for what agrees on no protocol.
pub fn acceptor(files: &Files) -> Arc<rustls::ServerConfig> {
    use rustls::pki_types::pem::PemObject;
    use rustls::pki_types::{CertificateDer, PrivateKeyDer};
    let chain = vec![CertificateDer::from_pem_file(&files.cert).unwrap()];
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let builder = rustls::ServerConfig::builder_with_provider(provider).with_safe_default_protocol_versions().unwrap();
    let key = PrivateKeyDer::from_pem_file(&files.key).unwrap();
    let mut config = builder.with_no_client_auth().with_single_cert(chain, key).unwrap();
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    Arc::new(config)
}

/// TLS on a connection, to its end.
pub fn accept(
    config: &Arc<rustls::ServerConfig>,
    tcp: TcpStream,
) -> Option<rustls::StreamOwned<rustls::ServerConnection, TcpStream>> {
    let session = rustls::ServerConnection::new(Arc::clone(config)).ok()?;
    let mut stream = rustls::StreamOwned::new(session, tcp);
    while stream.conn.is_handshaking() {
        stream.conn.complete_io(&mut stream.sock).ok()?;
    }
    Some(stream)
}

/// A CA with a directory for what it issues.
pub struct Ca {
    directory: TempDir,
    issuer: Issuer<'static, KeyPair>,
}

/// The PEM files of a certificate and its key.
pub struct Files {
    /// The certificate.
    pub cert: PathBuf,
    /// The key.
    pub key: PathBuf,
}

impl Ca {
    /// A new CA; all that are made so have the same name and other keys.
    pub fn new() -> Self {
        Self::named("Test CA")
    }

    /// A new CA of this name.
    pub fn named(name: &str) -> Self {
        let directory = super::directory();
        let key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.distinguished_name.push(DnType::CommonName, name);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let certificate = params.self_signed(&key).unwrap();
        fs::write(directory.path().join("ca.pem"), certificate.pem()).unwrap();
        Self { directory, issuer: Issuer::new(params, key) }
    }

    /// The CA's own certificate.
    pub fn file(&self) -> PathBuf {
        self.directory.path().join("ca.pem")
    }

    /// A certificate for these names and addresses.
    pub fn issue(&self, name: &str, subjects: &[&str]) -> Files {
        self.issue_with(name, subjects, |_| {})
    }

    /// A certificate that has expired.
    pub fn issue_expired(&self, name: &str, subjects: &[&str]) -> Files {
        self.issue_with(name, subjects, |params| {
            params.not_before = date_time_ymd(2019, 1, 1);
            params.not_after = date_time_ymd(2020, 1, 1);
        })
    }

    /// A certificate that is a CA's too, as `openssl req -x509` makes them.
    pub fn issue_ca(&self, name: &str, subjects: &[&str]) -> Files {
        self.issue_with(name, subjects, |params| params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained))
    }

    fn issue_with(&self, name: &str, subjects: &[&str], change: impl FnOnce(&mut CertificateParams)) -> Files {
        let key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.distinguished_name.push(DnType::CommonName, name);
        for subject in subjects {
            params.subject_alt_names.push(match subject.parse() {
                Ok(address) => SanType::IpAddress(address),
                Err(_) => SanType::DnsName((*subject).try_into().unwrap()),
            });
        }
        change(&mut params);
        let certificate = params.signed_by(&key, &self.issuer).unwrap();
        let files = Files {
            cert: self.directory.path().join(format!("{name}.pem")),
            key: self.directory.path().join(format!("{name}.key")),
        };
        fs::write(&files.cert, certificate.pem()).unwrap();
        fs::write(&files.key, key.serialize_pem()).unwrap();
        // PostgreSQL refuses a key that others may read.
        fs::set_permissions(&files.key, std::os::unix::fs::PermissionsExt::from_mode(0o600)).unwrap();
        if nix::unistd::geteuid().is_root() {
            let owner = fs::metadata(self.directory.path()).unwrap();
            let (user, group) =
                (std::os::unix::fs::MetadataExt::uid(&owner), std::os::unix::fs::MetadataExt::gid(&owner));
            std::os::unix::fs::chown(&files.key, Some(user), Some(group)).unwrap();
        }
        files
    }
}
