//! The one table of schemes: parsing, suggestions, messages and help follow from it.
//!
//! A new kind of target is a row here, its grammar beside this file, its probe and its test.

/// How a URL of a scheme is read, and what is probed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Grammar {
    /// A TCP connection.
    Tcp,
    /// A connection to a Unix socket.
    Unix,
    /// A TLS handshake.
    Tls,
    /// A path in the file system.
    File,
    /// A name that resolves.
    Dns,
    /// An HTTP request.
    Http,
    /// An HTTP request to a Unix socket.
    HttpUnix,
    /// A request for a WebSocket.
    WebSocket,
    /// A Postgres server.
    Postgres,
    /// A Redis server, or several nodes.
    Redis,
    /// A Redis server at a Unix socket.
    RedisUnix,
    /// Redis' sentinels.
    Sentinel,
    /// Another server: asked in its own protocol where the build has it, or else a TCP connection.
    Server,
    /// No server to wait for; the row's `name_of` says what to do.
    Refused,
}

/// A row of the table.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Scheme {
    /// What it is shown and suggested as, and other names of the same, with blanks between them.
    pub names: &'static str,
    /// How it is read.
    pub grammar: Grammar,
    /// Whether the whole connection is TLS.
    pub layer: Layer,
    /// The port, where there is one that clients take by themselves.
    pub port: Option<u16>,
    /// What its protocol is called in messages; for what is refused, what to do instead.
    pub protocol: &'static str,
}

/// What a scheme says about TLS.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Layer {
    /// Nothing: plain, or the protocol's own way to begin it.
    Plain,
    /// TLS from the first byte.
    Tls,
}

impl Scheme {
    /// All of its names, the one that it is shown as first.
    fn names(&self) -> impl Iterator<Item = &'static str> {
        self.names.split(' ')
    }

    /// What it is shown and suggested as.
    pub fn name(&self) -> &'static str {
        self.names().next().unwrap_or_default()
    }
}

const fn row(names: &'static str, grammar: Grammar) -> Scheme {
    Scheme { names, grammar, layer: Layer::Plain, port: None, protocol: "" }
}

const fn at(port: u16, scheme: Scheme) -> Scheme {
    Scheme { port: Some(port), ..scheme }
}

const fn tls(scheme: Scheme) -> Scheme {
    Scheme { layer: Layer::Tls, ..scheme }
}

/// A server of which a TCP connection is asked.
const fn server(names: &'static str, port: u16, protocol: &'static str) -> Scheme {
    Scheme { names, grammar: Grammar::Server, layer: Layer::Plain, port: Some(port), protocol }
}

const fn refused(names: &'static str, instead: &'static str) -> Scheme {
    Scheme { names, grammar: Grammar::Refused, layer: Layer::Plain, port: None, protocol: instead }
}

