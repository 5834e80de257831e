//! The waits of a stack's gates, and which of them its start hung on. Pure; moments are milliseconds since 1970.

/// Two records are of the same wait of a gate if they say within so many milliseconds that it began: log lines are
/// stamped a little after the time that they tell of.
const SAME: u64 = 100;
/// A gate's container answers to others at the earliest this long before its own wait is over, by clocks that differ.
const CLOCKS_DIFFER: u64 = 50;

/// All that was read.
#[derive(Debug, Default)]
pub(super) struct Stack {
    /// In the order of their beginnings.
    pub(super) waits: Vec<Wait>,
    /// The lines that were of no gate.
    pub(super) skipped: usize,
}

/// A wait of a gate.
#[derive(Debug)]
pub(super) struct Wait {
    pub(super) gate: String,
    /// When it began.
    pub(super) began: u64,
    /// How long it took, in milliseconds; so far, where it has no end.
    pub(super) elapsed: u64,
    pub(super) ending: StackEnd,
    /// In the order in which they became ready; then those that did not.
    pub(super) targets: Vec<StackTarget>,
}

/// How a wait ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum StackEnd {
    /// Nothing tells.
    Unknown,
    Ready,
    TimedOut,
    Failed,
    Interrupted,
}

impl StackEnd {
    /// The end that an outcome, or the event of the same name, tells of.
    pub(super) fn of(outcome: &str) -> Option<Self> {
        match outcome {
            "ready" => Some(Self::Ready),
            "timeout" => Some(Self::TimedOut),
            "failed" => Some(Self::Failed),
            "interrupted" => Some(Self::Interrupted),
            _ => None,
        }
    }

    /// As a row says it.
    pub(super) fn word(self) -> &'static str {
        match self {
            Self::Unknown => "still waiting",
            Self::Ready => "ready",
            Self::TimedOut => "gave up",
            Self::Failed => "failed",
            Self::Interrupted => "interrupted",
        }
    }
}

/// A target of a wait.
#[derive(Debug, Clone, Default)]
pub(super) struct StackTarget {
    pub(super) name: String,
    pub(super) url: String,
    /// In milliseconds since the wait began.
    pub(super) ready_after: Option<u64>,
    pub(super) attempts: u64,
    pub(super) failures: Vec<(String, u64)>,
    pub(super) last_reason: Option<String>,
}

impl StackTarget {
    /// The attempts after the first one.
    pub(super) fn retries(&self) -> u64 {
        self.attempts.saturating_sub(1)
    }
}

impl Wait {
    /// The target of this name.
    pub(super) fn target(&mut self, name: &str, url: &str) -> &mut StackTarget {
        let at = self.targets.iter().position(|target| target.name == name && target.url == url).unwrap_or_else(|| {
            self.targets.push(StackTarget { name: name.to_owned(), url: url.to_owned(), ..StackTarget::default() });
            self.targets.len() - 1
        });
        &mut self.targets[at]
    }

    /// Over after so many milliseconds.
    pub(super) fn ends(&mut self, elapsed: u64, ending: StackEnd) {
        self.elapsed = elapsed;
        self.ending = ending;
    }

    /// Not over then.
    pub(super) fn goes_on(&mut self, elapsed: u64) {
        if self.ending == StackEnd::Unknown {
            self.elapsed = self.elapsed.max(elapsed);
        }
    }

    /// When it ended.
    pub(super) fn end(&self) -> u64 {
        self.began.saturating_add(self.elapsed)
    }

    /// The target that the wait was as long as it was for: the last one that became ready, or one that never did.
    pub(super) fn last(&self) -> Option<usize> {
        // In a wait for any one of several the first counted; the others are not ready.
        let ready = (0..self.targets.len()).filter(|&index| self.targets[index].ready_after.is_some());
        let last_ready = ready.max_by_key(|&index| self.targets[index].ready_after);
        let unready = (0..self.targets.len()).find(|&index| self.targets[index].ready_after.is_none());
        if self.ending == StackEnd::Ready { last_ready } else { unready.or(last_ready) }
    }

    /// Whether a target is this gate's container: by its name, or by the host of its URL. A pod's or container's name
    /// begins with that of what it belongs to.
    fn is_meant_by(&self, target: &StackTarget) -> bool {
        [target.name.as_str(), host(&target.url)].iter().any(|name| {
            !name.is_empty()
                && self.gate.strip_prefix(name).is_some_and(|rest| rest.is_empty() || rest.starts_with(['-', '_', '.']))
        })
    }
}

/// The host of a URL that was shown.
fn host(url: &str) -> &str {
    let rest = url.split_once("://").map_or(url, |(_, rest)| rest);
    let authority = rest.split(['/', '?', '#']).next().unwrap_or_default();
    let place = authority.rsplit_once('@').map_or(authority, |(_, place)| place);
    place.split([':', ',']).next().unwrap_or_default()
}

/// A part of the critical path: a wait, and the target that it waited for to the end.
pub(super) type Link = (usize, Option<usize>);

