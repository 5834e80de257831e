//! The attempts of one target that are under way.

use std::collections::VecDeque;
use std::time::Duration;

use super::spacing::{self, MEMORY, Reach};
use crate::wait::outcome::Kind;

/// An attempt that has not reported this long after its time is up is stuck in the name service or a file system.
const GRACE: Duration = Duration::from_millis(20);

/// An attempt under way.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Flight {
    /// Its number, from 1.
    pub(super) attempt: u32,
    /// When it began.
    pub(super) began: Duration,
    /// The end of its time; where silent attempts are kept, that of the time to connect.
    pub(super) ends: Duration,
    /// How far it had come when it was last looked at.
    pub(super) reach: Reach,
    /// Whether it has been counted among those that hang.
    is_counted: bool,
    /// The kind as which it has been reported although it is kept.
    pub(super) reported: Option<Kind>,
}

impl Flight {
    /// An attempt that begins now.
    pub(super) fn new(attempt: u32, began: Duration, ends: Duration) -> Self {
        Self { attempt, began, ends, reach: Reach::Unconnected, is_counted: false, reported: None }
    }

    /// The time that it has.
    pub(super) fn length(&self) -> Duration {
        self.ends.saturating_sub(self.began)
    }

    /// When its time is up, and it should have reported that by itself.
    pub(super) fn overdue_at(&self) -> Duration {
        self.ends.saturating_add(GRACE)
    }

    pub(super) fn is_overdue(&self, now: Duration) -> bool {
        self.overdue_at() <= now
    }
}

/// All of them, the oldest first, and when those hung that the peer left unanswered.
#[derive(Debug, Clone, Default)]
pub(super) struct Flights {
    under_way: Vec<Flight>,
    last_began: Duration,
    /// When each attempt of the last minute began that was connected and went unanswered.
    hung: VecDeque<Duration>,
}

impl Flights {
    /// A further attempt begins: those that are still connected have hung.
    pub(super) fn begin(&mut self, flight: Flight) {
        for other in &mut self.under_way {
            if other.reach > Reach::Unconnected && !other.is_counted {
                other.is_counted = true;
                self.hung.push_back(other.began);
            }
        }
        self.last_began = flight.began;
        self.under_way.push(flight);
    }

    /// Takes out the one that has ended; none, if nobody waits for it any more.
    pub(super) fn land(&mut self, attempt: u32) -> Option<Flight> {
        let index = self.under_way.iter().position(|flight| flight.attempt == attempt)?;
        Some(self.under_way.remove(index))
    }

    /// A connected attempt has ended without an answer; it counts among those that hang.
    pub(super) fn hung(&mut self, flight: &Flight) {
        if !flight.is_counted {
            self.hung.push_back(flight.began);
        }
    }

    pub(super) fn clear(&mut self) {
        self.under_way.clear();
    }

    pub(super) fn count(&self) -> usize {
        self.under_way.len()
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = Flight> {
        self.under_way.iter().copied()
    }

    pub(super) fn oldest(&self) -> Option<Flight> {
        self.under_way.first().copied()
    }

    pub(super) fn newest(&self) -> Option<Flight> {
        self.under_way.last().copied()
    }

    /// The one that makes way for another: the second oldest. The oldest is the next to be served; this one has had
    /// most of the time in which an answer could have come; and closing any cancels nothing that was sent.
    pub(super) fn least_useful(&self) -> Option<Flight> {
        self.under_way.get(1).or(self.under_way.first()).copied()
    }

    /// When the last one began, be it under way or not.
    pub(super) fn last_began(&self) -> Duration {
        self.last_began
    }

    /// Notes how far each has come.
    pub(super) fn learn(&mut self, mut reach: impl FnMut(u32) -> Reach) {
        for flight in &mut self.under_way {
            flight.reach = flight.reach.max(reach(flight.attempt));
        }
    }

    /// Notes that one has been reported as hanging.
    pub(super) fn report(&mut self, attempt: u32, kind: Kind) {
        for flight in self.under_way.iter_mut().filter(|flight| flight.attempt == attempt) {
            flight.reported = Some(kind);
        }
    }

    /// Lets those whose time is up at `now` last until `ends`.
    pub(super) fn extend(&mut self, now: Duration, ends: Duration) {
        for flight in self.under_way.iter_mut().filter(|flight| flight.ends <= now && flight.reported.is_none()) {
            flight.ends = ends;
        }
    }

    /// When another may begin beside those under way.
    pub(super) fn leave_room_at(&mut self, now: Duration, last_took: Duration) -> Duration {
        let hung = self.hung_lately(now);
        let unconnected = self.under_way.iter().filter(|flight| flight.reach == Reach::Unconnected).count();
        let count = hung + unconnected.saturating_sub(1);
        let moments = self.under_way.iter().map(|f| f.began.saturating_add(spacing::gap(f.reach, count, last_took)));
        moments.max().unwrap_or_default()
    }

    /// When another may begin after this one, which has ended without an answer.
    pub(super) fn leave_room_after(&mut self, flight: &Flight, now: Duration) -> Duration {
        let hung = self.hung_lately(now);
        flight.began.saturating_add(spacing::gap(Reach::Connected, hung.saturating_sub(1), Duration::ZERO))
    }

    fn hung_lately(&mut self, now: Duration) -> usize {
        while self.hung.front().is_some_and(|began| began.saturating_add(MEMORY) <= now) {
            self.hung.pop_front();
        }
        self.hung.len()
    }
}