/// Every scheme, those first that are probed most thoroughly.
pub const SCHEMES: &[Scheme] = &[
    row("tcp", Grammar::Tcp),
    row("unix", Grammar::Unix),
    at(80, row("http http-get", Grammar::Http)),
    at(443, tls(row("https https-get", Grammar::Http))),
    row("http+unix http-unix unix+http httpunix", Grammar::HttpUnix),
    at(80, row("ws", Grammar::WebSocket)),
    at(443, tls(row("wss", Grammar::WebSocket))),
    // The names that SQLAlchemy, Django, Rails, Ecto, Go, Rust, PHP and JDBC have for it.
    at(
        5432,
        row(
            "postgres postgresql postgis pgsql psql pg pgx pgx4 pgx5 ecto cockroach cockroachdb crdb-postgres timescale \
             timescaledb timescalegis yugabyte yugabytedb ysql postgresql2 postgres2 postgresqls postgresql_psycopg2 \
             django_postgrespool django_postgrespool2 db+postgresql db+postgres postgresql-async alloydb greenplum \
             opengauss gaussdb citus neon supabase edb npgsql",
            Grammar::Postgres,
        ),
    ),
    at(5439, row("redshift", Grammar::Postgres)),
    at(6875, row("materialize", Grammar::Postgres)),
    at(4566, row("risingwave", Grammar::Postgres)),
    at(6379, row("redis valkey keydb dragonfly redis-cluster redis+cluster valkey-cluster", Grammar::Redis)),
    at(
        6379,
        tls(row(
            "rediss valkeys redis+tls redis+ssl redis-tls redis-ssl valkey+tls valkey+ssl rediss-cluster rediss+cluster \
             rediss-socket",
            Grammar::Redis,
        )),
    ),
    row(
        "redis+unix redis+socket redis-socket redis-unix unix+redis valkey+unix valkey+socket valkey-socket",
        Grammar::RedisUnix,
    ),
    at(
        26379,
        row(
            "redis+sentinel redis-sentinel sentinel valkey+sentinel valkey-sentinel redis+sentinel+srv",
            Grammar::Sentinel,
        ),
    ),
    at(
        26379,
        tls(row("rediss+sentinel rediss-sentinel sentinels redis-sentinels valkeys+sentinel", Grammar::Sentinel)),
    ),
    row("file", Grammar::File),
    row("dns", Grammar::Dns),
    tls(row("tls ssl tcp+tls tcps", Grammar::Tls)),
    // Of these a TCP connection is asked, and the message says so.
    server("amqp pyamqp librabbitmq rabbitmq rabbit amqp091", 5672, "AMQP"),
    tls(server("amqps amqp+ssl amqp+tls pyamqps", 5671, "AMQP")),
    server("mysql mysql2 mariadb mysqlgis percona aurora-mysql mysql-connector trilogy", 3306, "MySQL"),
    server("mysqlx", 33060, "MySQL's X protocol"),
    server("tidb", 4000, "MySQL"),
    server("mongodb mongo", 27017, "MongoDB"),
    refused(
        "mongodb+srv mongo+srv",
        "its servers stand in DNS (SRV records), which are not asked: name one, mongodb://HOST:27017",
    ),
    server("kafka confluent confluentkafka redpanda", 9092, "Kafka"),
    tls(server("kafkas kafka+ssl kafka+tls", 9093, "Kafka")),
    server("nats", 4222, "NATS"),
    server("stan", 4222, "NATS"),
    server("mqtt mqtt+tcp", 1883, "MQTT"),
    tls(server("mqtts mqtt+ssl mqtt+tls mqtt-ssl", 8883, "MQTT")),
    server("ldap", 389, "LDAP"),
    tls(server("ldaps", 636, "LDAP")),
    server("smtp smtp+plain mail", 25, "SMTP"),
    tls(server("smtps smtp+ssl", 465, "SMTP")),
    server("submission smtp+tls smtp+starttls", 587, "SMTP"),
    server(
        "memcached memcache memcaches pymemcache pymemcachecache pylibmc pylibmccache djangopylibmc elasticache",
        11211,
        "memcached",
    ),
    server("imap", 143, "IMAP"),
    tls(server("imaps imap+ssl", 993, "IMAP")),
    server("pop3 pop", 110, "POP3"),
    tls(server("pop3s pops", 995, "POP3")),
    server("ftp", 21, "FTP"),
    tls(server("ftps", 990, "FTP")),
    server("sftp", 22, "SSH"),
    server("ssh git+ssh", 22, "SSH"),
    server("git", 9418, "git"),
    server("rsync", 873, "rsync"),
    server("telnet", 23, "telnet"),
    server("stomp stomp+tcp", 61613, "STOMP"),
    tls(server("stomps stomp+ssl stomp+tls", 61614, "STOMP")),
    server("activemq openwire", 61616, "ActiveMQ"),
    server("artemis", 61616, "ActiveMQ"),
    server("pulsar", 6650, "Pulsar"),
    tls(server("pulsar+ssl pulsars", 6651, "Pulsar")),
    server("cassandra scylla scylladb cql axon", 9042, "CQL"),
    server("couchbase", 11210, "Couchbase"),
    tls(server("couchbases", 11207, "Couchbase")),
    server("couchdb", 5984, "CouchDB"),
    server("clickhouse clickhouse+native clickhousenative ch", 9000, "ClickHouse"),
    tls(server("clickhouses", 9440, "ClickHouse")),
    server("clickhouse+http clickhouse-http clickhousedb", 8123, "ClickHouse"),
    server("elasticsearch es elastic opensearch elasticsearch2 elasticsearch5 elasticsearch7", 9200, "Elasticsearch"),
    server("solr", 8983, "Solr"),
    server("meilisearch", 7700, "Meilisearch"),
    server("qdrant", 6334, "Qdrant"),
    server("milvus", 19530, "Milvus"),
    server("weaviate", 8080, "Weaviate"),
    server("influxdb influx influxdb+http", 8086, "InfluxDB"),
    server("neo4j bolt neo4j+s neo4j+ssc bolt+s bolt+ssc", 7687, "Bolt"),
    server("memgraph", 7687, "Bolt"),
    server("mssql sqlserver microsoft:sqlserver tds jtds:sqlserver mssqlms", 1433, "SQL Server"),
    server("oracle oracledb oracle:thin godror oracle-enhanced", 1521, "Oracle"),
    tls(server("oracles", 2484, "Oracle")),
    server("db2 ibm_db_sa ibmdb ibm_db", 50000, "DB2"),
    server("informix informix-sqli", 9088, "Informix"),
    server("sybase", 5000, "Sybase"),
    server("firebird firebirdsql interbase", 3050, "Firebird"),
    server("vertica vertica_python", 5433, "Vertica"),
    server("exasol exa", 8563, "Exasol"),
    server("hana sap", 30015, "HANA"),
    server("teradata teradatasql", 1025, "Teradata"),
    server("hive hive2", 10000, "Hive"),
    server("impala", 21050, "Impala"),
    server("presto", 8080, "Presto"),
    server("trino", 8080, "Trino"),
    server("druid", 8082, "Druid"),
    server("pinot", 8099, "Pinot"),
    server("crate cratedb", 4200, "CrateDB"),
    server("questdb", 8812, "QuestDB"),
    server("taos tdengine", 6030, "TDengine"),
    server("starrocks doris", 9030, "MySQL"),
    server("singlestoredb singlestore memsql", 3306, "MySQL"),
    server("arangodb arango", 8529, "ArangoDB"),
    server("orientdb remote", 2424, "OrientDB"),
    server("rethinkdb", 28015, "RethinkDB"),
    server("surrealdb surreal", 8000, "SurrealDB"),
    server("gel edgedb", 5656, "Gel"),
    server("aerospike", 3000, "Aerospike"),
    server("ignite ignite:thin", 10800, "Ignite"),
    server("hazelcast", 5701, "Hazelcast"),
    server("tarantool", 3301, "Tarantool"),
    server("zookeeper zk", 2181, "ZooKeeper"),
    server("consul", 8500, "Consul"),
    server("etcd etcds etcd3", 2379, "etcd"),
    server("vault", 8200, "Vault"),
    server("nomad", 4646, "Nomad"),
    server("temporal", 7233, "Temporal"),
    server("beanstalkd beanstalk", 11300, "beanstalkd"),
    server("gearman", 4730, "Gearman"),
    server("faktory", 7419, "Faktory"),
    server("disque", 7711, "Disque"),
    server("nsq nsqd", 4150, "NSQ"),
    server("rocketmq", 9876, "RocketMQ"),
    server("solace smf", 55555, "Solace"),
    server("grpc grpc+tcp dns+grpc", 50051, "gRPC"),
    tls(server("grpcs grpc+tls grpc+ssl", 443, "gRPC")),
    server("thrift", 9090, "Thrift"),
    server("otlp", 4317, "OTLP"),
    server("fluent fluentd fluentbit forward", 24224, "Fluentd"),
    server("graphite carbon", 2003, "Graphite"),
    server("syslog syslog+tcp", 514, "syslog"),
    tls(server("syslog+tls syslogs", 6514, "syslog")),
    server("rtmp", 1935, "RTMP"),
    server("rtsp", 554, "RTSP"),
    server("sip", 5060, "SIP"),
    tls(server("sips", 5061, "SIP")),
    server("xmpp", 5222, "XMPP"),
    server("irc", 6667, "IRC"),
    tls(server("ircs", 6697, "IRC")),
    server("nntp", 119, "NNTP"),
    server("socks5 socks socks4 socks5h socks4a", 1080, "SOCKS"),
    server("vnc", 5900, "VNC"),
    server("rdp", 3389, "RDP"),
    server("nfs", 2049, "NFS"),
    server("smb cifs", 445, "SMB"),
    server("modbus modbus+tcp", 502, "Modbus"),
    server("opc.tcp", 4840, "OPC UA"),
    server("rmi jmx service:jmx:rmi", 1099, "RMI"),
    server("docker", 2375, "Docker"),
    server("hdfs", 8020, "HDFS"),
    server("spark", 7077, "Spark"),
    server("dask", 8786, "Dask"),
    server("ray", 10001, "Ray"),
    server("gopher", 70, "gopher"),
    server("zmq zeromq", 5555, "ZeroMQ"),
    // What is no server to wait for.
    refused(
        "prisma+postgres prisma",
        "Prisma Accelerate is no server to wait for: give the database's own URL, postgres://HOST/DATABASE",
    ),
    refused(
        "sqlite sqlite3 spatialite libsql+file duckdb h2 derby hsqldb",
        "it is a file, not a server: write file:///path/to/database, or leave it out",
    ),
    refused(
        "sqs gcpubsub azureservicebus azurestoragequeues",
        "it names a cloud's service and no place: wait for https://ENDPOINT",
    ),
    refused("s3 gs gcs abfs wasb wasbs adl", "it names a cloud's storage and no place: wait for https://ENDPOINT"),
    refused(
        "bigquery snowflake athena awsathena awsathena+rest dynamodb databricks spanner firestore",
        "it names a cloud's service and no place: wait for https://ENDPOINT",
    ),
    refused(
        "memory locmem locmemcache dummy dummycache dbcache filecache filesystem console consolemail null sync inproc \
         cache+memory",
        "it is no server: there is nothing to wait for",
    ),
    refused(
        "udp statsd coap coaps ntp snmp quic gelf+udp syslog+udp tftp",
        "UDP tells nothing about whether anybody listens: it cannot be waited for",
    ),
    refused(
        "cloudsql cloudsql-postgres gcppostgres awspostgres rdspostgres azurepostgres",
        "its connector looks the place up: give the place itself, postgres://HOST/DATABASE",
    ),
    refused("data javascript mailto about blob urn", "it is no server: there is nothing to wait for"),
];