impl Stack {
    /// The wait of `gate` that began then.
    pub(super) fn wait(&mut self, gate: &str, began: u64) -> &mut Wait {
        let is_it = |wait: &Wait| wait.gate == gate && wait.began.abs_diff(began) <= SAME;
        let at = self.waits.iter().position(is_it).unwrap_or_else(|| {
            let (gate, targets) = (gate.to_owned(), Vec::new());
            self.waits.push(Wait { gate, began, elapsed: 0, ending: StackEnd::Unknown, targets });
            self.waits.len() - 1
        });
        &mut self.waits[at]
    }

    /// All has been read: puts everything in order.
    pub(super) fn finish(&mut self) {
        self.waits.sort_by(|one, other| (one.began, &one.gate).cmp(&(other.began, &other.gate)));
        for wait in &mut self.waits {
            wait.targets.sort_by_key(|target| target.ready_after.unwrap_or(u64::MAX));
        }
    }

    /// When the first wait began, and how long it was until the last one ended.
    pub(super) fn span(&self) -> (u64, u64) {
        let began = self.waits.iter().map(|wait| wait.began).min().unwrap_or_default();
        let ended = self.waits.iter().map(Wait::end).max().unwrap_or_default();
        (began, ended.saturating_sub(began))
    }

    /// From the wait that ended last, over the target that it waited for to the end, to the wait of the container that
    /// this target is, and so on: the start of the stack took as long as these did.
    pub(super) fn critical_path(&self) -> Vec<Link> {
        let mut path: Vec<Link> = Vec::new();
        let mut next = (0..self.waits.len()).max_by_key(|&index| self.waits[index].end());
        while let Some(index) = next {
            let wait = &self.waits[index];
            let last = wait.last();
            path.push((index, last));
            next = last.and_then(|target| {
                let target = &wait.targets[target];
                let by =
                    wait.began.saturating_add(target.ready_after.unwrap_or(wait.elapsed)).saturating_add(CLOCKS_DIFFER);
                let is_before = |other: &usize| {
                    let wait = &self.waits[*other];
                    wait.is_meant_by(target) && wait.end() <= by && path.iter().all(|(index, _)| index != other)
                };
                (0..self.waits.len()).filter(is_before).max_by_key(|&other| self.waits[other].end())
            });
        }
        path
    }

    /// How often each kind of failure occurred, the most frequent first.
    pub(super) fn failures(&self) -> Vec<(String, u64)> {
        let mut sums: Vec<(String, u64)> = Vec::new();
        for (kind, count) in self.waits.iter().flat_map(|wait| &wait.targets).flat_map(|target| &target.failures) {
            match sums.iter_mut().find(|(known, _)| known == kind) {
                Some((_, sum)) => *sum += count,
                None => sums.push((kind.clone(), *count)),
            }
        }
        sums.sort_by(|(one, of_one), (other, of_other)| of_other.cmp(of_one).then(one.cmp(other)));
        sums
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn target(name: &str, url: &str, ready_after: Option<u64>) -> StackTarget {
        StackTarget { name: name.into(), url: url.into(), ready_after, attempts: 2, ..StackTarget::default() }
    }

    #[test]
    fn the_critical_path_goes_from_gate_to_gate_by_name_and_by_host() {
        let mut stack = Stack::default();
        let wait = stack.wait("web", 1000);
        wait.ends(9000, StackEnd::Ready);
        wait.targets = vec![
            target("http://api:80/health", "http://api:80/health", Some(8900)),
            target("cache", "redis://cache", Some(100)),
        ];
        let wait = stack.wait("api-5d7f-x2", 1500);
        wait.ends(7000, StackEnd::Ready);
        wait.targets = vec![target("db", "postgres://app@db:5432/app", Some(6900))];
        stack.wait("apiary", 900).ends(8000, StackEnd::Ready);
        stack.finish();
        let path = stack.critical_path();
        let names: Vec<&str> = path.iter().map(|(index, _)| stack.waits[*index].gate.as_str()).collect();
        assert_eq!(names, ["web", "api-5d7f-x2"]);
        let last = path[1].1.map(|target| stack.waits[path[1].0].targets[target].name.clone());
        assert_eq!(last.as_deref(), Some("db"));
    }

    #[test]
    fn two_gates_that_wait_for_each_other_are_no_endless_path() {
        let mut stack = Stack::default();
        for (gate, other) in [("a", "b"), ("b", "a")] {
            let wait = stack.wait(gate, 0);
            wait.ends(5000, StackEnd::TimedOut);
            wait.targets = vec![target(other, other, None)];
        }
        stack.finish();
        assert_eq!(stack.critical_path().len(), 2);
    }

    #[test]
    fn hosts_of_shown_urls() {
        for (url, expected) in [
            ("postgres://app@db:5432/app", "db"),
            ("http://api/health", "api"),
            ("nats://a:1,nats://b:2", "a"),
            ("file:///x", ""),
        ] {
            assert_eq!(host(url), expected, "{url}");
        }
    }
}
