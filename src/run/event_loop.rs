//! Where the main thread waits for attempts: for signals, for the connections of all targets, for the helpers, and
//! for the time of what comes next.
//!
//! Connecting happens here, without blocking. A wait for addresses and sockets of which nothing but a
//! connection is asked takes no other thread, and while everything refuses, nobody else is woken.

use std::collections::{HashMap, VecDeque};
use std::os::fd::AsFd;
use std::sync::Arc;
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::resource::{Resource, getrlimit};

use crate::net::{self, Attempt, BegunConnection, Dial, Made, Place, Progress, ResolverState, Step, Steps};
use crate::run::helpers::{AttemptId, Context, Done, Helpers, Job};
use crate::run::signals::Signals;
use crate::targets::shared::probe;
use crate::wait::gate::{Arrival, World};
use crate::wait::outcome::{NotReady, Outcome, Stage};
use crate::wait::tracker::{Begun, MAX_OPEN, Reach};
use crate::{clock, os};

/// Descriptors that are not for attempts: our own, and what the system's libraries open for a moment.
const DESCRIPTORS_KEPT: usize = 24;
/// Descriptors for attempts that end as soon as they are connected, while conversations that hang hold all others.
const DESCRIPTORS_LENT: usize = 8;
/// Descriptors of an attempt that a helper begins: the resolver's, or a few connections side by side.
const DESCRIPTORS_OF_A_HELPER: usize = 4;

/// How long a signal may go unheard where nothing else can have come.
const GLANCE: Duration = Duration::from_millis(5);

/// A connection under way.
#[derive(Debug)]
struct Dialling {
    id: AttemptId,
    attempt: Attempt,
    dial: Box<Dial>,
    /// Whether something has been heard of it.
    is_due: bool,
    /// How many sockets it had when it was last looked at.
    sockets: usize,
}

/// The real [`World`].
#[derive(Debug)]
pub(crate) struct EventLoop<'a> {
    signals: &'a Signals,
    context: Arc<Context>,
    /// For each target the place that it connects to first, where nothing can be found out without it.
    places: Vec<Option<Place>>,
    helpers: Helpers,
    dialling: Vec<Dialling>,
    arrived: VecDeque<Arrival>,
    /// How far the attempts have come that are under way.
    progress: HashMap<AttemptId, Progress>,
    /// The attempt whose outcome was given last: how far it had come is known until the next.
    told: Option<AttemptId>,
    /// When signals, sockets and helpers were last listened to.
    heard: Instant,
    /// How many attempts of each target are under way, those of an earlier round and those that nobody
    /// waits for any more too, if they are a helper's.
    taken: Vec<usize>,
    /// Descriptors that the attempts of helpers may hold.
    held: usize,
    /// Sockets of the connections under way.
    sockets: usize,
    /// How many descriptors attempts may hold in all.
    descriptors: usize,
    /// Whether an attempt has been held up because no thread could be started.
    is_held_up: bool,
    /// The shortage that holds up attempts which have not begun.
    shortage: Stage,
    /// Outcomes of an earlier round are nobody's any more.
    round: u32,
    resolver: ResolverState,
    /// The steps of each target's last attempt, where they are recorded.
    steps: Option<Vec<Steps>>,
    begun: Instant,
    random: u64,
}

impl<'a> EventLoop<'a> {
    /// A loop for attempts at the targets of `context`, which `signals` interrupt. Its time counts from `begun`: the
    /// deadline is for all that the gate does, also for reading ten thousand targets.
    pub(crate) fn new(context: Context, signals: &'a Signals, begun: Instant) -> Self {
        use std::hash::{BuildHasher, Hasher, RandomState};
        let context = Arc::new(context);
        Self {
            signals,
            places: context.targets.iter().map(|target| target.probe.only_place().filter(is_reached_at_once)).collect(),
            taken: vec![0; context.targets.len()],
            helpers: Helpers::new(Arc::clone(&context)),
            context,
            dialling: Vec::new(),
            arrived: VecDeque::new(),
            progress: HashMap::new(),
            told: None,
            heard: begun,
            held: 0,
            sockets: 0,
            descriptors: descriptors(),
            is_held_up: false,
            shortage: Stage::Unbegun,
            round: 0,
            resolver: ResolverState::default(),
            steps: None,
            begun,
            random: RandomState::new().build_hasher().finish() | 1,
        }
    }

