//! Servers of well-known schemes whose protocol is not spoken here: a connection, or a TLS handshake where the scheme
//! says TLS, at their usual port.

use crate::net::tls::Tls;
use crate::net::tls_settings::{CertificateCheck, Encryption};
use crate::net::{self, Attempt, Place};
use crate::secret::Secret;
use crate::targets::shared::ado::{self, Pairs};
use crate::targets::shared::kind::{Probe, Scheme, TargetKind, Written};
use crate::targets::shared::parameters::{ODBC_CONNECT, OTHER_SOCKETS};
use crate::targets::shared::reading::Reading;
use crate::targets::shared::server::{Parts, Server};
use crate::targets::shared::url;
use crate::text::truth;
use crate::wait::outcome::{Outcome, Ready};
use crate::wait::policy::Goal;

/// Servers that are only connected to.
pub(crate) static KINDS: &[TargetKind] = &[TargetKind {
    schemes: SCHEMES,
    takes_driver: true,
    takes_lists: true,
    takes_socket: true,
    read,
    ..TargetKind::USUAL
}];

const SCHEMES: &[Scheme] = &[
    Scheme::new(&["mysqlx"]).port(33060).speaks("MySQL's X protocol"),
    Scheme::new(&["stan"]).port(4222).speaks("NATS"),
    Scheme::new(&["imap"]).port(143).speaks("IMAP"),
    Scheme::new(&["imaps", "imap+ssl"]).port(993).speaks("IMAP").tls(),
    Scheme::new(&["pop3", "pop"]).port(110).speaks("POP3"),
    Scheme::new(&["pop3s", "pops"]).port(995).speaks("POP3").tls(),
    Scheme::new(&["ftp"]).port(21).speaks("FTP"),
    Scheme::new(&["ftps"]).port(990).speaks("FTP").tls(),
    Scheme::new(&["sftp"]).port(22).speaks("SSH"),
    Scheme::new(&["ssh", "git+ssh"]).port(22).speaks("SSH"),
    Scheme::new(&["git"]).port(9418).speaks("git"),
    Scheme::new(&["rsync"]).port(873).speaks("rsync"),
    Scheme::new(&["telnet"]).port(23).speaks("telnet"),
    Scheme::new(&["stomp", "stomp+tcp"]).port(61613).speaks("STOMP"),
    Scheme::new(&["stomps", "stomp+ssl", "stomp+tls"]).port(61614).speaks("STOMP").tls(),
    Scheme::new(&["activemq", "openwire"]).port(61616).speaks("ActiveMQ"),
    Scheme::new(&["artemis"]).port(61616).speaks("ActiveMQ"),
    Scheme::new(&["pulsar"]).port(6650).speaks("Pulsar"),
    Scheme::new(&["pulsar+ssl", "pulsars"]).port(6651).speaks("Pulsar").tls(),
    Scheme::new(&["cassandra", "scylla", "scylladb", "cql", "axon"]).port(9042).speaks("CQL"),
    Scheme::new(&["couchbase"]).port(11210).speaks("Couchbase"),
    Scheme::new(&["couchbases"]).port(11207).speaks("Couchbase").tls(),
    Scheme::new(&["couchdb"]).port(5984).speaks("CouchDB"),
    Scheme::new(&["clickhouse", "clickhouse+native", "clickhousenative", "ch"]).port(9000).speaks("ClickHouse"),
    Scheme::new(&["clickhouses"]).port(9440).speaks("ClickHouse").tls(),
    Scheme::new(&["clickhouse+http", "clickhouse-http", "clickhousedb"]).port(8123).speaks("ClickHouse"),
    Scheme::new(&[
        "elasticsearch",
        "es",
        "elastic",
        "opensearch",
        "elasticsearch2",
        "elasticsearch5",
        "elasticsearch7",
    ])
    .port(9200)
    .speaks("Elasticsearch"),
    Scheme::new(&["solr"]).port(8983).speaks("Solr"),
    Scheme::new(&["meilisearch"]).port(7700).speaks("Meilisearch"),
    Scheme::new(&["qdrant"]).port(6334).speaks("Qdrant"),
    Scheme::new(&["milvus"]).port(19530).speaks("Milvus"),
    Scheme::new(&["weaviate"]).port(8080).speaks("Weaviate"),
    Scheme::new(&["influxdb", "influx", "influxdb+http"]).port(8086).speaks("InfluxDB"),
    Scheme::new(&["neo4j", "bolt"]).port(7687).speaks("Bolt"),
    Scheme::new(&["neo4j+s", "bolt+s"]).port(7687).speaks("Bolt").tls(),
    // Any certificate will do ("self-signed certificate").
    Scheme::new(&["neo4j+ssc", "bolt+ssc"]).port(7687).speaks("Bolt").tls(),
    Scheme::new(&["memgraph"]).port(7687).speaks("Bolt"),
    Scheme::new(&[
        "mssql",
        "sqlserver",
        "microsoft:sqlserver",
        "tds",
        "jtds:sqlserver",
        "mssqlms",
        "sqlsrv",
        "pdo-sqlsrv",
        "pdo_sqlsrv",
    ])
    .port(1433)
    .speaks("SQL Server"),
    Scheme::new(&[
        "oracle",
        "oracledb",
        "oracle:thin",
        "godror",
        "oracle-enhanced",
        "oraclegis",
        "oci8",
        "pdo-oci",
        "pdo_oci",
    ])
    .port(1521)
    .speaks("Oracle"),
    Scheme::new(&["oracles"]).port(2484).speaks("Oracle").tls(),
    Scheme::new(&["db2", "ibm_db_sa", "ibmdb", "ibm_db"]).port(50000).speaks("DB2"),
    Scheme::new(&["h2:tcp"]).port(9092).speaks("H2"),
    Scheme::new(&["hsqldb:hsql"]).port(9001).speaks("HSQLDB"),
    Scheme::new(&["informix", "informix-sqli"]).port(9088).speaks("Informix"),
    Scheme::new(&["sybase"]).port(5000).speaks("Sybase"),
    Scheme::new(&["firebird", "firebirdsql", "interbase"]).port(3050).speaks("Firebird"),
    Scheme::new(&["vertica", "vertica_python"]).port(5433).speaks("Vertica"),
    Scheme::new(&["exasol", "exa"]).port(8563).speaks("Exasol"),
    Scheme::new(&["hana", "sap"]).port(30015).speaks("HANA"),
    Scheme::new(&["teradata", "teradatasql"]).port(1025).speaks("Teradata"),
    Scheme::new(&["hive", "hive2"]).port(10000).speaks("Hive"),
    Scheme::new(&["impala"]).port(21050).speaks("Impala"),
    Scheme::new(&["presto"]).port(8080).speaks("Presto"),
    Scheme::new(&["trino"]).port(8080).speaks("Trino"),
    Scheme::new(&["druid"]).port(8082).speaks("Druid"),
    Scheme::new(&["pinot"]).port(8099).speaks("Pinot"),
    Scheme::new(&["crate", "cratedb"]).port(4200).speaks("CrateDB"),
    Scheme::new(&["questdb"]).port(8812).speaks("QuestDB"),
    Scheme::new(&["taos", "tdengine"]).port(6030).speaks("TDengine"),
    Scheme::new(&["arangodb", "arango"]).port(8529).speaks("ArangoDB"),
    Scheme::new(&["orientdb", "remote"]).port(2424).speaks("OrientDB"),
    Scheme::new(&["rethinkdb"]).port(28015).speaks("RethinkDB"),
    Scheme::new(&["surrealdb", "surreal"]).port(8000).speaks("SurrealDB"),
    Scheme::new(&["gel", "edgedb"]).port(5656).speaks("Gel"),
    Scheme::new(&["aerospike"]).port(3000).speaks("Aerospike"),
    Scheme::new(&["ignite", "ignite:thin"]).port(10800).speaks("Ignite"),
    Scheme::new(&["hazelcast"]).port(5701).speaks("Hazelcast"),
    Scheme::new(&["tarantool"]).port(3301).speaks("Tarantool"),
    Scheme::new(&["zookeeper", "zk"]).port(2181).speaks("ZooKeeper"),
    Scheme::new(&["consul"]).port(8500).speaks("Consul"),
    Scheme::new(&["etcd", "etcd3"]).port(2379).speaks("etcd"),
    Scheme::new(&["etcds"]).port(2379).speaks("etcd").tls(),
    Scheme::new(&["vault"]).port(8200).speaks("Vault"),
    Scheme::new(&["nomad"]).port(4646).speaks("Nomad"),
    Scheme::new(&["temporal"]).port(7233).speaks("Temporal"),
    Scheme::new(&["beanstalkd", "beanstalk"]).port(11300).speaks("beanstalkd"),
    Scheme::new(&["gearman"]).port(4730).speaks("Gearman"),
    Scheme::new(&["faktory"]).port(7419).speaks("Faktory"),
    Scheme::new(&["disque"]).port(7711).speaks("Disque"),
    Scheme::new(&["nsq", "nsqd"]).port(4150).speaks("NSQ"),
    Scheme::new(&["rocketmq"]).port(9876).speaks("RocketMQ"),
    Scheme::new(&["solace", "smf"]).port(55555).speaks("Solace"),
    Scheme::new(&["thrift"]).port(9090).speaks("Thrift"),
    Scheme::new(&["otlp"]).port(4317).speaks("OTLP"),
    Scheme::new(&["fluent", "fluentd", "fluentbit", "forward"]).port(24224).speaks("Fluentd"),
    Scheme::new(&["graphite", "carbon"]).port(2003).speaks("Graphite"),
    Scheme::new(&["syslog", "syslog+tcp"]).port(514).speaks("syslog"),
    Scheme::new(&["syslog+tls", "syslogs"]).port(6514).speaks("syslog").tls(),
    Scheme::new(&["rtmp"]).port(1935).speaks("RTMP"),
    Scheme::new(&["rtsp"]).port(554).speaks("RTSP"),
    Scheme::new(&["sip"]).port(5060).speaks("SIP"),
    Scheme::new(&["sips"]).port(5061).speaks("SIP").tls(),
    Scheme::new(&["xmpp"]).port(5222).speaks("XMPP"),
    Scheme::new(&["irc"]).port(6667).speaks("IRC"),
    Scheme::new(&["ircs"]).port(6697).speaks("IRC").tls(),
    Scheme::new(&["nntp"]).port(119).speaks("NNTP"),
    Scheme::new(&["socks5", "socks", "socks4", "socks5h", "socks4a"]).port(1080).speaks("SOCKS"),
    Scheme::new(&["vnc"]).port(5900).speaks("VNC"),
    Scheme::new(&["rdp"]).port(3389).speaks("RDP"),
    Scheme::new(&["nfs"]).port(2049).speaks("NFS"),
    Scheme::new(&["smb", "cifs"]).port(445).speaks("SMB"),
    Scheme::new(&["modbus", "modbus+tcp"]).port(502).speaks("Modbus"),
    Scheme::new(&["opc.tcp"]).port(4840).speaks("OPC UA"),
    Scheme::new(&["rmi", "jmx", "service:jmx:rmi"]).port(1099).speaks("RMI"),
    Scheme::new(&["docker"]).port(2375).speaks("Docker"),
    Scheme::new(&["hdfs"]).port(8020).speaks("HDFS"),
    Scheme::new(&["spark"]).port(7077).speaks("Spark"),
    Scheme::new(&["dask"]).port(8786).speaks("Dask"),
    Scheme::new(&["ray"]).port(10001).speaks("Ray"),
    Scheme::new(&["gopher"]).port(70).speaks("gopher"),
    Scheme::new(&["zmq", "zeromq"]).port(5555).speaks("ZeroMQ"),
];

