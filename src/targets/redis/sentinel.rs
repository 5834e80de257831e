//! Where the master is, by Redis' sentinels ("High availability with Redis Sentinel").

use crate::net::{Address, TimedStream};
use crate::targets::Redis;
use crate::targets::redis::Sentinel;
use crate::targets::redis::errors::unexpected;
use crate::targets::redis::resp::Reply;
use crate::targets::redis::session::RedisSession;
use crate::text::peer_text;
use crate::wait::outcome::{Kind, NotReady};

impl<S: TimedStream> RedisSession<'_, S> {
    /// The address of the master of `target`, as this sentinel has it.
    pub(crate) fn master(&mut self, target: &Redis, sentinel: &Sentinel) -> Result<Address, NotReady> {
        self.log_in(sentinel.user.as_deref(), sentinel.password.as_ref())?;
        match self.named(sentinel) {
            // Some clients have one password for both, some one for each.
            Err(failure)
                if failure.kind == Kind::CredentialsRejected
                    && sentinel.password.is_none()
                    && target.server.password.is_some() =>
            {
                self.log_in(target.server.user.as_deref(), target.server.password.as_ref()).map_err(|_| failure)?;
                self.named(sentinel)
            }
            other => other,
        }
    }

    fn named(&mut self, sentinel: &Sentinel) -> Result<Address, NotReady> {
        let Some(name) = &sentinel.master else { return self.only_master() };
        let reply = self.command(&["SENTINEL", "GET-MASTER-ADDR-BY-NAME", name])?;
        let items = match &reply {
            Reply::Array(items) => items.as_slice(),
            Reply::Bulk(None) => &[],
            _ => return Err(unexpected("SENTINEL", &reply)),
        };
        match items {
            [host, port] => address(host, port),
            // Null, in either form.
            [] => Err(NotReady::new(Kind::Unexpected, format!("the sentinel does not know the master {name}"))),
            _ => Err(unexpected("SENTINEL", &reply)),
        }
    }

    /// The one master that the sentinel watches, where the target names none.
    fn only_master(&mut self) -> Result<Address, NotReady> {
        let masters = match self.command(&["SENTINEL", "MASTERS"])? {
            Reply::Array(masters) => masters,
            other => return Err(unexpected("SENTINEL MASTERS", &other)),
        };
        match masters.as_slice() {
            [] => Err(NotReady::new(Kind::Unexpected, "the sentinel watches no master yet")),
            [Reply::Array(fields)] => match (field(fields, b"ip"), field(fields, b"port")) {
                (Some(host), Some(port)) => address(host, port),
                _ => Err(unexpected("SENTINEL MASTERS", &Reply::Array(fields.clone()))),
            },
            several => {
                let names: Vec<String> = several
                    .iter()
                    .filter_map(|master| match master {
                        Reply::Array(fields) => field(fields, b"name"),
                        _ => None,
                    })
                    .filter_map(|name| name.string().map(peer_text))
                    .collect();
                let reason = format!("the sentinel watches {}: name one of them in the URL", names.join(", "));
                Err(NotReady::new(Kind::Forbidden, reason))
            }
        }
    }
}

/// The value of a field in a list of names and values.
fn field<'a>(fields: &'a [Reply], name: &[u8]) -> Option<&'a Reply> {
    let mut pairs = fields.chunks_exact(2);
    pairs.find(|pair| pair[0].string() == Some(name)).map(|pair| &pair[1])
}

fn address(host: &Reply, port: &Reply) -> Result<Address, NotReady> {
    let [host, port] = [host, port].map(|reply| reply.string().map(peer_text));
    let port = port.and_then(|port| port.parse().ok()).filter(|port| *port != 0);
    match (host.filter(|host| !host.is_empty()), port) {
        (Some(host), Some(port)) => Ok(Address { host, port }),
        _ => Err(NotReady::new(Kind::WrongProtocol, "the sentinel's address of the master is none")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::targets::scripted::{self, End, Scripted};

    fn master(name: Option<&str>, answer: &[u8]) -> Result<Address, Kind> {
        let url = format!("redis+sentinel://h/{}", name.unwrap_or_default());
        let target = scripted::of_kind::<Redis>(&url);
        let sentinel = target.sentinel.as_ref().unwrap();
        let attempt = scripted::attempt();
        let mut session = RedisSession::new(Scripted::new(answer, 7, End::Close), &attempt);
        session.master(&target, sentinel).map_err(|failure| failure.kind)
    }

    #[test]
    fn the_master_is_where_the_sentinel_says() {
        let found = Ok(Address { host: "10.0.0.1".to_owned(), port: 6380 });
        let other = b"*2\r\n$4\r\nname\r\n$1\r\nb\r\n";
        let only = b"*6\r\n$4\r\nname\r\n$1\r\na\r\n$2\r\nip\r\n$8\r\n10.0.0.1\r\n$4\r\nport\r\n$4\r\n6380\r\n";
        for (name, answer, expected) in [
            (Some("m"), b"*2\r\n$8\r\n10.0.0.1\r\n$4\r\n6380\r\n".to_vec(), found.clone()),
            (Some("m"), b"*-1\r\n".to_vec(), Err(Kind::Unexpected)),
            (Some("m"), b"$-1\r\n".to_vec(), Err(Kind::Unexpected)),
            (Some("m"), b"*2\r\n$0\r\n\r\n$4\r\n6380\r\n".to_vec(), Err(Kind::WrongProtocol)),
            (Some("m"), b"*2\r\n$1\r\na\r\n$1\r\n0\r\n".to_vec(), Err(Kind::WrongProtocol)),
            (Some("m"), b"*1\r\n$1\r\na\r\n".to_vec(), Err(Kind::WrongProtocol)),
            (Some("m"), b"-IDONTKNOW I have not enough information\r\n".to_vec(), Err(Kind::NotAccepting)),
            (Some("m"), b"-ERR unknown command `SENTINEL`\r\n".to_vec(), Err(Kind::Forbidden)),
            (Some("m"), b"-NOAUTH Authentication required.\r\n".to_vec(), Err(Kind::CredentialsRejected)),
            (None, [&b"*1\r\n"[..], only].concat(), found),
            (None, b"*0\r\n".to_vec(), Err(Kind::Unexpected)),
            (None, [&b"*2\r\n"[..], only, other].concat(), Err(Kind::Forbidden)),
            (None, [&b"*1\r\n"[..], other].concat(), Err(Kind::WrongProtocol)),
        ] {
            assert_eq!(master(name, &answer), expected, "{}", String::from_utf8_lossy(&answer));
        }
    }
}
