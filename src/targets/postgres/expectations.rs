//! What a target expects beyond the login: the right kind of server, a query, and in any case a database that
//! answers.

use bytes::BytesMut;
use postgres_protocol::message::frontend;

use crate::net::TimedStream;
use crate::targets::Postgres;
use crate::targets::postgres::SessionAttrs;
use crate::targets::postgres::session::{PostgresSession, unwritable};
use crate::targets::postgres::startup_errors::is_shutdown;
use crate::targets::postgres::wire::{BackendMessage, ErrorResponse};
use crate::wait::outcome::{Kind, NotReady, Stage};

/// Tells whether the session may write, for servers before 14 and poolers that do not report it.
const SESSION_QUERY: &str =
    "SELECT pg_catalog.pg_is_in_recovery(), pg_catalog.current_setting('transaction_read_only')";
/// The type `bool` (`pg_type.dat`), whose false is `f` in text.
const BOOL: u32 = 16;
/// The types int8, int2, int4, oid, float4, float8, money and numeric (`pg_type.dat`).
const NUMBERS: [u32; 8] = [20, 21, 23, 26, 700, 701, 790, 1700];

/// A row, and the type of its first column.
#[derive(Debug, Default)]
struct AnswerRow {
    values: Vec<Option<String>>,
    first_type: Option<u32>,
}

/// Whether the target asks for no more than that the server accepts connections.
pub(crate) fn is_lenient(target: &Postgres, has_credentials: bool) -> bool {
    !has_credentials && target.query.is_none() && target.target_session_attrs.is_none()
}

impl<S: TimedStream> PostgresSession<'_, S> {
    /// Whether the session is what the target expects; what was proven. Without credentials a database that
    /// stays silent does not matter: it was let in, and more was not asked.
    pub(crate) fn meet(&mut self, target: &Postgres, has_credentials: bool) -> Result<String, NotReady> {
        self.talk.attempt().enter(Stage::Querying);
        let database = target.database.as_deref().unwrap_or(&target.user);
        let mut proof = format!("logged in as {} to the database {database}", target.user);
        let mut has_answered = false;
        if let Some(wanted) = target.target_session_attrs {
            has_answered = self.expect_session(wanted)?;
            proof = format!("{proof}, {}", wanted.name());
        }
        if let Some(query) = &target.query {
            let row = self.first_row(query.expose())?;
            expect_truth(row.as_ref())?;
            proof.push_str(", the query returns a row");
        } else if !has_answered && self.reported.anything {
            // A peer that reports nothing is no pooler: poolers pass on what the server reports, which drivers depend on.
            let failure = match self.answer_error() {
                Ok(None) => return Ok(proof),
                Ok(Some(error)) => NotReady::new(Kind::NotAccepting, error.shown()),
                Err(_) if is_lenient(target, has_credentials) => {
                    return Ok(format!("accepting connections; let in as {}, with no answer yet", target.user));
                }
                // The failure says so itself.
                Err(failure) if failure.kind == Kind::TimedOut => return Err(failure),
                Err(failure) => failure,
            };
            let reason = format!("logged in, but the database does not answer: {}", failure.reason);
            return Err(NotReady { reason, ..failure });
        }
        Ok(proof)
    }

    /// Whether the server is of the wanted kind; whether it was asked for that.
    fn expect_session(&mut self, wanted: SessionAttrs) -> Result<bool, NotReady> {
        let (standby, read_only, is_asked) = match (self.reported.in_hot_standby, self.reported.read_only) {
            (Some(standby), Some(read_only)) => (standby, read_only || standby, false),
            _ => {
                let row = self.first_row(SESSION_QUERY)?.unwrap_or_default();
                let is = |index: usize, text: &str| row.values.get(index).and_then(Option::as_deref) == Some(text);
                (is(0, "t"), is(1, "on"), true)
            }
        };
        let problem = match wanted {
            SessionAttrs::ReadWrite if read_only => "sessions are read-only here",
            SessionAttrs::ReadOnly if !read_only => "sessions are read-write here",
            SessionAttrs::Primary if standby => "it is a standby, not the primary",
            SessionAttrs::Standby if !standby => "it is the primary, not a standby",
            _ => return Ok(is_asked),
        };
        Err(NotReady::new(Kind::Unexpected, format!("{problem} (target_session_attrs={})", wanted.name())))
    }

    /// A round trip to the database itself: the error that says that there is none. A pooler that has seen it before lets
    /// a client in without asking it, up or down; what comes after that it must pass on.
    ///
    /// An empty statement is parsed and not executed, which no server logs, even with `log_statement=all`.
    ///
    /// # Errors
    ///
    /// Nothing came, or nothing that could be read.
    fn answer_error(&mut self) -> Result<Option<ErrorResponse>, NotReady> {
        let mut request = BytesMut::new();
        frontend::parse("", "", [], &mut request).map_err(|_| unwritable("query"))?;
        frontend::sync(&mut request);
        self.talk.send(&request);
        let mut failed = None;
        loop {
            match self.receive() {
                // Another error is an answer all the same: of a server that knows no empty statement, of pgbouncer's
                // console.
                Ok(BackendMessage::ReadyForQuery) => return Ok(failed.filter(is_absence)),
                Ok(BackendMessage::Error(error)) => failed = Some(error),
                Ok(_) => {}
                // The error says more than the close that follows it.
                Err(failure) => return failed.map_or(Err(failure), |error| Ok(Some(error))),
            }
        }
    }

    /// Runs `sql` for at most one row, by the extended query protocol: the server stops after it.
    fn first_row(&mut self, sql: &str) -> Result<Option<AnswerRow>, NotReady> {
        let mut request = BytesMut::new();
        let written = frontend::parse("", sql, [], &mut request).and_then(|()| {
            frontend::bind("", "", [], [(); 0], |(), _| Ok(postgres_protocol::IsNull::No), [], &mut request)
                .map_err(|_| std::io::ErrorKind::InvalidInput)?;
            frontend::describe(b'P', "", &mut request)?;
            frontend::execute("", 1, &mut request)
        });
        written.map_err(|_| unwritable("query"))?;
        frontend::sync(&mut request);
        self.talk.send(&request);
        let mut row = None;
        let mut first_type = None;
        let mut failed = None;
        loop {
            let message = match self.receive() {
                Ok(message) => message,
                // The error says more than the close that follows it.
                Err(failure) => return Err(failed.unwrap_or(failure)),
            };
            match message {
                BackendMessage::Columns(types) => first_type = types,
                BackendMessage::Row(values) => row = Some(AnswerRow { values, first_type }),
                BackendMessage::Error(error) => {
                    let reason = format!("the query fails: {}", error.shown());
                    failed.get_or_insert(NotReady::new(Kind::ServerError, reason));
                    if is_shutdown(&error.sqlstate) {
                        break;
                    }
                }
                BackendMessage::CopyIn => {
                    return Err(NotReady::new(Kind::Forbidden, "the query is a COPY FROM STDIN, which returns no row"));
                }
                BackendMessage::ReadyForQuery => break,
                BackendMessage::Parameter(..)
                | BackendMessage::Key(_)
                | BackendMessage::Other
                | BackendMessage::Authentication(_) => {}
            }
        }
        failed.map_or(Ok(row), Err)
    }
}

