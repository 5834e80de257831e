//! Runs the real executable against real servers and scripted ones.
//!
//! `WHEN_READY_BIN=/path` runs the same tests against any build.

#![allow(missing_docs)]
#![expect(clippy::disallowed_methods, reason = "tests look at the product from outside: they have clocks of their own")]

// A build without one of them has no use for its helpers.
#[cfg_attr(not(all(feature = "tls", feature = "mysql", feature = "amqp", feature = "mongodb")), allow(dead_code))]
mod support;

#[cfg(feature = "amqp")]
mod amqp;
#[cfg(feature = "tls")]
mod certificates;
mod check;
mod containers;
mod corpus;
mod docs;
#[cfg(feature = "exec")]
mod exec;
mod gate;
#[cfg(feature = "grpc")]
mod grpc;
mod help;
mod hostile;
mod http;
mod http_answers;
#[cfg(feature = "kafka")]
mod kafka;
mod links;
mod live;
#[cfg(feature = "mongodb")]
mod mongodb;
#[cfg(feature = "mysql")]
mod mysql;
mod names;
mod networks;
mod output;
mod postgres;
mod process;
mod redis;
mod resources;
mod schemas;
mod services;
mod streams;
#[cfg(feature = "tls")]
mod tls;
#[cfg(feature = "tls")]
mod urls;
mod usage;
mod workflows;
