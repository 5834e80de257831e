//! MySQL and MariaDB, in the URLs of their clients: SQLAlchemy, Django, Rails, Go, JDBC, Node, Prisma.

use super::strings;
use crate::net::tls::Tls;
use crate::net::tls_settings::{CertificateCheck, Encryption};
use crate::net::{Attempt, Place};
use crate::secret::Secret;
use crate::targets::shared::kind::{Probe, TargetKind, Written};
use crate::targets::shared::parameters::{ODBC_CONNECT, OTHER_SOCKETS, is_unix_socket_factory};
use crate::targets::shared::reading::Reading;
use crate::targets::shared::server::{self, Server};
use crate::targets::shared::url;
use crate::text::truth;
use crate::wait::outcome::Outcome;
use crate::wait::policy::Goal;

/// A MySQL or MariaDB server, or several of which one is wanted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Mysql {
    /// Where it listens, and who logs in.
    pub(super) server: Server,
    /// The database that must be there.
    pub(super) database: Option<String>,
    /// `query=`: a statement whose first row must be neither 0 nor NULL.
    pub(super) query: Option<Secret>,
}

impl Probe for Mysql {
    fn kind(&self) -> &'static TargetKind {
        &super::KINDS[0]
    }

    fn server(&self) -> Option<&Server> {
        Some(&self.server)
    }

    fn run(&self, goal: Goal, tls: &Tls, attempt: &Attempt) -> Outcome {
        self.server.first_ready(goal, attempt, |place, attempt| super::probe(self, place, tls, attempt))
    }

    fn sql(&self) -> Option<&Secret> {
        self.query.as_ref()
    }

    fn shown_path(&self) -> Option<&str> {
        self.database.as_deref()
    }
}

impl Mysql {
    /// A server at `places` of which no more is known.
    pub(super) fn at(places: Vec<Place>) -> Self {
        let server = Server { encryption: Encryption::IfOffered, ..Server::at("mysql", places) };
        Self { server, database: None, query: None }
    }

    pub(super) fn from_url(written: &Written<'_>, reading: &mut Reading<'_>) -> Result<Self, String> {
        let rest = with_plain_hosts(written.rest)?;
        let (mut server, path, query) = Server::from_url(&Written { rest: &rest, ..*written })?;
        if !written.is_tls() {
            server.encryption = Encryption::IfOffered;
        }
        let mut target = Self { server, database: None, query: None };
        let is_prisma = query.iter().any(|(key, _)| key == "sslaccept");
        for (key, value) in query {
            if !target.take_place(&key, &value)? && !target.take_parameter(&key, &value, is_prisma)? {
                reading.ignored.add(&key);
            }
        }
        let path = path.trim_matches('/');
        if !path.is_empty() {
            target.database = Some(path.to_owned());
        }
        target.finish(reading)
    }

    /// Takes a parameter of a string that is no URL.
    pub(super) fn take_or_ignore(&mut self, key: &str, value: &str, reading: &mut Reading<'_>) -> Result<(), String> {
        if !self.take_parameter(key, value, false)? {
            reading.ignored.add(key);
        }
        Ok(())
    }

    /// Takes what the surroundings and the fragment say.
    pub(super) fn finish(mut self, reading: &mut Reading<'_>) -> Result<Self, String> {
        let given = self.server.password.take().filter(|password| !password.expose_bytes().is_empty());
        self.server.password = given.or_else(|| reading.password_in("MYSQL_PWD"));
        self.query = reading.expectations.take("query")?.map(Secret::new);
        self.server.expect(reading)?;
        Ok(self)
    }

    /// A parameter of a URL that names the server: SQLAlchemy's and Node's win over the authority, and a socket over all.
    ///
    /// # Errors
    ///
    /// The host or port cannot be read, or stands in a string of ODBC's.
    fn take_place(&mut self, key: &str, value: &str) -> Result<bool, String> {
        match plain(key).as_str() {
            "host" if matches!(self.server.places[..], [Place::Unix(_)]) => {}
            "host" => self.server.places = server::places(value, self.port())?,
            "port" => {
                let port = url::parse_port(value)?;
                for place in &mut self.server.places {
                    if let Place::Tcp(address) = place {
                        address.port = port;
                    }
                }
            }
            "odbcconnect" => return Err(ODBC_CONNECT.to_owned()),
            _ => return Ok(false),
        }
        Ok(true)
    }

