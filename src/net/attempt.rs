//! One attempt, as the gate sees it and as a conversation has it.

use std::mem;
use std::net::Shutdown;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, Weak};
use std::time::{Duration, Instant};

use socket2::Socket;

use crate::clock;
use crate::mutex::lock;
use crate::net::place::Place;
use crate::net::resolver_state::ResolverState;
use crate::net::steps::Steps;
use crate::wait::gate::{LAST_LOOK, STALLED};
use crate::wait::outcome::{NotReady, Stage};
use crate::wait::tracker::Reach;

/// The gate's view of an attempt while it is under way.
#[derive(Debug, Clone, Default)]
pub(crate) struct Progress(Arc<Mutex<AttemptState>>);

#[derive(Debug, Default)]
struct AttemptState {
    stage: Stage,
    /// Whether nobody waits for it any more.
    is_abandoned: bool,
    /// Whether any peer has taken the connection.
    has_connected: bool,
    /// Whether the peer has said anything on this connection.
    has_spoken: bool,
    /// Why the peer holds the attempt back, if it has said so.
    held_back: Option<NotReady>,
    /// The connection, for as long as the attempt has it.
    socket: Weak<Socket>,
}

impl Progress {
    fn state(&self) -> MutexGuard<'_, AttemptState> {
        lock(&self.0)
    }

    /// The stage of the attempt.
    pub(crate) fn stage(&self) -> Stage {
        self.state().stage
    }

    /// How far the attempt has come.
    pub(crate) fn reach(&self) -> Reach {
        let state = self.state();
        if !state.stage.is_connected() {
            Reach::Unconnected
        } else if state.held_back.is_some() {
            Reach::HeldBack
        } else if state.has_spoken {
            Reach::Spoken
        } else {
            Reach::Connected
        }
    }

    /// How far the attempt came that has ended: a peer that does not answer may be followed by one that refuses.
    pub(crate) fn furthest(&self) -> Reach {
        let has_connected = self.state().has_connected;
        self.reach().max(if has_connected { Reach::Connected } else { Reach::Unconnected })
    }

    /// Why the peer holds the attempt back, in its own words, if it does.
    pub(crate) fn held_back(&self) -> Option<NotReady> {
        self.state().held_back.clone()
    }

    /// Ends the conversation: it waits for nothing more, and says good-bye as its protocol has it.
    pub(crate) fn end(&self) {
        let mut state = self.state();
        state.is_abandoned = true;
        if let Some(socket) = state.socket.upgrade() {
            end_reading(&socket);
        }
    }

    /// The peer has said something on this connection; whether that is new.
    pub(super) fn note_spoken(&self) -> bool {
        !mem::replace(&mut self.state().has_spoken, true)
    }

    pub(super) fn connected(&self, socket: &Arc<Socket>) {
        let mut state = self.state();
        state.stage = Stage::Exchanging;
        state.has_connected = true;
        state.has_spoken = false;
        state.held_back = None;
        state.socket = Arc::downgrade(socket);
        if state.is_abandoned {
            end_reading(socket);
        }
    }
}

/// Reads end from here on; writes do not.
fn end_reading(socket: &Socket) {
    drop(socket.shutdown(Shutdown::Read));
}

/// An attempt: its time, how far it has come, the connection that was made for it, what names were resolved to, and the
/// steps that it has taken.
#[derive(Debug, Clone)]
pub(crate) struct Attempt {
    begun: Instant,
    pub(super) ends: Instant,
    /// The end of the time of a connected attempt, where silent ones are kept.
    patience_ends: Option<Instant>,
    /// The end as it was found once it had passed: later, where this process was stopped when it came.
    ended: Arc<OnceLock<Instant>>,
    progress: Progress,
    pub(super) resolver: ResolverState,
    /// The connection that the event loop has made for this attempt, until it is taken.
    made: Arc<Mutex<Option<(Place, Made)>>>,
    /// The steps that the attempt has taken, where they are recorded.
    steps: Steps,
}

/// A socket that is connected.
#[derive(Debug)]
pub(crate) struct Made {
    pub(super) socket: Socket,
    /// The peer's address, for messages.
    pub(super) peer: String,
    /// The fate of the addresses that were tried before, for the steps.
    pub(super) others: String,
}

impl Made {
    /// The peer's address, for messages.
    pub(crate) fn peer(&self) -> &str {
        &self.peer
    }
}

impl Attempt {
    /// An attempt that begins now.
    pub(crate) fn new(time: Duration) -> Self {
        let begun = clock::now();
        let ends = begun.checked_add(time).unwrap_or(begun);
        Self {
            begun,
            ends,
            patience_ends: None,
            ended: Arc::default(),
            progress: Progress::default(),
            resolver: ResolverState::default(),
            made: Arc::default(),
            steps: Steps::default(),
        }
    }

    /// The same, but once a peer has taken the connection, it has so long to answer from now on.
    #[must_use]
    pub(crate) fn patient(self, time: Duration) -> Self {
        /// As good as for ever.
        const MOST: Duration = Duration::from_secs(365 * 24 * 60 * 60);
        let ends = clock::now().checked_add(time.min(MOST));
        Self { patience_ends: ends.filter(|ends| *ends > self.ends), ..self }
    }