/// A query is answered by a row whose first column is neither false, NULL nor a numeric 0: `select count(*) from t`
/// waits for a row, as it does with MySQL.
fn expect_truth(row: Option<&AnswerRow>) -> Result<(), NotReady> {
    let problem = match row {
        None => "the query returns no row yet",
        Some(AnswerRow { values, first_type }) => match values.first() {
            Some(None) => "the query's first column is NULL",
            Some(Some(text)) if *first_type == Some(BOOL) && text == "f" => "the query's first column is false",
            Some(Some(text)) if first_type.is_some_and(|of| NUMBERS.contains(&of)) && is_zero(text) => {
                "the query's first column is 0"
            }
            // A row without columns is a row.
            Some(Some(_)) | None => return Ok(()),
        },
    };
    Err(NotReady::new(Kind::Unexpected, problem))
}

/// Whether a number is 0, however it is written: `0`, `-0.00`, `0e0`, `$0.00`. `NaN` and `Infinity` are not.
fn is_zero(number: &str) -> bool {
    let mantissa = number.split(['e', 'E']).next().unwrap_or_default();
    mantissa.contains('0') && !mantissa.contains(|c: char| matches!(c, '1'..='9'))
}

/// Whether an error that leaves the session as it is says that there is no database to answer: connection
/// exceptions, a lack of resources, operators' interventions, system errors.
fn is_absence(error: &ErrorResponse) -> bool {
    let is_console = error.message.contains("admin console");
    ["08", "53", "57", "58"].iter().any(|class| error.sqlstate.starts_with(class)) && !is_console
}