/// A scheme as it was found, with what stood before and after it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Found {
    pub(crate) scheme: &'static Scheme,
    pub(crate) dialect: Dialect,
}

/// Whose way of writing a URL it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Dialect {
    /// libpq's, redis-py's, curl's.
    Plain,
    /// With a driver, as `SQLAlchemy` has it: `postgresql+asyncpg`.
    Driver,
    /// `jdbc:`
    Jdbc,
    /// `r2dbc:` and `r2dbcs:`
    R2dbc(Layer),
}

/// The row for what stands before `://`, in any case.
pub(crate) fn find(written: &str) -> Option<Found> {
    let name = written.to_ascii_lowercase();
    for (prefix, dialect) in [
        ("jdbc:", Dialect::Jdbc),
        ("jdbc-secretsmanager:", Dialect::Jdbc),
        ("r2dbcs:", Dialect::R2dbc(Layer::Tls)),
        ("r2dbc:", Dialect::R2dbc(Layer::Plain)),
    ] {
        if let Some(rest) = name.strip_prefix(prefix) {
            return wrapped(rest).map(|scheme| Found { scheme, dialect });
        }
    }
    let name = name.strip_prefix("db+").unwrap_or(&name);
    if let Some(scheme) = exact(name) {
        return Some(Found { scheme, dialect: Dialect::Plain });
    }
    let (base, driver) = name.split_once('+')?;
    let scheme = exact(base)?;
    (!driver.is_empty() && takes_driver(scheme)).then_some(Found { scheme, dialect: Dialect::Driver })
}