    /// A parameter of the clients' URLs, in any case, with dashes, with underscores or without.
    ///
    /// # Errors
    ///
    /// Names the key whose value is not known; the value may be a secret.
    pub(super) fn take_parameter(&mut self, key: &str, value: &str, is_prisma: bool) -> Result<bool, String> {
        match plain(key).as_str() {
            "user" | "username" => self.server.user = Some(value.to_owned()),
            "password" => self.server.password = Some(Secret::new(value)),
            "socketfactory" if !is_unix_socket_factory(value) => return Err(OTHER_SOCKETS.to_owned()),
            "unixsocket" | "socket" | "socketpath" | "localsocket" | "junixsocket.file" if !value.is_empty() => {
                self.server.places = vec![Place::Unix(value.into())];
            }
            "database" | "dbname" => self.database = Some(value.to_owned()),
            "sslca" | "sslcafile" | "tlsca" | "cacertificatefile" => {
                self.server.tls.ca = Some(value.into());
                self.verify(CertificateCheck::Chain);
            }
            // Prisma's is the CA.
            "sslcert" if is_prisma => self.server.tls.ca = Some(value.into()),
            "sslcert" => self.server.tls.cert = Some(value.into()),
            "sslkey" => self.server.tls.key = Some(value.into()),
            name => {
                let unknown =
                    "is not known; write ssl-mode=DISABLED, PREFERRED, REQUIRED, VERIFY_CA or VERIFY_IDENTITY";
                return self.take_tls_mode(name, value).ok_or_else(|| format!("the value of `{key}` {unknown}"));
            }
        }
        Ok(true)
    }

    /// The port of the first host.
    fn port(&self) -> u16 {
        let port = self.server.places.iter().find_map(|place| match place {
            Place::Tcp(address) => Some(address.port),
            Place::Unix(_) => None,
        });
        port.unwrap_or(strings::DEFAULT_PORT)
    }

    /// The clients' words: `ssl-mode` of MySQL's, `sslMode` of both JDBC drivers, `tls` of Go's, `sslaccept` of
    /// Prisma's. Whether it is about TLS; `None` for a word that is not known.
    fn take_tls_mode(&mut self, name: &str, value: &str) -> Option<bool> {
        let value = plain(value);
        let yes = truth(&value);
        // `${VERIFY:-}` may be empty.
        let told = match value.as_str() {
            "" => Some(false),
            "required" => Some(true),
            _ => yes,
        };
        match name {
            "sslmode" | "ssl" | "usessl" | "tls" | "requiressl" | "sslaccept" => match (value.as_str(), yes) {
                ("disabled" | "disable" | "none", _) | (_, Some(false)) => self.server.encryption = Encryption::Never,
                ("preferred" | "prefer" | "", _) => self.server.encryption = Encryption::IfOffered,
                ("true", _) if name == "tls" => self.verify(CertificateCheck::ChainAndName),
                ("required" | "require" | "trust" | "skipverify" | "acceptinvalidcerts", _) | (_, Some(true)) => {
                    self.server.encryption = Encryption::Always;
                }
                ("verifyca", _) => self.verify(CertificateCheck::Chain),
                ("verifyidentity" | "verifyfull" | "strict", _) => self.verify(CertificateCheck::ChainAndName),
                // Node's `ssl={"rejectUnauthorized":false}`; by itself it verifies.
                (json, _) if json.starts_with('{') && !json.contains("authorized\":false") => {
                    self.verify(CertificateCheck::Chain);
                }
                (json, _) if json.starts_with('{') => self.server.encryption = Encryption::Always,
                _ => return None,
            },
            "ssldisabled" if told? => self.server.encryption = Encryption::Never,
            "verifyservercertificate" | "sslverifycert" if told? => self.verify(CertificateCheck::Chain),
            "sslverifyidentity" if told? => self.verify(CertificateCheck::ChainAndName),
            "ssldisabled" | "verifyservercertificate" | "sslverifycert" | "sslverifyidentity" => {}
            "trustservercertificate" => drop(told?),
            _ => return Some(false),
        }
        Some(true)
    }