/// A server of a well-known kind whose protocol is not spoken here.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct OtherServer {
    /// Where it listens, and how TLS is used. Nobody logs in: it has no user and no password.
    server: Server,
    /// The words in messages: "a TCP connection; STOMP is not asked".
    protocol: &'static str,
    /// The secrets of the URL.
    secrets: Vec<Secret>,
}

fn read(written: &Written<'_>, reading: &mut Reading<'_>) -> Result<Box<dyn Probe>, String> {
    let scheme = written.scheme;
    if written.rest.contains("socketFactory") {
        return Err(OTHER_SOCKETS.to_owned());
    }
    let oracles = (scheme.name() == "oracle").then(|| of_oracle(written.rest));
    let rest = oracles.as_deref().unwrap_or(written.rest);
    let by_property = host_by_property(rest);
    let place = by_property.as_deref().unwrap_or_else(|| without_properties(rest));
    let parts = Parts::of(&Written { rest: place, ..*written })?;
    // SQLAlchemy's way to hand ODBC's string over.
    if let Some(odbc) = parts.parameter("odbc_connect") {
        if scheme.name() != "mssql" {
            return Err(ODBC_CONNECT.to_owned());
        }
        let pairs = ado::pairs(&odbc.replace('+', " "))?;
        return Ok(Box::new(OtherServer::of_pairs(&pairs, reading)?));
    }
    let mut secrets: Vec<Secret> = parts.password.iter().cloned().collect();
    for (key, value) in &parts.query {
        reading.ignored.add(key);
        secrets.push(Secret::new(value.as_str()));
    }
    // The parameters that may stand behind a `;`.
    secrets
        .extend(rest.split(';').skip(1).filter_map(|pair| pair.split_once('=')).map(|(_, value)| Secret::new(value)));
    let is_secure = parts.parameter("secure").and_then(truth) == Some(true);
    let socket = ["unix_socket", "unixSocket", "socket"].iter().find_map(|key| parts.parameter(key));
    let places = match socket.filter(|path| path.starts_with('/')) {
        Some(path) => vec![Place::Unix(path.into())],
        None => parts.places,
    };
    let mut server = OtherServer::at(scheme, places, secrets);
    if written.is_tls() || is_secure || scheme.name() == "oracle" && says_tcps(written.rest) {
        server.take_tls(reading)?;
    }
    Ok(Box::new(server))
}