/// `SQLAlchemy` has drivers for databases; `https+x` or `tcp+x` are nobody's.
fn takes_driver(scheme: &Scheme) -> bool {
    matches!(scheme.grammar, Grammar::Postgres | Grammar::Redis | Grammar::Server | Grammar::Refused)
}

fn exact(name: &str) -> Option<&'static Scheme> {
    SCHEMES.iter().find(|scheme| scheme.names().any(|known| known == name))
}

/// JDBC's and R2DBC's drivers have wrappers before them (`aws-wrapper:postgresql`), and some a part behind
/// (`oracle:thin`).
fn wrapped(name: &str) -> Option<&'static Scheme> {
    let parts: Vec<&str> = name.split(':').collect();
    let by_end = (0..parts.len()).find_map(|begin| exact(&parts[begin..].join(":")));
    by_end.or_else(|| parts.iter().find_map(|part| exact(part)).filter(|scheme| scheme.grammar == Grammar::Server))
}

/// The scheme that a misspelt one was most likely meant to be.
pub(crate) fn suggestion(written: &str) -> Option<&'static str> {
    let written = written.to_ascii_lowercase();
    let names = SCHEMES.iter().flat_map(|scheme| {
        let is_suggested = |alias: &&str| scheme.grammar == Grammar::Postgres && alias.len() > 7;
        scheme.names().take(1).chain(scheme.names().skip(1).filter(is_suggested))
    });
    let near = names
        // Of two short words each is near the other: ws and dns.
        .filter(|name| name.len() > 2 && written.len() > 2 && !name.contains('+'))
        .map(|name| (strsim::osa_distance(&written, name), name))
        .filter(|(distance, name)| *distance <= if name.len().min(written.len()) > 4 { 2 } else { 1 });
    near.min_by_key(|(distance, _)| *distance).map(|(_, name)| name)
}

