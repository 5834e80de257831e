//! Runs the real executable against real servers and scripted ones.
//!
//! `WHEN_READY_BIN=/path` runs the same tests against any build.

#![allow(missing_docs)]
#![expect(clippy::disallowed_methods, reason = "tests look at the product from outside: they have clocks of their own")]

// A build without one of them has no use for its helpers.
mod support;

mod amqp;
mod certificates;
mod check;
mod containers;
mod corpus;
mod destinations;
mod docs;
mod doctor;
mod exec;
mod gate;
mod grpc;
mod help;
mod hostile;
mod http;
mod http_answers;
mod input_files;
mod kafka;
mod ldap;
mod links;
mod live;
mod mongodb;
mod mqtt;
mod mysql;
mod names;
mod networks;
mod output;
mod pace;
mod postgres;
mod process;
mod redis;
mod resources;
mod schemas;
mod services;
mod signals;
mod streams;
mod timeline;
mod tls;
mod urls;
mod usage;
mod workflows;
