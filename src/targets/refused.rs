//! Schemes of what is no server to wait for: each says what to write instead.

use crate::targets::shared::kind::{Scheme, TargetKind};

/// Schemes that cannot be waited for; in place of the protocol stands what to do instead.
pub(crate) static KINDS: &[TargetKind] = &[TargetKind {
    schemes: SCHEMES,
    takes_driver: true,
    read: |written, _| Err(written.scheme.protocol.to_owned()),
    ..TargetKind::USUAL
}];

const SCHEMES: &[Scheme] = &[
    Scheme::new(&["prisma+postgres", "prisma"])
        .speaks("Prisma Accelerate is no server to wait for: give the database's own URL, postgres://HOST/DATABASE"),
    Scheme::new(&["sqlite", "sqlite3", "spatialite", "libsql+file", "duckdb", "h2", "derby", "hsqldb"])
        .speaks("it is a file, not a server: write file:///path/to/database, or leave it out"),
    Scheme::new(&["sqs", "gcpubsub", "azureservicebus", "azurestoragequeues"])
        .speaks("it names a cloud's service and no place: wait for https://ENDPOINT"),
    Scheme::new(&["s3", "gs", "gcs", "abfs", "wasb", "wasbs", "adl"])
        .speaks("it names a cloud's storage and no place: wait for https://ENDPOINT"),
    Scheme::new(&[
        "bigquery",
        "snowflake",
        "athena",
        "awsathena",
        "awsathena+rest",
        "dynamodb",
        "databricks",
        "spanner",
        "firestore",
    ])
    .speaks("it names a cloud's service and no place: wait for https://ENDPOINT"),
    Scheme::new(&[
        "memory",
        "locmem",
        "locmemcache",
        "dummy",
        "dummycache",
        "dbcache",
        "filecache",
        "filesystem",
        "console",
        "consolemail",
        "null",
        "sync",
        "inproc",
        "cache+memory",
    ])
    .speaks("it is no server: there is nothing to wait for"),
    Scheme::new(&["udp", "statsd", "coap", "coaps", "ntp", "snmp", "quic", "gelf+udp", "syslog+udp", "tftp"])
        .speaks("UDP tells nothing about whether anybody listens: it cannot be waited for"),
    Scheme::new(&["cloudsql", "cloudsql-postgres", "gcppostgres", "awspostgres", "rdspostgres", "azurepostgres"])
        .speaks("its connector looks the place up: give the place itself, postgres://HOST/DATABASE"),
    Scheme::new(&["data", "javascript", "mailto", "about", "blob", "urn"])
        .speaks("it is no server: there is nothing to wait for"),
];
