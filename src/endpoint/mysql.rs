//! MySQL and MariaDB, in the URLs of their clients: SQLAlchemy, Django, Rails, Go, JDBC, Node, Prisma.

use std::path::PathBuf;

use super::schemes::Dialect;
use super::service::{Encryption, Protocol, Service};
use super::url::{self, Percent, Userinfo};
use super::variables::doubt_about;
use super::{CertificateCheck, Place, Reading, server};
use crate::secret::Secret;

/// The port that MySQL is assigned.
const DEFAULT_PORT: u16 = 3306;

/// Parses what stands behind `mysql://`: `user:password@host:port/database?…`, JDBC's without userinfo too.
pub(super) fn parse(rest: &str, dialect: Dialect, reading: &mut Reading<'_>) -> Result<Service, String> {
    let (whole, socket) = server::without_go_socket(rest);
    let parts = url::split(&whole, Userinfo::UntilSlashOrQuery)?;
    let credentials = parts.userinfo.map(|userinfo| url::user_and_password(userinfo, Percent::Lenient)).transpose()?;
    let (user, password) = credentials.unwrap_or_default();
    let mut service = Service::new(Protocol::Mysql, "mysql", Vec::new());
    service.encryption = Encryption::IfOffered;
    service.user = Some(user).filter(|user| !user.is_empty());
    let mut password = password;
    let mut socket = socket.map(PathBuf::from);
    // JDBC's drivers decode a `+` as forms do.
    let is_jdbc = dialect == Dialect::Jdbc;
    let query = parts.query.unwrap_or_default();
    let query = if is_jdbc { query.replace('+', "%20") } else { query.to_owned() };
    for pair in url::pairs(&query) {
        let (key, value) = pair?;
        let value = value.unwrap_or_default();
        match key.to_ascii_lowercase().replace(['-', '_'], "").as_str() {
            "user" | "username" => service.user = Some(value),
            "password" => password = Some(Secret::new(value)),
            "unixsocket" | "socket" | "socketpath" | "localsocket" => socket = Some(PathBuf::from(value)),
            "database" | "dbname" => service.name = Some(value),
            "sslmode"
            | "ssl"
            | "usessl"
            | "tls"
            | "requiressl"
            | "sslaccept"
            | "ssldisabled"
            | "verifyservercertificate"
            | "sslverifycert"
            | "sslverifyidentity"
            | "trustservercertificate" => {
                set_tls(&mut service, &key, &value)?;
            }
            "sslca" | "sslcafile" | "tlsca" => {
                service.tls.ca = Some(PathBuf::from(value));
                verify(&mut service, CertificateCheck::Chain);
            }
            // Prisma's `sslcert` is the CA.
            "sslcert" if parts.query.is_some_and(|query| query.contains("sslaccept=")) => {
                service.tls.ca = Some(PathBuf::from(value));
            }
            "sslcert" => service.tls.cert = Some(PathBuf::from(value)),
            "sslkey" => service.tls.key = Some(PathBuf::from(value)),
            _ => reading.ignored.add(&key),
        }
    }
    let path = url::decode(parts.path.trim_matches('/'))?;
    service.name = Some(path).filter(|path| !path.is_empty()).or(service.name);
    service.password = password.filter(|password| !password.expose_bytes().is_empty()).or_else(|| {
        let value = reading.lookup.bytes("MYSQL_PWD").filter(|value| !value.is_empty())?;
        reading.doubts.extend(doubt_about(&value, "MYSQL_PWD"));
        Some(Secret::new(value))
    });
    service.places = match socket {
        Some(path) => vec![Place::Unix(path)],
        None => server::places(parts.hosts, DEFAULT_PORT)?,
    };
    service.tls = std::mem::take(&mut service.tls).take(&mut reading.expectations)?;
    service.query = reading.expectations.take("query")?.map(Secret::new);
    Ok(service)
}

fn verify(service: &mut Service, check: CertificateCheck) {
    // The stricter of two wins: what a client would refuse is not ready.
    let strictness = |check: &Option<CertificateCheck>| match check {
        None | Some(CertificateCheck::Nothing) => 0,
        Some(CertificateCheck::Chain) => 1,
        Some(CertificateCheck::ChainAndName) => 2,
    };
    if strictness(&Some(check)) > strictness(&service.tls.check) {
        service.tls.check = Some(check);
    }
    service.encryption = Encryption::Always;
}

