//! A target.

use std::any::Any;
use std::fmt::{self, Write as _};
use std::sync::Arc;
use std::time::Duration;

use crate::targets::shared::kind::Probe;
use crate::text::{harmless, is_plain};
use crate::wait::deadline::Deadline;

/// A thing that must be ready, and what is expected of it.
#[derive(Debug, Clone)]
pub(crate) struct Target {
    /// The label that the user gave it.
    pub(crate) name: Option<String>,
    /// The probe.
    pub(crate) probe: Arc<dyn Probe>,
    /// `timeout=`: the target's own deadline.
    pub(crate) timeout: Option<Deadline>,
    /// `attempt-timeout=`: the longest that one attempt may take.
    pub(crate) attempt_timeout: Option<Duration>,
    /// `successes=`: consecutive successes that make it ready.
    pub(crate) successes: Option<u32>,
    /// `optional`: it is waited for, and no reason to fail.
    pub(crate) is_optional: bool,
    /// Names of query parameters that mean nothing to the probe.
    pub(crate) ignored: Vec<String>,
    /// The doubts about values that variables or files contributed, for the hint of a login that fails.
    pub(crate) doubts: Vec<String>,
}

impl Target {
    /// The label in logs and reports: the name, or the URL without secrets.
    pub(crate) fn label(&self) -> String {
        self.name.clone().unwrap_or_else(|| self.url())
    }

    /// The URL without password, query and fragment, fit to be shown.
    pub(crate) fn url(&self) -> String {
        let mut url = String::with_capacity(48);
        // Writing to a text does not fail.
        let _ = write!(url, "{}", self.probe);
        if is_plain(&url) { url } else { harmless(&url) }
    }

    /// The users, databases, hosts and ports that are shown in their own places, though a secret be the same.
    pub(crate) fn names(&self) -> Vec<String> {
        let url = self.url();
        // Credentials and queries are no part of it.
        let shown = url.split_once("://").map_or("", |(_, rest)| rest);
        let parts = shown.split(['/', '@', ',', '[', ']', '?']).flat_map(|part| {
            let port = part.rsplit_once(':').filter(|(host, _)| !host.contains(':'));
            port.map_or([part, ""], |(host, port)| [host, port])
        });
        let parts = parts.filter(|part| !matches!(*part, "" | "***" | "…")).map(str::to_owned);
        parts.chain(self.probe.names()).collect()
    }

    /// The probe as one of a kind, if it is of that kind.
    pub(crate) fn as_kind<P: Probe>(&self) -> Option<&P> {
        let probe: &dyn Any = &*self.probe;
        probe.downcast_ref()
    }
}

/// [`Target::url`]
impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.url())
    }
}