    /// From here on, keeps the steps of attempts.
    pub(crate) fn record_steps(&mut self) {
        self.steps = Some(vec![Steps::default(); self.taken.len()]);
    }

    /// The steps of the last attempt at a target, where they are recorded.
    pub(crate) fn steps(&self, target: usize) -> Option<Vec<Step>> {
        self.steps.as_ref()?[target].taken()
    }

    /// Begins a new round: the time starts again, and outcomes of the old round are dropped. A signal
    /// is not.
    pub(crate) fn restart(&mut self) {
        self.round = self.round.wrapping_add(1);
        for target in 0..self.taken.len() {
            self.abandon(target);
        }
        for job in self.helpers.drop_waiting() {
            self.released(job.id.target);
        }
        self.arrived.retain(|arrival| matches!(arrival, Arrival::Signal(_)));
        self.progress.clear();
        self.shortage = Stage::Unbegun;
        self.begun = clock::now();
    }

    /// Ends attempts: their connections under way are closed, and their conversations end.
    fn end_each(&mut self, is_meant: impl Fn(&AttemptId) -> bool) {
        for dialling in self.dialling.extract_if(.., |dialling| is_meant(&dialling.id)) {
            self.taken[dialling.id.target] -= 1;
            self.sockets -= dialling.sockets;
        }
        for (_, progress) in self.progress.iter().filter(|(id, _)| is_meant(id)) {
            progress.end();
        }
    }

    fn released(&mut self, target: usize) {
        self.taken[target] -= 1;
        self.held -= self.cost(target);
    }

    /// How many descriptors an attempt may hold once it is a helper's.
    fn cost(&self, target: usize) -> usize {
        match self.places[target] {
            Some(_) => 1,
            // Looking at a path takes none.
            None if !self.context.targets[target].probe.holds_descriptors() => 0,
            None => DESCRIPTORS_OF_A_HELPER,
        }
    }

    fn ended(&mut self, id: AttemptId, outcome: Outcome) {
        let AttemptId { target, number: attempt } = id;
        self.arrived.push_back(Arrival::Done { target, attempt, outcome });
    }

    /// A place is connected, or not: the end of some attempts, and the beginning of a conversation for others.
    fn connected(&mut self, id: AttemptId, attempt: Attempt, made: Result<Made, NotReady>) {
        let target = &self.context.targets[id.target];
        net::note_end(&made, &attempt);
        let outcome = match made {
            Err(failure) => probe::conclude(Err(failure), target, self.context.goal),
            Ok(made) => {
                if let Some(place) = &self.places[id.target] {
                    attempt.leave(place.clone(), made);
                }
                if target.probe.wants_a_conversation() {
                    attempt.enter(Stage::Starting);
                    let Err(failure) = self.help(id, attempt) else { return };
                    Err(failure)
                } else {
                    probe::run(target, self.context.goal, &self.context.tls, &attempt)
                }
            }
        };
        self.taken[id.target] -= 1;
        self.ended(id, outcome);
    }

    fn help(&mut self, id: AttemptId, attempt: Attempt) -> Result<(), NotReady> {
        let progress = attempt.progress().clone();
        self.helpers.take(Job { round: self.round, id, attempt }, clock::now())?;
        self.progress.insert(id, progress);
        self.held += self.cost(id.target);
        Ok(())
    }

    /// Looks at each connection of which something was heard, or that has something to do by now.
    fn advance(&mut self, now: Instant) {
        let may_repeat = (self.held + self.sockets) * 2 <= self.descriptors;
        let mut index = 0;
        while index < self.dialling.len() {
            let dialling = &mut self.dialling[index];
            if !dialling.is_due && now < dialling.dial.wakes_at() {
                index += 1;
                continue;
            }
            dialling.is_due = false;
            if !may_repeat {
                dialling.dial.spare();
            }
            let end = dialling.dial.advance(now);
            self.sockets -= dialling.sockets;
            dialling.sockets = dialling.dial.sockets();
            match end {
                None => {
                    self.sockets += dialling.sockets;
                    index += 1;
                }
                Some(end) => {
                    let Dialling { id, attempt, .. } = self.dialling.swap_remove(index);
                    self.connected(id, attempt, end);
                }
            }
        }
    }

    /// Whether so many more descriptors would be too many, of so many.
    fn is_short(&self, cost: usize, most: usize) -> bool {
        let in_use = self.held + self.sockets;
        cost > 0 && in_use > 0 && in_use + cost > most
    }

