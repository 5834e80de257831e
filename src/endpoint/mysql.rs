//! MySQL and MariaDB, in the URLs of their clients: SQLAlchemy, Django, Rails, Go, JDBC, Node, Prisma.

use super::service::{Encryption, Service};
use super::variables::doubt_about;
use super::{CertificateCheck, Place, Reading};
use crate::secret::Secret;

impl Service {
    /// A parameter of the clients' URLs, in any case, with dashes, with underscores or without.
    ///
    /// # Errors
    ///
    /// Names the key whose value is not known; the value may be a secret.
    pub(super) fn take_mysql(&mut self, key: &str, value: &str, is_prisma: bool) -> Result<bool, String> {
        match plain(key).as_str() {
            "user" | "username" => self.user = Some(value.to_owned()),
            "password" => self.password = Some(Secret::new(value)),
            "unixsocket" | "socket" | "socketpath" | "localsocket" if !value.is_empty() => {
                self.places = vec![Place::Unix(value.into())];
            }
            "database" | "dbname" => self.name = Some(value.to_owned()),
            "sslca" | "sslcafile" | "tlsca" => {
                self.tls.ca = Some(value.into());
                self.verify(CertificateCheck::Chain);
            }
            // Prisma's is the CA.
            "sslcert" if is_prisma => self.tls.ca = Some(value.into()),
            "sslcert" => self.tls.cert = Some(value.into()),
            "sslkey" => self.tls.key = Some(value.into()),
            name => {
                let unknown =
                    "is not known; write ssl-mode=DISABLED, PREFERRED, REQUIRED, VERIFY_CA or VERIFY_IDENTITY";
                return self.take_tls_mode(name, value).ok_or_else(|| format!("the value of `{key}` {unknown}"));
            }
        }
        Ok(true)
    }

    /// What the fragment and the environment add.
    pub(super) fn finish_mysql(&mut self, reading: &mut Reading<'_>) -> Result<(), String> {
        let given = self.password.take().filter(|password| !password.expose_bytes().is_empty());
        self.password = given.or_else(|| {
            let value = reading.lookup.bytes("MYSQL_PWD").filter(|value| !value.is_empty())?;
            reading.doubts.extend(doubt_about(&value, "MYSQL_PWD"));
            Some(Secret::new(value))
        });
        self.query = reading.expectations.take("query")?.map(Secret::new);
        Ok(())
    }

    /// The clients' words: `ssl-mode` of MySQL's, `sslMode` of both JDBC drivers, `tls` of Go's, `sslaccept` of
    /// Prisma's. Whether it is about TLS; `None` for a word that is not known.
    fn take_tls_mode(&mut self, name: &str, value: &str) -> Option<bool> {
        let value = plain(value);
        let yes = match value.as_str() {
            "true" | "1" | "yes" | "on" => Some(true),
            "false" | "0" | "no" | "off" => Some(false),
            _ => None,
        };
        // `${VERIFY:-}` may be empty.
        let told = match value.as_str() {
            "" => Some(false),
            "required" => Some(true),
            _ => yes,
        };
        match name {
            "sslmode" | "ssl" | "usessl" | "tls" | "requiressl" | "sslaccept" => match (value.as_str(), yes) {
                ("disabled" | "disable", _) | (_, Some(false)) => self.encryption = Encryption::Never,
                ("preferred" | "prefer" | "", _) => self.encryption = Encryption::IfOffered,
                ("true", _) if name == "tls" => self.verify(CertificateCheck::ChainAndName),
                ("required" | "require" | "trust" | "skipverify" | "acceptinvalidcerts", _) | (_, Some(true)) => {
                    self.encryption = Encryption::Always;
                }
                ("verifyca", _) => self.verify(CertificateCheck::Chain),
                ("verifyidentity" | "verifyfull" | "strict", _) => self.verify(CertificateCheck::ChainAndName),
                // Node's `ssl={"rejectUnauthorized":true}`.
                (json, _) if json.starts_with('{') => self.encryption = Encryption::Always,
                _ => return None,
            },
            "ssldisabled" if told? => self.encryption = Encryption::Never,
            "verifyservercertificate" | "sslverifycert" if told? => self.verify(CertificateCheck::Chain),
            "sslverifyidentity" if told? => self.verify(CertificateCheck::ChainAndName),
            "ssldisabled" | "verifyservercertificate" | "sslverifycert" | "sslverifyidentity" => {}
            "trustservercertificate" => drop(told?),
            _ => return Some(false),
        }
        Some(true)
    }

    /// Of two checks the stricter wins: what a client would refuse is not ready.
    fn verify(&mut self, check: CertificateCheck) {
        if self.tls.check != Some(CertificateCheck::ChainAndName) {
            self.tls.check = Some(check);
        }
        self.encryption = Encryption::Always;
    }
}

/// In small letters, without dashes and underscores.
fn plain(text: &str) -> String {
    let mut text = text.to_ascii_lowercase();
    text.retain(|c| c != '-' && c != '_');
    text
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
            ("mysql://u:p;w@h/d?ssl-disabled=no", "mysql://u@h:3306/d", "p;w", Encryption::IfOffered, None),
            ("mysql://u:p@unix(/run/my.sock)/d", "mysql://u@/run/my.sock/d", "p", Encryption::IfOffered, None),
            (
                "jdbc:mariadb://h/?user=u&password=a+b&database=d&sslMode=verify-ca&trustServerCertificate=false",
                "mysql://u@h:3306/d",
                "a b",
                Encryption::Always,
                Some(CertificateCheck::Chain),
            ),
            (
                "mysql://u:p@h/d?sslaccept=strict&sslcert=/ca.pem",
                "mysql://u@h:3306/d",
                "p",
                Encryption::Always,
                Some(CertificateCheck::ChainAndName),
            ),
            (
                "mysql://u:p@h/d/?tls=true&ssl_verify_cert=true",
                "mysql://u@h:3306/d",
                "p",
                Encryption::Always,
                Some(CertificateCheck::ChainAndName),
            ),
            (
                "mysql://u:p@h/d?ssl_verify_cert=REQUIRED&ssl_disabled=",
                "mysql://u@h:3306/d",
                "p",
                Encryption::Always,
                Some(CertificateCheck::Chain),
            ),
        ] {
            let service = parse_with(text);
            assert_eq!(service.to_string(), shown, "{text}");
            assert_eq!(service.password.as_ref().map(Secret::expose), Some(password), "{text}");
            assert_eq!((service.encryption, service.tls.check), (encryption, check), "{text}");
        }
    }

    #[test]
    fn the_certificate_is_prismas_ca_and_all_others_own() {
        let tls = |text: &str| parse_with(text).tls;
        assert_eq!(tls("mysql://h/?sslaccept=strict&sslcert=/x.pem").ca, Some("/x.pem".into()));
        assert_eq!(tls("mysql://h/?ssl_cert=/x.pem&ssl_key=/k.pem").cert, Some("/x.pem".into()));
    }

    #[test]
    fn a_mode_that_is_not_known_is_refused() {
        for text in ["mysql://h/?ssl-mode=VERIFY", "mysql://h/?ssl_verify_cert=x", "mysql://h/?ssl_disabled=x"] {
            let error = parse(text).unwrap_err().to_string();
            assert!(error.contains("VERIFY_IDENTITY"), "{error}");
        }
    }
}