    /// The stricter of two checks wins: a server that a client would refuse is not ready.
    fn verify(&mut self, check: CertificateCheck) {
        if self.server.tls.check != Some(CertificateCheck::ChainAndName) {
            self.server.tls.check = Some(check);
        }
        self.server.encryption = Encryption::Always;
    }
}

/// The URL with hosts as all drivers write them: not Connector/J's `address=(host=…)`, and not the socket of
/// `localhost:/path/mysqld.sock/database`, which Perl and PHP have.
fn with_plain_hosts(rest: &str) -> Result<String, String> {
    let (userinfo, hosts_and_path) = match rest.split('/').next().and_then(|authority| authority.rfind('@')) {
        Some(at) => rest.split_at(at + 1),
        None => ("", rest),
    };
    if let Some((socket, rest)) = hosts_and_path.strip_prefix("localhost:").and_then(split_socket) {
        return Ok(format!("{userinfo}unix({socket}){rest}"));
    }
    let end = if hosts_and_path.contains('(') { hosts_and_path.rfind(')').map_or(0, |at| at + 1) } else { 0 };
    let end = hosts_and_path[end..].find(['/', '?']).map_or(hosts_and_path.len(), |at| end + at);
    let (hosts, path) = hosts_and_path.split_at(end);
    // Go's `tcp(host)` and `unix(path)` are every kind's.
    if hosts.starts_with("tcp(") || hosts_and_path.starts_with("unix(") {
        return Ok(rest.to_owned());
    }
    let hosts = strings::plain_hosts(hosts)?;
    let userinfo = if hosts.contains('@') { "" } else { userinfo };
    Ok(format!("{userinfo}{hosts}{path}"))
}

/// A path to a socket, and what follows it.
fn split_socket(text: &str) -> Option<(&str, &str)> {
    let end = text.find(".sock")? + ".sock".len();
    (text.starts_with('/')).then(|| text.split_at(end))
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
    use crate::targets::shared::http_options::HttpDefaults;
    use crate::targets::shared::lookup::Lookup;
    use crate::targets::shared::target::Target;
    use crate::targets::{Surroundings, TargetError};

    fn parse(text: &str) -> Result<Target, TargetError> {
        let env = |name: &str| (name == "MYSQL_PWD").then(|| "from-env".into());
        let file = |_: &str| Err(std::io::ErrorKind::NotFound.into());
        let http = HttpDefaults::default();
        Target::parse(text, &Surroundings { lookup: Lookup { env: &env, file: &file }, http: &http })
    }

    fn parse_with(text: &str) -> Mysql {
        parse(text).unwrap().as_kind::<Mysql>().cloned().unwrap_or_else(|| panic!("{text}"))
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
                "mysql://u:p@h/d?ssl={\"rejectUnauthorized\":true}",
                "mysql://u@h:3306/d",
                "p",
                Encryption::Always,
                Some(CertificateCheck::Chain),
            ),
            ("mysql://u:p@h/d?ssl={\"rejectUnauthorized\":false}", "mysql://u@h:3306/d", "p", Encryption::Always, None),
            ("r2dbcs:mysql://u:p@h/d", "mysql://u@h:3306/d", "p", Encryption::Always, None),
            (
                "jdbc:mysql://address=(host=h)(port=1)(user=u)(password=p)/d",
                "mysql://u@h:1/d",
                "p",
                Encryption::IfOffered,
                None,
            ),
            (
                "mysql://u:p@h/d?ssl_verify_cert=REQUIRED&ssl_disabled=",
                "mysql://u@h:3306/d",
                "p",
                Encryption::Always,
                Some(CertificateCheck::Chain),
            ),
        ] {
            let target = parse_with(text);
            assert_eq!((&target as &dyn Probe).to_string(), shown, "{text}");
            let service = target.server;
            assert_eq!(service.password.as_ref().map(Secret::expose), Some(password), "{text}");
            assert_eq!((service.encryption, service.tls.check), (encryption, check), "{text}");
        }
    }

    #[test]
    fn the_certificate_is_prismas_ca_and_all_others_own() {
        let tls = |text: &str| parse_with(text).server.tls;
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