/// The row of a server whose own port this is, if it is none that speaks HTTP.
pub(crate) fn by_port(port: u16) -> Option<&'static Scheme> {
    SCHEMES.iter().find(|scheme| {
        scheme.port == Some(port)
            && match scheme.grammar {
                Grammar::Postgres | Grammar::Redis | Grammar::Sentinel => true,
                Grammar::Server => matches!(
                    scheme.name(),
                    "amqp"
                        | "mysql"
                        | "mongodb"
                        | "kafka"
                        | "mqtt"
                        | "ldap"
                        | "smtp"
                        | "memcached"
                        | "mssql"
                        | "oracle"
                ),
                _ => false,
            }
    })
}

/// What may be written, for messages.
pub(crate) const FORMS: &str = "write HOST:PORT, or a URL that begins with tcp, unix, http, https, postgres, redis, \
                                rediss, redis+unix, file, dns or tls and ://";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_name_is_in_two_rows() {
        let mut all: Vec<&str> = SCHEMES.iter().flat_map(Scheme::names).collect();
        all.sort_unstable();
        let twice: Vec<_> = all.windows(2).filter(|pair| pair[0] == pair[1]).collect();
        assert!(twice.is_empty(), "{twice:?}");
        assert!(!all.contains(&""));
    }

    #[test]
    fn postgres_has_many_names() {
        for name in [
            "postgres",
            "PostgreSQL",
            "postgresql+asyncpg",
            "postgis",
            "db+postgresql",
            "ecto",
            "cockroachdb",
            "cockroachdb+psycopg2",
            "jdbc:postgresql",
            "jdbc:aws-wrapper:postgresql",
            "jdbc:p6spy:postgresql",
            "jdbc:otel:postgresql",
            "r2dbc:pool:postgresql",
            "r2dbcs:postgresql",
        ] {
            assert_eq!(find(name).map(|found| found.scheme.grammar), Some(Grammar::Postgres), "{name}");
        }
        for name in ["postgresql+", "https+x", "nonsense", "jdbc:nonsense", ""] {
            assert_eq!(find(name), None, "{name}");
        }
        assert_eq!(find("jdbc:oracle:thin").map(|found| found.scheme.name()), Some("oracle"));
        assert_eq!(find("jdbc:sqlserver").map(|found| found.scheme.name()), Some("mssql"));
    }

    #[test]
    fn a_misspelt_scheme_is_recognised_and_a_short_one_is_not_guessed() {
        assert_eq!(suggestion("htp"), Some("http"));
        assert_eq!(suggestion("htttps"), Some("https"));
        assert_eq!(suggestion("postgre"), Some("postgres"));
        assert_eq!(suggestion("postgressql"), Some("postgresql"));
        assert_eq!(suggestion("wx"), None);
    }
}
