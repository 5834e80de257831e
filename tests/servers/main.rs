//! Takes real servers through their states and holds what `--check` says of each against docs/servers.md.
//!
//! `tests/run --servers` installs the servers and runs all of it; `tests/run --servers NAME` a part.

#![allow(missing_docs)]
#![expect(clippy::disallowed_methods, reason = "tests look at the product from outside: they have clocks of their own")]

#[allow(dead_code, reason = "shared with the integration tests, which use all of it")]
#[path = "../integration/support/mod.rs"]
mod support;

mod applications;
mod brokers;
mod databases;
mod page;
mod postgres;
mod proxies;
mod redis;
mod server;
mod stores;