    /// Gives up the connections that only repeat others.
    fn spare(&mut self) {
        self.sockets = 0;
        for dialling in &mut self.dialling {
            dialling.dial.spare();
            dialling.sockets = dialling.dial.sockets();
            self.sockets += dialling.sockets;
        }
    }

    /// Waits until something is heard, or until `until`.
    fn wait(&mut self, until: Option<Instant>) {
        let dials = self.dialling.iter().map(|dialling| dialling.dial.wakes_at());
        let room = self.helpers.room_again();
        let next = dials.chain(until).chain(room).min();
        let timeout = next.map_or(PollTimeout::NONE, os::poll_timeout);
        let helpers = self.helpers.awaited();
        let dials = self.dialling.iter().flat_map(|dialling| dialling.dial.awaited());
        let mut fds: Vec<PollFd<'_>> = Vec::with_capacity(2 + self.dialling.len());
        fds.push(PollFd::new(self.signals.awaited().as_fd(), PollFlags::POLLIN));
        fds.extend(helpers.map(|fd| PollFd::new(fd, PollFlags::POLLIN)));
        fds.extend(dials.map(|fd| PollFd::new(fd, PollFlags::POLLOUT)));
        match poll(&mut fds, timeout) {
            Ok(0) | Err(Errno::EINTR) => return,
            Ok(_) => {}
            // Out of memory, or of what a limit lets be polled: signals are heard all the same.
            Err(_) => {
                let moment = PollTimeout::from(10_u8);
                fds.truncate(1);
                let _ = poll(&mut fds, timeout.min(moment));
            }
        }
        let heard: Vec<bool> = fds.iter().map(|fd| fd.any().unwrap_or(false)).collect();
        let has_helpers = helpers.is_some();
        let mut heard = heard.into_iter();
        let signal = heard.next().unwrap_or(false);
        let done = has_helpers && heard.next().unwrap_or(false);
        for dialling in &mut self.dialling {
            dialling.is_due = dialling.dial.note(&mut heard);
        }
        if signal && let Some(signal) = self.signals.take() {
            self.arrived.push_front(Arrival::Signal(signal));
        }
        if done {
            for Done { round, id, outcome } in self.helpers.collect() {
                self.released(id.target);
                if round == self.round {
                    self.ended(id, outcome);
                }
            }
        }
    }
}

/// Whether to connect there never blocks. The path to a socket may lead over a file system that does not answer.
fn is_reached_at_once(place: &Place) -> bool {
    match place {
        Place::Tcp(_) => true,
        Place::Unix(path) => !os::mounts::is_remote_path(path),
    }
}

/// How many descriptors the limit of open files leaves for attempts.
fn descriptors() -> usize {
    let limit = getrlimit(Resource::RLIMIT_NOFILE).map_or(1024, |(soft, _)| soft);
    usize::try_from(limit).unwrap_or(usize::MAX).saturating_sub(DESCRIPTORS_KEPT).max(1)
}

