//! Which address of a name is asked when. Pure: time is passed in, and who calls has the sockets.

use std::net::SocketAddr;
use std::time::Duration;

use nix::errno::Errno;

/// How long one address may be silent before the next is tried beside it (RFC 8305, section 5:
/// 250 ms is recommended, 100 ms is the least). Shorter where a name has so many addresses that the
/// last would not be asked before half of the time is over.
const STAGGER: Duration = Duration::from_millis(100);
/// How long after the last address the first is tried again: the kernel repeats an unanswered SYN
/// only after 1, 3 and 7 s. No divisor of the half second after which another attempt begins beside this
/// one: the two would ask at the same moments.
const AGAIN: Duration = Duration::from_millis(350);
/// The most connections of one attempt that wait for an answer.
const MAX_PENDING: usize = 8;

/// The number of a connection within its race, from 0.
pub(super) type Number = usize;

/// The next move of a race.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Move {
    /// A connection of this number is to begin; until something else is heard, it counts as pending.
    Begin(Number, SocketAddr),
    /// Nothing before this moment, unless a connection is decided.
    Wait(Duration),
    /// Every address has failed.
    Lost,
}

/// Connections to all addresses of a name, side by side.
#[derive(Debug)]
pub(super) struct Race {
    addresses: Vec<SocketAddr>,
    stagger: Duration,
    /// How many connections have begun; beyond the addresses, they begin again from the first.
    begun: Number,
    next: Duration,
    pending: Vec<(Number, SocketAddr)>,
    failed: Vec<(SocketAddr, Errno)>,
    /// Whether each address is asked once only.
    is_sparing: bool,
}

impl Race {
    /// A race that takes at most `time`.
    pub(super) fn new(addresses: Vec<SocketAddr>, time: Duration) -> Self {
        let turns = u32::try_from(addresses.len()).unwrap_or(u32::MAX).saturating_mul(2).max(1);
        let stagger = STAGGER.min(time / turns);
        Self {
            addresses,
            stagger,
            begun: 0,
            next: Duration::ZERO,
            pending: Vec::with_capacity(1),
            failed: Vec::new(),
            is_sparing: false,
        }
    }

    /// The next move `now`, which is the time since the race began.
    pub(super) fn next(&mut self, now: Duration) -> Move {
        // A connection that made room for others has not failed, and nothing is proven about it.
        if self.pending.is_empty() && self.addresses.iter().all(|address| self.has_failed(*address)) {
            return Move::Lost;
        }
        let is_first_round = self.begun < self.addresses.len();
        if now < self.next && !(self.pending.is_empty() && is_first_round) {
            return Move::Wait(self.next);
        }
        if self.is_sparing && self.begun >= self.addresses.len() {
            self.next = now.saturating_add(AGAIN);
            return Move::Wait(self.next);
        }
        // The oldest waits on, for a path that is slow; a younger one makes room.
        if self.pending.len() >= MAX_PENDING {
            self.pending.remove(MAX_PENDING / 2);
        }
        // An address is left that has not failed, or the race would be lost.
        while self.has_failed(self.address_of(self.begun)) {
            self.begun += 1;
        }
        let (number, address) = (self.begun, self.address_of(self.begun));
        self.begun += 1;
        self.next = now.saturating_add(if self.begun < self.addresses.len() { self.stagger } else { AGAIN });
        self.pending.push((number, address));
        Move::Begin(number, address)
    }

    /// From here on no connection repeats another, and those that do are pending no more.
    pub(super) fn spare(&mut self) {
        self.is_sparing = true;
        self.pending.retain(|(number, _)| *number < self.addresses.len());
    }

    /// A connection could not even begin. That one which only repeats another could not decides nothing.
    pub(super) fn not_begun(&mut self, number: Number, errno: Errno) {
        if number < self.addresses.len() {
            self.failed(number, errno);
        } else {
            self.pending.retain(|(other, _)| *other != number);
        }
    }

    /// A connection has failed, and its address with it: others to it are not pending any more.
    pub(super) fn failed(&mut self, number: Number, errno: Errno) {
        let address = self.address_of(number);
        if !self.has_failed(address) {
            self.failed.push((address, errno));
        }
        self.pending.retain(|(_, other)| *other != address);
    }

    /// Whether a connection is still waited for.
    pub(super) fn is_pending(&self, number: Number) -> bool {
        self.pending.iter().any(|(other, _)| *other == number)
    }

    /// The addresses that have failed, and why.
    pub(super) fn failures(&self) -> &[(SocketAddr, Errno)] {
        &self.failed
    }

    /// The addresses that have not failed.
    pub(super) fn silent(&self) -> Vec<SocketAddr> {
        self.addresses.iter().copied().filter(|address| !self.has_failed(*address)).collect()
    }

    fn address_of(&self, number: Number) -> SocketAddr {
        self.addresses[number % self.addresses.len()]
    }

