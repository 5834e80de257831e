//! What is waited for: the grammar `[NAME=]URL[#KEY=VALUE&...]`, and one room for each kind of target.
//!
//! `shared` is what the kinds have in common, and knows none of them; `registry` is the list of them all.

pub(crate) mod amqp;
mod any_of;
mod dns;
pub(crate) mod exec;
mod file;
mod grammar;
pub(crate) mod grpc;
pub(crate) mod http;
pub(crate) mod kafka;
pub(crate) mod ldap;
pub(crate) mod memcached;
pub(crate) mod mistakes;
pub(crate) mod mongodb;
pub(crate) mod mqtt;
pub(crate) mod mysql;
pub(crate) mod nats;
mod others;
pub(crate) mod postgres;
mod redacted;
pub(crate) mod redis;
mod refused;
pub(crate) mod registry;
pub(crate) mod shared;
pub(crate) mod smtp;
pub(crate) mod tcp;
mod tls_handshake;
pub(crate) mod variables;

pub(crate) use grammar::{Surroundings, TargetError};
pub(crate) use http::Http;
pub(crate) use postgres::Postgres;
pub(crate) use postgres::is_one_connection_string;
pub(crate) use redacted::redact_word;
pub(crate) use redis::Redis;
pub(crate) use shared::http_options::HttpDefaults;
pub(crate) use shared::target::Target;

#[cfg(test)]
mod corpus;
#[cfg(test)]
mod leaks;
#[cfg(test)]
pub(crate) mod scripted;
#[cfg(test)]
mod tests;
