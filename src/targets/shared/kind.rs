//! What a kind of target is: the names of its schemes, its lines in the help, how its URL is read; and what a target
//! of any kind can be asked.

use std::any::Any;
use std::fmt;
use std::path::Path;

use crate::net::tls::Tls;
use crate::net::tls_settings::{Encryption, TlsFiles};
use crate::net::{Attempt, Place};
use crate::secret::Secret;
use crate::targets::shared::reading::Reading;
use crate::targets::shared::server::Server;
use crate::targets::shared::url::Userinfo;
use crate::wait::outcome::Outcome;
use crate::wait::policy::Goal;
use crate::wait::tracker::Overlap;

pub(crate) use crate::targets::shared::scheme::{COMMON_KEYS, Dialect, Form, Key, Layer, Scheme, Written};

/// A target as it was read: what is probed, whatever its kind.
pub(crate) trait Probe: Any + fmt::Debug + Send + Sync {
    /// The kind that it is of.
    fn kind(&self) -> &'static TargetKind;

    /// Probes once, within `attempt`.
    ///
    /// # Errors
    ///
    /// Why it is not ready. The reason may still hold secrets of the target.
    fn run(&self, goal: Goal, tls: &Tls, attempt: &Attempt) -> Outcome;

    /// The server of its URL, where that says what most do: places, TLS and secrets follow from it.
    fn server(&self) -> Option<&Server> {
        None
    }

    /// Writes its URL as it is shown: without password and query.
    fn show(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.server().map_or(Ok(()), |server| server.write(f, self.shown_path()))
    }

    /// What stands in the path of the URL that is shown.
    fn shown_path(&self) -> Option<&str> {
        None
    }

    /// The place that is connected to before anything else, and without which nothing can be found out. None
    /// where there are several to choose from, or none.
    fn only_place(&self) -> Option<Place> {
        self.server().and_then(Server::only_place)
    }

    /// All places that it names, in order.
    fn places(&self) -> Vec<Place> {
        self.server().map_or_else(|| self.only_place().into_iter().collect(), |server| server.places.clone())
    }

    /// Whether more is asked than a connection: what follows it may block.
    fn wants_a_conversation(&self) -> bool {
        true
    }

    /// Whether an attempt holds file descriptors.
    fn holds_descriptors(&self) -> bool {
        true
    }

    /// Whether a further attempt may begin beside one that is not answered.
    fn overlap(&self) -> Overlap {
        Overlap::Allowed
    }

    /// When TLS is used.
    fn tls_use(&self) -> Encryption {
        self.server().map_or(Encryption::Never, |server| server.encryption)
    }

    /// Whether the fragment's keys about TLS (`ca`, `insecure` …) mean something.
    fn knows_tls_keys(&self) -> bool {
        self.server().is_some() || self.tls_use() != Encryption::Never
    }

    /// The files that it names for TLS.
    fn tls_files(&self) -> Vec<TlsFiles<'_>> {
        self.server().map(|server| server.tls.files()).into_iter().collect()
    }

    /// The file that its password is looked up in, where it has none of its own. It may be absent.
    fn passfile(&self) -> Option<&Path> {
        None
    }

    /// Whether the target names answers that end the wait (`fail-status`, `fail-exit` …).
    fn can_end_the_wait(&self) -> bool {
        false
    }

    /// The secrets, hidden where a peer repeats them.
    fn secrets(&self) -> Vec<&Secret> {
        self.server().and_then(|server| server.password.as_ref()).into_iter().collect()
    }

    /// The statement that is sent, whose literals must not be shown.
    fn sql(&self) -> Option<&Secret> {
        None
    }

    /// The users, databases, hosts and ports beyond those in the URL that is shown.
    fn names(&self) -> Vec<String> {
        Vec::new()
    }

    /// Whether a peer may say where to connect next: what it names may be a secret that it was sent.
    fn is_led_by_peers(&self) -> bool {
        false
    }

    /// Texts that must not be shown as a whole, while pieces of it may be: scripts that a command is given.
    fn texts(&self) -> &[Secret] {
        &[]
    }

    /// Takes what is expected of an answer for a secret, where the user has not written it out (`is_written`).
    fn hide_expected(&mut self, _is_written: &dyn Fn(&str) -> bool) {}
}

impl fmt::Display for dyn Probe {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.show(f)
    }
}

/// Reads a URL whose scheme is known.
pub(crate) type ReadUrl = fn(&Written<'_>, &mut Reading<'_>) -> Result<Box<dyn Probe>, String>;

/// A kind of target: a row of the registry.
#[derive(Debug)]
#[expect(clippy::struct_excessive_bools, reason = "a row of a table, each a question about URLs")]
pub(crate) struct TargetKind {
    /// The schemes of its URLs.
    pub(crate) schemes: &'static [Scheme],
    /// How it is written, with what can be expected of it.
    pub(crate) forms: &'static [Form],
    /// Whether `scheme+driver` is the scheme, as `SQLAlchemy` has it.
    pub(crate) takes_driver: bool,
    /// Whether its clients take lists of whole URLs, of which any one that answers will do.
    pub(crate) takes_lists: bool,
    /// Whether `scheme+unix:///path` is the scheme over that socket.
    pub(crate) takes_socket: bool,
    /// Which characters a user name or a password of its URLs may hold as they are.
    pub(crate) userinfo: Userinfo,
    /// Ports that its servers have beside that of their clients, and what is there.
    pub(crate) other_ports: &'static [(u16, &'static str)],
    /// Whether a path follows `://`: it is shown.
    pub(crate) names_a_path: bool,
    /// Whether what follows a `#` without being a key belongs to the URL.
    pub(crate) bare_fragment: bool,
    /// Reads a URL of it.
    pub(crate) read: ReadUrl,
}

impl TargetKind {
    /// The defaults that most kinds have in common.
    pub(crate) const USUAL: Self = Self {
        schemes: &[],
        forms: &[],
        takes_driver: false,
        takes_lists: false,
        takes_socket: false,
        userinfo: Userinfo::AndPathWithAt,
        other_ports: &[],
        names_a_path: false,
        bare_fragment: false,
        read: |_, _| Err("it cannot be waited for".to_owned()),
    };

    /// The keys that a fragment may hold, without those of all kinds.
    pub(crate) fn keys(&self) -> impl Iterator<Item = &'static str> {
        self.forms.iter().flat_map(|form| form.keys).map(Key::name)
    }
}

/// A scheme as it was found, with what stood before and after it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct FoundScheme {
    /// The kind that has it.
    pub(crate) kind: &'static TargetKind,
    /// The scheme.
    pub(crate) scheme: &'static Scheme,
    /// The clients whose way of writing a URL it is.
    pub(crate) dialect: Dialect,
}

impl FoundScheme {
    /// Reads the URL, of which `rest` stands behind `://`.
    pub(crate) fn read(
        &self,
        rest: &str,
        bare_fragment: Option<&str>,
        reading: &mut Reading<'_>,
    ) -> Result<Box<dyn Probe>, String> {
        (self.kind.read)(&Written { scheme: self.scheme, dialect: self.dialect, rest, bare_fragment }, reading)
    }
}