/// The clients' words: `ssl-mode` of MySQL's, `sslMode` of both JDBC drivers, `tls` of Go's, `sslaccept` of Prisma's.
fn set_tls(service: &mut Service, key: &str, value: &str) -> Result<(), String> {
    let is_inverted =
        matches!(key.to_ascii_lowercase().replace(['-', '_'], "").as_str(), "ssldisabled" | "trustservercertificate");
    let is_about_certificate = key.to_ascii_lowercase().contains("verif");
    match value.to_ascii_lowercase().replace('-', "_").as_str() {
        "true" | "1" | "yes" if is_inverted && key.to_ascii_lowercase().contains("disabled") => {
            service.encryption = Encryption::Never;
        }
        "true" | "1" | "yes" | "false" | "0" | "no" if is_inverted => {}
        "true" | "1" | "yes" if is_about_certificate => {
            let is_name = key.to_ascii_lowercase().contains("identity");
            verify(service, if is_name { CertificateCheck::ChainAndName } else { CertificateCheck::Chain });
        }
        "false" | "0" | "no" if is_about_certificate => {}
        "disabled" | "disable" | "false" | "0" | "no" | "off" => service.encryption = Encryption::Never,
        "preferred" | "prefer" | "" => service.encryption = Encryption::IfOffered,
        "required" | "require" | "trust" | "skip_verify" | "accept_invalid_certs" | "1" | "yes" | "on" => {
            service.encryption = Encryption::Always;
        }
        "true" if key.eq_ignore_ascii_case("tls") => verify(service, CertificateCheck::ChainAndName),
        "true" => service.encryption = Encryption::Always,
        "verify_ca" => verify(service, CertificateCheck::Chain),
        "verify_identity" | "verify_full" | "strict" => verify(service, CertificateCheck::ChainAndName),
        // Node's `ssl={"rejectUnauthorized":true}`.
        json if json.starts_with('{') => service.encryption = Encryption::Always,
        _ => {
            return Err(format!(
                "the value of `{key}` is not known; write ssl-mode=DISABLED, PREFERRED, REQUIRED, VERIFY_CA or \
                 VERIFY_IDENTITY"
            ));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::endpoint::variables::Lookup;
    use crate::endpoint::{Endpoint, HttpDefaults, Surroundings, Target, TargetError};

    fn parse(text: &str) -> Result<Target, TargetError> {
        let env = |name: &str| (name == "MYSQL_PWD").then(|| "from-env".into());
        let file = |_: &str| Err(std::io::ErrorKind::NotFound.into());
        let http = HttpDefaults::default();
        Target::parse(text, &Surroundings { lookup: Lookup { env: &env, file: &file }, http: &http })
    }

    fn parse_with(text: &str) -> Service {
        match parse(text).unwrap().endpoint {
            Endpoint::Service(service) => *service,
            other => panic!("{text} is {other:?}"),
        }
    }

    #[test]
    fn urls_of_the_clients_are_understood() {
        for (text, shown, password, encryption, check) in [
            ("mysql://app:p%40@db/app", "mysql://app@db:3306/app", "p@", Encryption::IfOffered, None),
            (
                "mysql2://root@db:3307/x?encoding=utf8",
                "mysql://root@db:3307/x",
                "from-env",
                Encryption::IfOffered,
                None,
            ),
            (
                "jdbc:mysql://db/app?user=a&password=b&useSSL=false&allowPublicKeyRetrieval=true",
                "mysql://a@db:3306/app",
                "b",
                Encryption::Never,
                None,
            ),
            ("mysql://u:p@h1,h2:3307/d", "mysql://u@h1:3306,h2:3307/d", "p", Encryption::IfOffered, None),
            ("mysql://u:p@tcp(h:1)/d?tls=skip-verify", "mysql://u@h:1/d", "p", Encryption::Always, None),
            (
                "mysql://u:p@h/d?ssl-mode=VERIFY_IDENTITY&ssl_ca=/ca.pem",
                "mysql://u@h:3306/d",
                "p",
                Encryption::Always,
                Some(CertificateCheck::ChainAndName),
            ),
            (
                "mysql+pymysql://u:p@/d?unix_socket=/run/my.sock",
                "mysql://u@/run/my.sock/d",
                "p",
                Encryption::IfOffered,
                None,
            ),
            ("mysql://u:p@h/d?ssl_disabled=true", "mysql://u@h:3306/d", "p", Encryption::Never, None),
        ] {
            let service = parse_with(text);
            assert_eq!(service.to_string(), shown, "{text}");
            assert_eq!(service.password.as_ref().map(Secret::expose), Some(password), "{text}");
            assert_eq!((service.encryption, service.tls.check), (encryption, check), "{text}");
        }
    }

    #[test]
    fn a_mode_that_is_not_known_is_refused() {
        let error = parse("mysql://h/?ssl-mode=VERIFY").unwrap_err().to_string();
        assert!(error.contains("VERIFY_IDENTITY"), "{error}");
    }
}