impl OtherServer {
    /// A server that is named by other means than a URL.
    fn at(scheme: &'static Scheme, places: Vec<Place>, secrets: Vec<Secret>) -> Self {
        let mut server = Server::at(scheme.name(), places);
        server.tls.check = scheme.name().ends_with("+ssc").then_some(CertificateCheck::Nothing);
        Self { server, protocol: scheme.protocol, secrets }
    }

    /// `SqlClient`'s string: `Server=tcp:host,1433` and `host\\instance`; Oracle's `Data Source=host:1521/service`.
    pub(crate) fn of_pairs(pairs: &Pairs, reading: &mut Reading<'_>) -> Result<Self, String> {
        let scheme = |name: &str| SCHEMES.iter().find(|scheme| scheme.name() == name).ok_or("its server is not known");
        let secrets = || pairs.iter().map(|(_, value)| Secret::new(value.as_str())).collect();
        for (key, _) in pairs {
            reading.ignored.add(key);
        }
        let host = ado::value(pairs, ado::HOST).unwrap_or_default();
        let is_file = [".db", ".sqlite", ".sqlite3"].iter().any(|end| host.ends_with(end));
        if is_file && ado::value(pairs, ado::USER).is_none() {
            return Err("it is a file, not a server: write file:///path/to/database, or leave it out".to_owned());
        }
        if host.contains('(') && !host.starts_with("(local") || host.contains(":1521") {
            let places = Parts::read(&of_oracle(host), 1521)?.places;
            let mut server = Self::at(scheme("oracle")?, places, secrets());
            if says_tcps(host) {
                server.take_tls(reading)?;
            }
            return Ok(server);
        }
        let scheme = scheme("mssql")?;
        let host = host.strip_prefix("tcp:").unwrap_or(host).trim();
        if host.is_empty() || host.contains(':') || host.to_ascii_lowercase().starts_with("(localdb)") {
            return Err("it names no server by TCP; write Server=HOST,1433".to_owned());
        }
        let (host, port) =
            host.split_once(',').map_or((host, ado::value(pairs, ado::PORT)), |(h, p)| (h, Some(p.trim())));
        let host = match host.split('\\').next().unwrap_or_default() {
            "." | "(local)" => "localhost",
            host => host,
        };
        let port = port.map(url::parse_port).transpose()?.or(scheme.port).unwrap_or_default();
        Ok(Self::at(scheme, url::places(host, port)?, secrets()))
    }

