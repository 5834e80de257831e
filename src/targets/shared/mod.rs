//! What the kinds of targets have in common. It knows none of them.

pub(crate) mod ado;
pub(crate) mod advertised;
pub(crate) mod expectations;
pub(crate) mod hosts;
pub(crate) mod http_options;
pub(crate) mod kind;
pub(crate) mod lookup;
pub(crate) mod parameters;
pub(crate) mod probe;
pub(crate) mod reading;
pub(crate) mod scheme;
pub(crate) mod scram;
pub(crate) mod secret_words;
pub(crate) mod server;
pub(crate) mod talk;
pub(crate) mod target;
pub(crate) mod tls;
pub(crate) mod url;
