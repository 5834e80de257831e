//! Why a name has no addresses.

use std::io;
use std::net::SocketAddr;

use nix::errno::Errno;

use crate::net::errno::{OUT_OF_DESCRIPTORS, errno_of};
use crate::net::interfaces::ip_list;
use crate::wait::outcome::Kind;

/// Why a name has no addresses, as a look-up knows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Trouble {
    pub(super) kind: Kind,
    pub(super) text: String,
    /// Whether the name service is sure that there are none.
    pub(super) is_definite: bool,
    /// Whether it makes no sense to try the other names of the search list.
    pub(super) ends_search: bool,
}

impl Trouble {
    pub(super) fn no_name() -> Self {
        Self { kind: Kind::Unresolved, text: "there is no such name".to_owned(), is_definite: true, ends_search: false }
    }

    pub(super) fn no_address() -> Self {
        Self { text: "it has no address".to_owned(), ..Self::no_name() }
    }

    pub(super) fn failed(text: String) -> Self {
        Self { kind: Kind::Unresolved, text, is_definite: false, ends_search: false }
    }

    pub(super) fn silent(servers: &[SocketAddr], ends_search: bool) -> Self {
        let text = format!("no answer from the name server {}", ip_list(servers));
        Self { kind: Kind::Unresolved, text, is_definite: false, ends_search }
    }

    pub(super) fn out_of_descriptors() -> Self {
        let text = OUT_OF_DESCRIPTORS.to_owned();
        Self { kind: Kind::LocalLimit, text, is_definite: false, ends_search: true }
    }

    /// The weight of a trouble: of several the heaviest is told.
    pub(super) fn weight(&self) -> u8 {
        u8::from(self.kind == Kind::LocalLimit) * 8
            + u8::from(self.ends_search) * 4
            + u8::from(!self.is_definite) * 2
            + u8::from(self.text.starts_with("it has"))
    }
}

/// Whether no descriptor was free: then the name is not to blame.
pub(super) fn is_out_of_descriptors(error: &io::Error) -> bool {
    matches!(errno_of(error), Errno::EMFILE | Errno::ENFILE)
}