    fn take_tls(&mut self, reading: &mut Reading<'_>) -> Result<(), String> {
        self.server.encryption = Encryption::Always;
        self.server.expect(reading)
    }

    fn ask(&self, place: &Place, tls: &Tls, attempt: &Attempt) -> Outcome {
        let proof = if self.server.encryption == Encryption::Always {
            self.server.shake_hands(place, tls, attempt)?;
            "a TLS handshake"
        } else {
            net::connect(place, attempt)?;
            if let Place::Tcp(_) = place { "a TCP connection" } else { "a connection to the socket" }
        };
        Ok(Ready::new(format!("{proof}; {} is not asked", self.protocol)))
    }
}

impl Probe for OtherServer {
    fn kind(&self) -> &'static TargetKind {
        &KINDS[0]
    }

    fn server(&self) -> Option<&Server> {
        Some(&self.server)
    }

    fn run(&self, goal: Goal, tls: &Tls, attempt: &Attempt) -> Outcome {
        self.server.first_ready(goal, attempt, |place, attempt| self.ask(place, tls, attempt))
    }

    fn wants_a_conversation(&self) -> bool {
        self.server.encryption == Encryption::Always
    }

    fn knows_tls_keys(&self) -> bool {
        self.server.encryption == Encryption::Always
    }

    fn secrets(&self) -> Vec<&Secret> {
        self.secrets.iter().collect()
    }
}

