//! The end of a query that hangs: the server would not notice that nobody waits for it, and attempt by attempt
//! be left without connections.

use std::io::{Read, Write};
use std::time::Duration;

use bytes::BytesMut;
use postgres_protocol::message::frontend;

use crate::net::{self, Attempt, Place};
use crate::targets::postgres::wire::SessionKey;

/// How long a server has to take note that a query has outlived its attempt.
const CANCEL_TIME: Duration = Duration::from_millis(500);

/// Asks for the end of the session's query, over a connection of its own ("Canceling Requests in Progress").
pub(crate) fn cancel(place: &Place, key: SessionKey) {
    let attempt = Attempt::new(CANCEL_TIME);
    let mut request = BytesMut::new();
    frontend::cancel_request(key.process, key.secret, &mut request);
    if let Ok(mut connection) = net::connect(place, &attempt) {
        // The server closes the connection once it has done so. It promises nothing, and neither do we.
        drop(connection.write_all(&request).and_then(|()| connection.read(&mut [0])));
    }
}
