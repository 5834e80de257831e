//! Waiting, pure: when to attempt, what an outcome means, when it is over. No sockets, no protocols; time is passed in.

pub(crate) mod backoff;
pub(crate) mod deadline;
pub(crate) mod gate;
pub(crate) mod outcome;
pub(crate) mod policy;
pub(crate) mod tracker;