/// `ActiveMQ`'s `failover:(tcp://a:61616,ssl://b:61617)` as a list of whole URLs.
pub(crate) fn failover_as_list(url: &str) -> Option<String> {
    let rest = url.strip_prefix("failover:")?;
    let (list, fragment) = rest.split_at(rest.find('#').unwrap_or(rest.len()));
    if !list.contains("://") {
        return None;
    }
    let list = list.trim_start_matches('/');
    let list = list.strip_prefix('(').and_then(|list| list.rsplit_once(')')).map_or(list, |(list, _)| list);
    // Options stand behind each broker, and do not say where it is.
    let brokers: Vec<&str> = list.split(',').filter_map(|broker| broker.split('?').next()).collect();
    let list = brokers.join(",").replace("nio://", "tcp://").replace("tcp://", "activemq://");
    Some(list.replace("ssl://", "activemq+ssl://") + fragment)
}

/// The URL without the properties that SQL Server has behind a `;`. In a path or a query it is theirs.
fn without_properties(rest: &str) -> &str {
    match url::authority(rest).find(';') {
        Some(end) => &rest[..end],
        None => rest,
    }
}

/// The host of SQL Server's `;serverName=db;portNumber=1434`, which has none before its properties.
fn host_by_property(rest: &str) -> Option<String> {
    let value = |names: [&str; 2]| {
        let mut pairs = rest.strip_prefix(';')?.split(';').filter_map(|pair| pair.split_once('='));
        pairs.find(|(key, _)| names.iter().any(|name| key.trim().eq_ignore_ascii_case(name))).map(|(_, value)| value)
    };
    let host = value(["serverName", "server"])?;
    Some(value(["portNumber", "port"]).map_or_else(|| host.to_owned(), |port| format!("{host}:{port}")))
}

/// The values of a key in Oracle's `(DESCRIPTION=(ADDRESS=(PROTOCOL=TCP)(HOST=host)(PORT=1521))…)`.
fn values_of<'a>(description: &'a str, key: &'static str) -> impl Iterator<Item = &'a str> {
    let pairs = description.split('(').filter_map(|pair| pair.split_once('='));
    let of_key = pairs.filter(move |(name, _)| name.trim().eq_ignore_ascii_case(key));
    of_key.map(|(_, value)| value.split(')').next().unwrap_or_default().trim())
}

/// Whether a string of Oracle's wants TLS.
fn says_tcps(rest: &str) -> bool {
    rest.contains("tcps://") || values_of(rest, "protocol").any(|protocol| protocol.eq_ignore_ascii_case("tcps"))
}