impl World for EventLoop<'_> {
    fn now(&mut self) -> Duration {
        clock::now().saturating_duration_since(self.begun)
    }

    fn has_room(&mut self, target: usize) -> bool {
        // An attempt that makes way for another takes a moment to end.
        if self.taken[target] > MAX_OPEN {
            return false;
        }
        // Where room is short, it is not for a second attempt beside one that hangs.
        let among = if self.taken[target] > 0 { 2 } else { 1 };
        let probe = &self.context.targets[target].probe;
        let takes_a_thread = self.places[target].is_none() || probe.wants_a_conversation();
        if takes_a_thread && !self.helpers.have_room(clock::now(), among) {
            self.is_held_up = true;
            self.shortage = Stage::Starting;
            return false;
        }
        let cost = self.cost(target);
        let lent = if takes_a_thread || among > 1 { 0 } else { DESCRIPTORS_LENT };
        let most = self.descriptors / among + lent;
        if among == 1 && self.is_short(cost, most) {
            self.spare();
        }
        let is_short = self.is_short(cost, most);
        if is_short && among == 1 {
            self.shortage = Stage::Crowded;
        }
        !is_short
    }

    fn start(&mut self, target: usize, begun: Begun) -> Result<(), NotReady> {
        let id = AttemptId { target, number: begun.attempt };
        let attempt = Attempt::new(begun.budget).knowing(self.resolver.clone());
        let mut attempt = attempt.patient(begun.patience.unwrap_or(Duration::MAX));
        if let Some(all) = &mut self.steps {
            all[target] = Steps::recording();
            attempt = attempt.recorded_in(all[target].clone());
        }
        let connection = self.places[target].as_ref().and_then(|place| net::begin(place, &attempt));
        match connection {
            Some(BegunConnection::Dial(mut dial)) => {
                self.taken[target] += 1;
                match dial.advance(clock::now()) {
                    Some(end) => self.connected(id, attempt, end),
                    None => {
                        let sockets = dial.sockets();
                        self.sockets += sockets;
                        self.progress.insert(id, attempt.progress().clone());
                        self.dialling.push(Dialling { id, attempt, dial, is_due: false, sockets });
                    }
                }
            }
            Some(BegunConnection::Ended(end)) => {
                self.taken[target] += 1;
                self.connected(id, attempt, end);
            }
            None => {
                self.help(id, attempt)?;
                self.taken[target] += 1;
            }
        }
        Ok(())
    }

    fn abandon(&mut self, target: usize) {
        if self.taken[target] > 0 {
            self.end_each(|id| id.target == target);
        }
    }

    fn end(&mut self, target: usize, attempt: u32) {
        self.end_each(|id| *id == AttemptId { target, number: attempt });
    }

    fn stage(&mut self, target: usize, attempt: u32) -> Stage {
        self.progress.get(&AttemptId { target, number: attempt }).map_or(self.shortage, Progress::stage)
    }

    fn reach(&mut self, target: usize, attempt: u32) -> Reach {
        let id = AttemptId { target, number: attempt };
        let reach = if self.told == Some(id) { Progress::furthest } else { Progress::reach };
        self.progress.get(&id).map_or(Reach::Unconnected, reach)
    }

    fn unanswered(&mut self, target: usize, attempt: u32, after: Duration) -> NotReady {
        let id = AttemptId { target, number: attempt };
        let Some(progress) = self.progress.get(&id) else { return self.shortage.timed_out(after) };
        // A peer's own words hold no secret, and mean what is wanted of the target.
        match progress
            .held_back()
            .map(|why| probe::conclude(Err(why), &self.context.targets[target], self.context.goal))
        {
            Some(Err(failure)) => failure,
            _ => progress.stage().timed_out(after),
        }
    }

    fn next(&mut self, until: Option<Duration>) -> Option<Arrival> {
        let until = until.and_then(|until| self.begun.checked_add(until));
        let mut has_waited = false;
        if let Some(told) = self.told.take() {
            self.progress.remove(&told);
        }
        loop {
            if let Some(arrival) = self.arrived.pop_front() {
                if let Arrival::Done { target, attempt, .. } = &arrival {
                    self.told = Some(AttemptId { target: *target, number: *attempt });
                }
                return Some(arrival);
            }
            let now = clock::now();
            let is_over = until.is_some_and(|until| until <= now);
            if has_waited {
                let held_up = self.is_held_up && self.helpers.room_again().is_none_or(|again| again <= now);
                if held_up || is_over {
                    self.is_held_up = false;
                    return None;
                }
            }
            // Nothing but a signal can have come.
            let is_idle = self.dialling.is_empty() && self.helpers.awaited().is_none();
            if is_over && is_idle && now < self.heard + GLANCE {
                return None;
            }
            self.helpers.catch_up(now);
            self.wait(until);
            self.heard = clock::now();
            self.advance(self.heard);
            has_waited = true;
        }
    }

    fn jitter(&mut self) -> f64 {
        // xorshift64 (Marsaglia, 2003): any spread will do.
        self.random ^= self.random << 13;
        self.random ^= self.random >> 7;
        self.random ^= self.random << 17;
        let upper = u32::try_from(self.random >> 32).unwrap_or(0);
        f64::from(upper) / f64::from(u32::MAX) * 2.0 - 1.0
    }
}

#[cfg(test)]
mod tests {
    use std::net::{SocketAddr, TcpListener};
    use std::sync::{LazyLock, Mutex, MutexGuard};

    use nix::sys::signal::{Signal, raise};
    #[cfg(target_os = "linux")]
    use socket2::{Domain, Socket, Type};

    use super::*;
    use crate::mutex::lock;
    use crate::run::helpers::tests::context;
    #[cfg(target_os = "linux")]
    use crate::wait::outcome::Kind;

    /// Longer than anything here takes.
    const LONG: Duration = Duration::from_secs(60);

