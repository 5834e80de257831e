//! The attempts of one target that are under way.

use std::time::Duration;

/// An attempt under way.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Flight {
    /// Its number, from 1.
    pub(super) attempt: u32,
    /// When it began.
    pub(super) began: Duration,
    /// When its time is up.
    pub(super) ends: Duration,
}

impl Flight {
    /// The time that it has.
    pub(super) fn length(&self) -> Duration {
        self.ends.saturating_sub(self.began)
    }
}

/// All of them, the oldest first.
#[derive(Debug, Clone, Default)]
pub(super) struct Flights {
    under_way: Vec<Flight>,
    last_began: Duration,
}

impl Flights {
    pub(super) fn begin(&mut self, flight: Flight) {
        self.last_began = flight.began;
        self.under_way.push(flight);
    }

    /// Takes out the one that has ended; none, if nobody waits for it any more.
    pub(super) fn land(&mut self, attempt: u32) -> Option<Flight> {
        let index = self.under_way.iter().position(|flight| flight.attempt == attempt)?;
        Some(self.under_way.remove(index))
    }

    pub(super) fn clear(&mut self) {
        self.under_way.clear();
    }

    pub(super) fn count(&self) -> usize {
        self.under_way.len()
    }

    pub(super) fn oldest(&self) -> Option<Flight> {
        self.under_way.first().copied()
    }

    /// When the last one began, be it under way or not.
    pub(super) fn last_began(&self) -> Duration {
        self.last_began
    }

    /// When the time of each is up.
    pub(super) fn ends(&self) -> impl Iterator<Item = Duration> {
        self.under_way.iter().map(|flight| flight.ends)
    }

    pub(super) fn first_end(&self) -> Option<Duration> {
        self.ends().min()
    }

    /// Those whose time was up `ago` before `now`, or earlier.
    pub(super) fn ended_before(&self, now: Duration, ago: Duration) -> impl Iterator<Item = Flight> {
        self.under_way.iter().copied().filter(move |flight| flight.ends.saturating_add(ago) <= now)
    }
}