    fn has_failed(&self, address: SocketAddr) -> bool {
        self.failed.iter().any(|(failed, _)| *failed == address)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: Duration = Duration::from_millis(1);
    const TIME: Duration = Duration::from_secs(5);

    fn addresses(count: u16) -> Vec<SocketAddr> {
        (0..count).map(|n| SocketAddr::from(([10, 0, 0, 1], 1000 + n))).collect()
    }

    /// When each connection begins, where nobody answers for so long.
    fn begun(mut race: Race, until: Duration) -> Vec<(Duration, SocketAddr)> {
        let (mut now, mut all) = (Duration::ZERO, Vec::new());
        while now < until {
            match race.next(now) {
                Move::Begin(_, address) => all.push((now, address)),
                Move::Wait(later) => now = later,
                Move::Lost => return all,
            }
            assert!(race.pending.len() <= MAX_PENDING);
        }
        all
    }

    #[test]
    fn a_silent_address_is_asked_again_before_the_kernel_would() {
        let moments: Vec<_> = begun(Race::new(addresses(1), TIME), 1000 * MS).into_iter().map(|(at, _)| at).collect();
        assert_eq!(moments, [Duration::ZERO, 350 * MS, 700 * MS]);
    }

    #[test]
    fn silent_addresses_are_tried_a_tenth_of_a_second_apart() {
        let all = begun(Race::new(addresses(3), TIME), 900 * MS);
        let moments: Vec<_> = all.iter().map(|(at, _)| *at).collect();
        assert_eq!(moments, [0, 100, 200, 550].map(|ms| ms * MS));
        assert_eq!(all[3].1, all[0].1, "the first again");
    }

    #[test]
    fn every_one_of_many_addresses_is_asked_in_half_of_the_time() {
        for (count, time) in [(40, TIME), (40, 1000 * MS), (300, TIME)] {
            let all = begun(Race::new(addresses(count), time), time);
            let last = addresses(count).pop().unwrap();
            let at = all.iter().find(|(_, address)| *address == last).map(|(at, _)| *at);
            assert!(at.is_some_and(|at| at <= time / 2), "{count} addresses in {time:?}: {at:?}");
        }
    }

    #[test]
    fn a_failure_brings_the_next_address_at_once() {
        let mut race = Race::new(addresses(40), TIME);
        for number in 0..40 {
            let Move::Begin(begun, _) = race.next(MS) else { panic!("number {number} is due") };
            assert_eq!(begun, number);
            race.failed(number, Errno::ECONNREFUSED);
        }
        assert_eq!(race.next(MS), Move::Lost);
        assert_eq!((race.failures().len(), race.silent().len()), (40, 0));
    }

    #[test]
    fn where_sockets_are_scarce_nothing_is_asked_twice() {
        let mut race = Race::new(addresses(1), TIME);
        assert_eq!(race.next(Duration::ZERO), Move::Begin(0, addresses(1)[0]));
        assert_eq!(race.next(AGAIN), Move::Begin(1, addresses(1)[0]));
        race.spare();
        assert!(race.is_pending(0) && !race.is_pending(1));
        assert_eq!(race.next(AGAIN * 2), Move::Wait(AGAIN * 3));
    }

    #[test]
    fn only_what_has_not_failed_is_asked_again() {
        let mut race = Race::new(addresses(3), TIME);
        for number in 0..3 {
            let now = race.next * u32::from(number > 0);
            assert!(matches!(race.next(now), Move::Begin(begun, _) if begun == number));
        }
        race.failed(0, Errno::ECONNREFUSED);
        race.failed(2, Errno::ECONNREFUSED);
        let again = race.next(race.next);
        assert_eq!(again, Move::Begin(4, addresses(3)[1]), "the second, which is silent");
        // The repeat could not begin: that decides nothing. It is refused: that does.
        race.not_begun(4, Errno::EMFILE);
        assert!(race.is_pending(1) && !race.is_pending(4));
        race.failed(1, Errno::ECONNREFUSED);
        assert_eq!(race.next(TIME), Move::Lost);
    }

    #[test]
    fn what_made_room_for_others_has_not_failed() {
        let mut race = Race::new(addresses(40), TIME);
        let mut now = Duration::ZERO;
        let mut begun = std::collections::HashSet::new();
        while begun.len() < 40 {
            match race.next(now) {
                Move::Begin(number, _) => drop(begun.insert(number)),
                Move::Wait(later) => now = later,
                Move::Lost => panic!("lost with {} begun", begun.len()),
            }
        }
        // All that are still awaited are refused at once.
        for number in 0..40 {
            if race.is_pending(number) {
                race.failed(number, Errno::ECONNREFUSED);
            }
        }
        let left = race.silent();
        assert!(!left.is_empty());
        assert!(matches!(race.next(now), Move::Wait(_)), "the others are asked again");
        let Move::Begin(number, address) = race.next(race.next) else { panic!("not asked again") };
        assert!(left.contains(&address));
        // That one could not begin proves nothing either, and is no reason to spin.
        race.not_begun(number, Errno::EMFILE);
        assert!(matches!(race.next(race.next.saturating_sub(MS)), Move::Wait(_)));
    }
}