    /// Handlers are the process's: they are installed once, and a signal is for one test at a time.
    static SIGNALS: LazyLock<Mutex<Signals>> = LazyLock::new(|| Mutex::new(Signals::install(|_| {}).unwrap()));

    /// The handlers, until the test is over: then a signal ends the tests again.
    struct Handlers(MutexGuard<'static, Signals>);

    impl Handlers {
        fn lent() -> Self {
            let signals = lock(&SIGNALS);
            signals.wait();
            Self(signals)
        }

        fn event_loop(&self, urls: &[&str]) -> EventLoop<'_> {
            EventLoop::new(context(urls), &self.0, clock::now())
        }
    }

    impl Drop for Handlers {
        fn drop(&mut self) {
            self.0.leave();
        }
    }

    fn listening() -> (TcpListener, SocketAddr) {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        (listener, address)
    }

    /// A port that is taken, at which nobody listens: it refuses on Linux, and is silent elsewhere.
    #[cfg(target_os = "linux")]
    fn closed() -> (Socket, SocketAddr) {
        let socket = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
        socket.bind(&SocketAddr::from(([127, 0, 0, 1], 0)).into()).unwrap();
        let address = socket.local_addr().unwrap().as_socket().unwrap();
        (socket, address)
    }

    fn begun(attempt: u32) -> Begun {
        Begun { attempt, budget: LONG, patience: Some(LONG) }
    }

    /// The outcomes of so many attempts, by target.
    fn outcomes(event_loop: &mut EventLoop<'_>, count: usize) -> Vec<Outcome> {
        let mut all: Vec<(usize, Outcome)> = (0..count)
            .map(|_| match event_loop.next(Some(LONG)) {
                Some(Arrival::Done { target, outcome, .. }) => (target, outcome),
                other => panic!("{other:?}"),
            })
            .collect();
        all.sort_by_key(|(target, _)| *target);
        all.into_iter().map(|(_, outcome)| outcome).collect()
    }

