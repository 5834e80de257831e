//! What Redis' errors mean, and what is none of its answers.

use crate::targets::redis::resp::Reply;
use crate::text::{excerpt, peer_text};
use crate::wait::outcome::{Kind, NotReady};

/// The meaning of a reply that is not what the command was sent for: an error, or what it does not answer.
pub(crate) fn unexpected(command: &str, reply: &Reply) -> NotReady {
    if let Reply::Error(text) = reply {
        return error_reply(text);
    }
    NotReady::new(Kind::WrongProtocol, format!("an answer to {command} that Redis does not give ({})", reply.shape()))
}

/// The meaning of an error reply: its first word is its code.
pub(crate) fn error_reply(text: &[u8]) -> NotReady {
    let text = peer_text(text);
    let code = text.split(' ').next().unwrap_or_default();
    let (kind, way_out) = match code {
        "LOADING" | "MASTERDOWN" | "BUSY" | "TRYAGAIN" | "CLUSTERDOWN" | "ASK" => (Kind::NotAccepting, ""),
        "NOAUTH" => (Kind::CredentialsRejected, ": give a password in the URL or in REDISCLI_AUTH"),
        "WRONGPASS" => (Kind::CredentialsRejected, ": check user and password"),
        "NOPERM" if text.contains("access a key") || text.contains("of the keys") => {
            (Kind::Forbidden, ": key= is outside the patterns of the user's ACL (~PATTERN allows it)")
        }
        "NOPERM" => (
            Kind::Forbidden,
            ": the user's ACL must allow the probe's commands (+ping, +select, +role, +exists, +get, +cluster|info)",
        ),
        // The server's own advice is a page long: what matters comes first.
        "DENIED" => {
            let advice = "set a password, or bind the server to the address that is used";
            return NotReady::new(Kind::Forbidden, format!("DENIED (protected mode): {advice}. {text}"));
        }
        _ if text.contains("max number of clients") || text.contains("max number of connections") => {
            (Kind::TooManyConnections, "")
        }
        _ if text.contains("without any password configured") => {
            (Kind::CredentialsRejected, ": the server has no password; leave it out of the URL")
        }
        _ if text.contains("wrong number of arguments for 'auth'") => {
            (Kind::CredentialsRejected, ": this server knows no ACL users; leave the user out of the URL")
        }
        // Sentinel's.
        "IDONTKNOW" => (Kind::NotAccepting, ""),
        _ if text.contains("invalid password") => (Kind::CredentialsRejected, ": check the password"),
        _ if text.contains("DB index") || text.contains("SELECT is not allowed") => {
            (Kind::Forbidden, ": the URL's database number is not one of this server's")
        }
        _ if is_unknown_command(&text) && text.to_ascii_lowercase().contains("sentinel") => {
            (Kind::Forbidden, ": it is no sentinel")
        }
        _ if is_unknown_command(&text) => (Kind::Forbidden, ": the server has renamed the command or does not have it"),
        _ if text.contains("cluster support disabled") => (Kind::Forbidden, ": it is not a cluster's node"),
        _ => (Kind::ServerError, ""),
    };
    // Its sentence ends where ours goes on.
    let told = excerpt(if way_out.is_empty() { &text } else { text.trim_end_matches('.') });
    NotReady::new(kind, format!("{told}{way_out}"))
}

/// Whether the server says that it does not have a command (`rename-command`, a sentinel, a proxy).
pub(crate) fn is_unknown_command(text: &str) -> bool {
    text.to_ascii_lowercase().contains("unknown command")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wait::outcome::Permanence;

    #[test]
    fn states_pass_and_refusals_stay() {
        for (text, kind, permanence) in [
            ("LOADING Redis is loading the dataset in memory", Kind::NotAccepting, Permanence::Pending),
            ("MASTERDOWN Link with MASTER is down", Kind::NotAccepting, Permanence::Pending),
            ("BUSY Redis is busy running a script.", Kind::NotAccepting, Permanence::Pending),
            ("TRYAGAIN Multiple keys request", Kind::NotAccepting, Permanence::Pending),
            ("CLUSTERDOWN The cluster is down", Kind::NotAccepting, Permanence::Pending),
            ("ERR max number of clients reached", Kind::TooManyConnections, Permanence::Pending),
            ("NOAUTH Authentication required.", Kind::CredentialsRejected, Permanence::Permanent),
            ("WRONGPASS invalid username-password pair", Kind::CredentialsRejected, Permanence::Permanent),
            ("NOPERM this user has no permissions", Kind::Forbidden, Permanence::Permanent),
            ("DENIED Redis is running in protected mode", Kind::Forbidden, Permanence::Permanent),
            ("ERR DB index is out of range", Kind::Forbidden, Permanence::Permanent),
            ("ERR unknown command 'SELECT', with args beginning with: '1' ", Kind::Forbidden, Permanence::Permanent),
            ("ERR unknown command `SENTINEL`, with args", Kind::Forbidden, Permanence::Permanent),
            ("IDONTKNOW I have not enough information", Kind::NotAccepting, Permanence::Pending),
            ("ERR something else", Kind::ServerError, Permanence::Pending),
        ] {
            let failure = error_reply(text.as_bytes());
            assert_eq!((failure.kind, failure.permanence()), (kind, permanence), "{text}");
            assert!(failure.reason.contains(text.trim_end_matches('.')), "{}", failure.reason);
        }
    }
}