/// Oracle's `thin:user/password@//host:1521/service` and `thin:@host:1521:SID`, from the host to its port, and the
/// hosts of `(DESCRIPTION=(ADDRESS=(PROTOCOL=TCP)(HOST=host)(PORT=1521))…)`.
fn of_oracle(rest: &str) -> String {
    let rest = rest.rsplit_once('@').map_or(rest, |(_, place)| place);
    if rest.starts_with('(') {
        let ports = values_of(rest, "port").chain(std::iter::repeat("1521"));
        let places: Vec<String> =
            values_of(rest, "host").zip(ports).map(|(host, port)| format!("{host}:{port}")).collect();
        // Without a host it is none that is understood.
        return if places.is_empty() { rest.to_owned() } else { places.join(",") };
    }
    // `//`, or `tcps://`
    let rest = rest.rsplit_once("//").map_or(rest, |(_, place)| place);
    match rest.match_indices([':', '/']).nth(1) {
        Some((end, ":")) => rest[..end].to_owned(),
        _ => rest.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::targets::scripted;

    #[test]
    fn a_scheme_that_says_tls_gets_tls() {
        let has_tls = |url: &str| scripted::of_kind::<OtherServer>(url).server.encryption == Encryption::Always;
        for scheme in SCHEMES.iter().flat_map(|scheme| scheme.names) {
            let says_tls = ["+s", "+ssc", "+ssl", "+tls", "-ssl"].iter().any(|end| scheme.ends_with(end))
                || SCHEMES.iter().flat_map(|scheme| scheme.names).any(|name| *scheme == format!("{name}s"));
            let is_plain = ["redis", "tds"].contains(scheme);
            if says_tls && !is_plain {
                assert!(has_tls(&format!("{scheme}://h")), "{scheme}");
            }
        }
        let oracles = [
            "Data Source=(DESCRIPTION=(ADDRESS=(PROTOCOL = tcps)(HOST=h)(PORT=2484)));User Id=u",
            "clickhouse://h?secure=True",
        ];
        for url in oracles {
            assert!(has_tls(url), "{url}");
        }
        assert!(!has_tls("vault://h?insecure=true"));
        for url in ["activemq+ssl://h", "elasticsearch+https://h", "stomp+wss://h", "clickhouse+https://h"] {
            assert!(has_tls(url), "{url}");
        }
        for url in ["stomp://h", "clickhouse+native://h", "elasticsearch+http://h"] {
            assert!(!has_tls(url), "{url}");
        }
    }

    #[test]
    fn brokers_of_a_failover_are_a_list_of_urls() {
        let list = failover_as_list("failover:(nio://a:1,ssl://b:2)?x=1#timeout=1s");
        assert_eq!(list.as_deref(), Some("activemq://a:1,activemq+ssl://b:2#timeout=1s"));
        assert_eq!(failover_as_list("failover:a"), None);
    }

    #[test]
    fn the_fragment_says_more_about_tls_and_ssc_takes_any_certificate() {
        let tls = |url: &str| {
            let server = scripted::of_kind::<OtherServer>(url).server;
            assert_eq!(server.encryption, Encryption::Always, "{url}");
            server.tls
        };
        let given = tls("imaps://h#ca=/ca.pem&cert=/c.pem&cert-key=/k.pem&servername=mail.example");
        assert_eq!(given.ca, Some("/ca.pem".into()));
        assert_eq!(given.server_name.as_deref(), Some("mail.example"));
        assert_eq!(tls("stomps://h#insecure").check, Some(CertificateCheck::Nothing));
        for url in ["neo4j+ssc://h", "bolt+ssc://h"] {
            assert_eq!(tls(url).check, Some(CertificateCheck::Nothing), "{url}");
        }
        for url in ["neo4j+s://h", "pulsar+ssl://h"] {
            assert_eq!(tls(url).check, None, "{url}");
        }
    }

    #[test]
    fn the_host_is_found_before_what_only_its_own_client_knows() {
        let places = |rest: &str| -> Vec<String> {
            Parts::read(rest, 5672).unwrap().places.iter().map(Place::to_string).collect()
        };
        assert_eq!(places(without_properties("db;user=sa;password=x@y")), ["db:5672"]);
        assert_eq!(places(without_properties("u:p@db/x;y=z")), ["db:5672"]);
        assert_eq!(places(without_properties("db;password=x;y://z")), ["db:5672"]);
        assert_eq!(host_by_property(";serverName=db;port=1434;password=x").as_deref(), Some("db:1434"));
        for rest in [
            "thin:@tcps://db:1522/x",
            "thin:@//db:1522/x",
            "thin:u/p@db:1522:XE",
            "thin:u/p@(DESCRIPTION=(ADDRESS=(PROTOCOL=TCP)(HOST = db)(PORT=1522)))",
            "db:1522/x",
            "u:p@db:1522/?service_name=x",
        ] {
            assert_eq!(places(&of_oracle(rest)), ["db:1522"], "{rest}");
        }
        assert_eq!(of_oracle("thin:@(DESCRIPTION=(ADDRESS=(HOST=db)))"), "db:1521");
        assert!(Parts::read(&of_oracle("thin:@(DESCRIPTION=(SID=x))"), 1521).is_err());
    }
}