    /// Waits until `condition` holds; no outcome is told before.
    fn until(event_loop: &mut EventLoop<'_>, condition: impl Fn(&mut EventLoop<'_>) -> bool) {
        let end = clock::now() + LONG;
        while !condition(event_loop) {
            assert!(clock::now() < end, "{event_loop:?}");
            let soon = event_loop.now() + Duration::from_millis(5);
            assert!(event_loop.next(Some(soon)).is_none());
        }
    }

    fn holds_nothing(event_loop: &EventLoop<'_>) -> bool {
        event_loop.taken.iter().all(|taken| *taken == 0)
            && (event_loop.held, event_loop.sockets, event_loop.dialling.len()) == (0, 0, 0)
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn each_target_has_its_own_outcome_and_all_room_is_given_back() {
        let ((_listener, open), (_socket, shut)) = (listening(), closed());
        let urls = [format!("tcp://{open}"), format!("tcp://{shut}"), "file:///".to_owned(), format!("redis://{shut}")];
        let handlers = Handlers::lent();
        let mut event_loop = handlers.event_loop(&urls.each_ref().map(String::as_str));
        for round in 1..=3 {
            for target in 0..urls.len() {
                assert!(event_loop.has_room(target));
                event_loop.start(target, begun(round)).unwrap();
            }
            let outcomes = outcomes(&mut event_loop, urls.len());
            let kinds = outcomes.iter().map(|outcome| outcome.as_ref().err().map(|failure| failure.kind));
            let refused = Some(Kind::ConnectionRefused);
            assert_eq!(kinds.collect::<Vec<_>>(), [None, refused, None, refused]);
            assert!(holds_nothing(&event_loop), "{event_loop:?}");
        }
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn connections_alone_take_no_thread() {
        let ((_listener, open), (_socket, shut)) = (listening(), closed());
        let handlers = Handlers::lent();
        let mut event_loop = handlers.event_loop(&[&format!("tcp://{open}"), &format!("tcp://{shut}")]);
        for target in [0, 1] {
            event_loop.start(target, begun(1)).unwrap();
        }
        outcomes(&mut event_loop, 2);
        assert!(event_loop.helpers.awaited().is_none());
    }

    #[test]
    fn how_far_an_attempt_has_come_is_known_while_it_is_under_way() {
        let (listener, silent) = listening();
        let handlers = Handlers::lent();
        let mut event_loop = handlers.event_loop(&[&format!("redis://{silent}")]);
        assert_eq!(event_loop.stage(0, 0), Stage::Unbegun);
        event_loop.start(0, begun(1)).unwrap();
        until(&mut event_loop, |event_loop| event_loop.reach(0, 1) == Reach::Connected);
        // Nobody waits for it any more: its connection is closed, whatever the peer does.
        event_loop.end(0, 1);
        assert!(outcomes(&mut event_loop, 1)[0].is_err());
        assert_eq!(event_loop.reach(0, 1), Reach::Connected, "right after its outcome");
        assert!(holds_nothing(&event_loop), "{event_loop:?}");
        drop(listener);
    }

    #[test]
    fn outcomes_of_an_earlier_round_are_nobodys() {
        let (_listener, silent) = listening();
        let handlers = Handlers::lent();
        let mut event_loop = handlers.event_loop(&[&format!("redis://{silent}"), "file:///"]);
        event_loop.start(0, begun(1)).unwrap();
        until(&mut event_loop, |event_loop| event_loop.reach(0, 1) == Reach::Connected);
        event_loop.start(1, begun(1)).unwrap();
        event_loop.restart();
        assert!(event_loop.now() < LONG / 2, "the time starts again");
        until(&mut event_loop, |event_loop| holds_nothing(event_loop));
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn an_attempt_that_ends_with_a_refusal_may_have_been_connected_before() {
        let ((listener, open), (_socket, shut)) = (listening(), closed());
        let handlers = Handlers::lent();
        let mut event_loop = handlers.event_loop(&[&format!("postgres://u@{open},{shut}/d")]);
        event_loop.start(0, begun(1)).unwrap();
        poll(&mut [PollFd::new(listener.as_fd(), PollFlags::POLLIN)], os::poll_timeout(clock::now() + LONG)).unwrap();
        listener.set_nonblocking(true).unwrap();
        drop(listener.accept().unwrap());
        assert!(outcomes(&mut event_loop, 1)[0].is_err());
        assert_eq!(event_loop.stage(0, 1), Stage::Connecting);
        assert_eq!(event_loop.reach(0, 1), Reach::Connected);
    }

    #[test]
    fn a_signal_is_heard_before_outcomes_and_outlives_a_round() {
        let handlers = Handlers::lent();
        let mut event_loop = handlers.event_loop(&["file:///"]);
        for is_next_round in [false, true] {
            event_loop.ended(AttemptId { target: 0, number: 1 }, Err(Stage::Unbegun.timed_out(LONG)));
            raise(Signal::SIGTERM).unwrap();
            event_loop.wait(Some(clock::now() + LONG));
            if is_next_round {
                event_loop.restart();
            }
            assert!(matches!(event_loop.next(Some(LONG)), Some(Arrival::Signal(15))));
            assert_eq!(event_loop.next(Some(Duration::ZERO)).is_none(), is_next_round);
        }
    }

    #[test]
    fn without_anything_to_come_it_ends_at_its_time_and_not_before() {
        let handlers = Handlers::lent();
        let mut event_loop = handlers.event_loop(&["file:///"]);
        let until = event_loop.now() + Duration::from_millis(30);
        assert!(event_loop.next(Some(until)).is_none());
        assert!(event_loop.now() >= until);
        // A time that is past ends it at once.
        assert!(event_loop.next(Some(Duration::ZERO)).is_none());
    }

    #[test]
    fn where_descriptors_are_short_one_attempt_of_a_target_has_room_before_a_second() {
        let (_listener, silent) = listening();
        let url = format!("redis://{silent}");
        let handlers = Handlers::lent();
        let mut event_loop = handlers.event_loop(&[&url, &url, &url]);
        event_loop.descriptors = 2;
        // While it connects an attempt may have a second socket, and given up then it has no outcome.
        let start = |event_loop: &mut EventLoop<'_>, target| {
            event_loop.start(target, begun(1)).unwrap();
            until(event_loop, |event_loop| event_loop.dialling.is_empty());
        };
        start(&mut event_loop, 0);
        assert!(!event_loop.has_room(0), "a second attempt may have half of them");
        assert!(event_loop.has_room(1));
        start(&mut event_loop, 1);
        assert!(!event_loop.has_room(2));
        assert_eq!(event_loop.stage(2, 0), Stage::Crowded);
        event_loop.abandon(0);
        outcomes(&mut event_loop, 1);
        assert!(event_loop.has_room(2));
        event_loop.abandon(1);
    }
}