    /// The same attempt, which knows what others have looked up.
    #[must_use]
    pub(crate) fn knowing(self, resolver: ResolverState) -> Self {
        Self { resolver, ..self }
    }

    /// The same attempt, recorded there.
    #[must_use]
    pub(crate) fn recorded_in(self, steps: Steps) -> Self {
        Self { steps, ..self }
    }

    /// Where the attempt's steps are noted.
    pub(crate) fn steps(&self) -> &Steps {
        &self.steps
    }

    /// Leaves a connection to `place` for the probe, which takes it with its first `connect`.
    pub(crate) fn leave(&self, place: Place, made: Made) {
        *lock(&self.made) = Some((place, made));
    }

    pub(super) fn take_made(&self, place: &Place) -> Option<Made> {
        lock(&self.made).take_if(|(to, _)| to == place).map(|(_, made)| made)
    }

    /// The same attempt for a part of its time: `time`, or what is left of it if that is less.
    #[must_use]
    pub(crate) fn at_most(&self, time: Duration) -> Self {
        let begun = clock::now();
        match begun.checked_add(time) {
            Some(ends) if ends < *self.ended.get().unwrap_or(&self.ends) => {
                Self { begun, ends, patience_ends: None, ended: Arc::default(), ..self.clone() }
            }
            Some(ends) if self.patience_ends.is_some_and(|patience_ends| ends < patience_ends) => {
                // Its time to connect may be over: this part has its own.
                let to_connect = if self.ends <= begun { ends } else { self.ends };
                Self { begun, ends: to_connect, patience_ends: Some(ends), ended: Arc::default(), ..self.clone() }
            }
            // The part is the whole attempt, and a time-out names its length: 5s, not 4.9s.
            _ => self.clone(),
        }
    }

    /// The part of one of `count` peers that are asked in turn: the last has all that is left, with all patience.
    #[must_use]
    pub(crate) fn share(&self, count: u32) -> Self {
        if count <= 1 {
            return self.clone();
        }
        let part = self.going_on();
        part.at_most(part.ends.saturating_duration_since(clock::now()) / count)
    }

    /// The same attempt as it connects to a further peer: one that is kept beyond its time has as much again for that.
    pub(super) fn going_on(&self) -> Self {
        let now = clock::now();
        match self.patience_ends {
            Some(patience_ends) if self.ends <= now => {
                let time = self.ends.saturating_duration_since(self.begun);
                Self { begun: now, ends: patience_ends.min(now + time), ended: Arc::default(), ..self.clone() }
            }
            _ => self.clone(),
        }
    }

    /// How far the attempt has come.
    pub(crate) fn progress(&self) -> &Progress {
        &self.progress
    }

    /// Says what the attempt does from here on.
    pub(crate) fn enter(&self, stage: Stage) {
        self.progress.state().stage = stage;
    }

    /// The time that remains; zero when it is used up. What arrived while this process was stopped can still be read.
    pub(crate) fn remaining(&self) -> Duration {
        let (now, ends) = (clock::now(), self.end());
        if now < ends {
            return ends.saturating_duration_since(now);
        }
        let found = || if now > ends + STALLED { now + LAST_LOOK } else { ends };
        self.ended.get_or_init(found).saturating_duration_since(now)
    }

    /// Whether it is used up, wherever this process was meanwhile.
    pub(crate) fn is_over(&self) -> bool {
        clock::now() >= self.end()
    }

    /// The moment at which it is used up, as things are.
    fn end(&self) -> Instant {
        self.patience_ends.filter(|_| self.progress.stage().is_connected()).unwrap_or(self.ends)
    }

    /// Whether less remains than has passed.
    pub(super) fn is_half_spent(&self) -> bool {
        let now = clock::now();
        self.ends.saturating_duration_since(now) < now.saturating_duration_since(self.begun)
    }

    /// The failure of an attempt whose time is used up.
    pub(crate) fn timed_out(&self) -> NotReady {
        self.progress.held_back().unwrap_or_else(|| self.progress.stage().timed_out(self.length()))
    }

    /// Whether nobody waits for the attempt any more.
    pub(crate) fn is_abandoned(&self) -> bool {
        self.progress.state().is_abandoned
    }

    /// Whether a connected attempt is kept until it is answered.
    pub(crate) fn is_patient(&self) -> bool {
        self.patience_ends.is_some()
    }

    /// The peer has said that it holds this attempt back, and why; none, once it does not any more.
    pub(crate) fn hold_back(&self, why: Option<NotReady>) {
        self.progress.state().held_back = why;
    }

    pub(super) fn length(&self) -> Duration {
        self.end().saturating_duration_since(self.begun)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_kept_attempt_has_time_to_connect_to_a_further_peer() {
        const SECOND: Duration = Duration::from_secs(1);
        let now = clock::now();
        let kept = Attempt {
            begun: now.checked_sub(6 * SECOND).unwrap(),
            ends: now.checked_sub(SECOND).unwrap(),
            patience_ends: Some(now + 60 * SECOND),
            ..Attempt::new(SECOND)
        };
        for (part, seconds) in [(kept.clone(), 5), (kept.at_most(2 * SECOND), 2), (kept.share(2), 2)] {
            let left = part.going_on().ends.saturating_duration_since(clock::now());
            assert!(left + SECOND / 2 > seconds * SECOND, "{left:?} of {seconds} s");
        }
    }
}
