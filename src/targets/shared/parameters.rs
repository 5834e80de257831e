//! Parameters of a query that mean nothing to a probe. Their names are shown, so only names that are known to be
//! names: what else stands there may be a bare token, or the rest of a password.

/// Why a URL with a `socketFactory` of another program's is refused: what stands in the host's place means nothing.
pub(crate) const OTHER_SOCKETS: &str = "its `socketFactory` connects elsewhere, where only Java can follow: leave it \
                                        out, and give the address of the proxy or of the server";

/// Why a URL without a host is refused that hands a string of ODBC's over.
pub(crate) const ODBC_CONNECT: &str = "its server stands in `odbc_connect`: write that string by itself";

/// Whether a Java program's `socketFactory` is junixsocket's, which goes to a Unix socket.
pub(crate) fn is_unix_socket_factory(class: &str) -> bool {
    class.contains("newsclub") || class.contains("UNIXSocketFactory")
}

/// The parameters in clients' manuals: drivers, pools, frameworks and providers.
#[rustfmt::skip]
const KNOWN: &[&str] = &[
    "acquireTimeout", "advisory_locks", "allowPublicKeyRetrieval", "allowEncodingChanges", "application_name",
    "assumeMinServerVersion", "async_fallback", "authSource", "autoReconnect", "autosave", "binary_parameters",
    "binaryTransfer", "binaryTransferDisable", "binaryTransferEnable", "cache_describe", "cert_reqs",
    "channelBinding", "characterEncoding", "charset", "checkout_timeout", "cleanupSavepoints", "client_encoding",
    "client_name", "clientName", "collation", "compression", "conn_health_checks", "conn_max_age",
    "connect_timeout", "connectTimeout", "connection_limit", "connectionLimit", "connectionTimeout",
    "currentSchema", "cursor_factory", "databaseMetadataCacheFields", "decode_responses", "default_query_exec_mode",
    "defaultRowFetchSize", "default_schema", "defaultTransactionIsolation", "directConnection",
    "disable_prepared_binary_result", "driver", "DISABLE_SERVER_SIDE_CURSORS", "dialect", "encoding",
    "encoding_errors", "endpoint_id", "escapeSyntaxCallMode", "executemany_mode", "family",
    "fallback_application_name", "fetchSize", "gssdelegation", "gssEncMode", "gsslib", "gssResponseTimeout",
    "health_check_interval", "hostRecheckSeconds", "idle_in_transaction_session_timeout", "idle_timeout",
    "idleTimeout", "implicit_returning", "isolation_level", "jaasApplicationName", "jaasLogin", "keepalives",
    "keepalives_count", "keepalives_idle", "keepalives_interval", "krbsrvname", "lib_name", "lib_version",
    "load_balance_hosts", "loadBalanceHosts", "lock_timeout", "logger", "loggerFile", "loggerLevel", "loginTimeout",
    "logServerErrorDetail", "logUnclosedConnections", "max_connections", "max_idle_conns", "max_open_conns",
    "max_overflow", "max_prepared_statements", "max_protocol_version", "max_retries", "maximumPoolSize",
    "maxPoolSize", "maxResultBuffer", "min_protocol_version", "min_size", "max_size", "minimumIdle", "multiplexing",
    "notice_processor", "options", "ozgid", "pgbouncer", "plan_cache_mode", "pool", "pool_health_check_period",
    "pool_max_conn_idle_time", "pool_max_conn_lifetime", "pool_max_conns", "pool_min_conns", "pool_mode",
    "pool_pre_ping", "pool_recycle", "pool_size", "pool_timeout", "pool_use_lifo", "poolclass", "preferQueryMode",
    "prepareThreshold", "prepared_statement_cache_size", "prepared_statement_name_func", "prepared_statements",
    "preparedStatementCacheQueries", "preparedStatementCacheSizeMiB", "protocol", "protocolVersion",
    "protocol_version", "query_timeout", "queryTimeout", "quoteReturningIdentifiers", "readOnly", "readOnlyMode",
    "read_timeout", "receiveBufferSize", "reconnect", "replicaSet", "replication", "retryWrites",
    "retry_on_timeout", "reWriteBatchedInserts", "schema", "search_path", "sendBufferSize", "serverTimezone",
    "server_settings", "simple_protocol", "single_connection_client", "socket_connect_timeout", "socket_keepalive",
    "socket_timeout", "socketTimeout", "sslaccept", "ssl_check_hostname", "ssl_cert_reqs", "sslcompression",
    "sslfactory", "sslhostnameverifier", "sslpassword", "sslpasswordcallback", "sslResponseTimeout", "sslrootcert",
    "sslkey", "sslcert", "sslmode", "statement_cache_capacity", "statement_cache_mode", "statement_cache_size",
    "statement_timeout", "stringtype", "supavisor", "tcp_user_timeout", "tcpKeepAlive", "tcpNoDelay", "timeout",
    "timeoutMs", "timezone", "TimeZone", "tls", "transactionIsolation", "uselibpqcompat", "unknownLength",
    "use_batch_mode", "use_native_uuid", "use_unicode", "useServerPrepStmts", "useSSL", "useUnicode",
    "verifyServerCertificate", "virtual_host", "weight", "workaround", "write_timeout", "x-multi-statement",
    "x-migrations-table", "x-statement-timeout", "xmlFactoryFactory", "zeroDateTimeBehavior",
];

/// The parameters of one URL that are ignored.
#[derive(Debug, Default)]
pub(crate) struct Ignored {
    names: Vec<String>,
    others: usize,
}

impl Ignored {
    /// Takes note of one.
    pub(crate) fn add(&mut self, name: &str) {
        match KNOWN.iter().find(|known| **known == name) {
            Some(name) => self.names.push((*name).to_owned()),
            None => self.others += 1,
        }
    }

    /// How they are shown.
    pub(crate) fn shown(self) -> Vec<String> {
        let mut names = self.names;
        match (self.others, names.is_empty()) {
            (0, _) => {}
            (1, true) => names.push("one that is not known".to_owned()),
            (others, true) => names.push(format!("{others} that are not known")),
            (others, false) => names.push(format!("{others} more")),
        }
        names
    }
}
