//! Which servers of a deployment are asked, and which of them a driver would use: one pass of "Server Discovery and
//! Monitoring" and of "Server Selection" (MongoDB's driver specifications). Pure.

use crate::net::Place;
use crate::targets::mongodb::bson::{self, BsonValue, get, text_at};
use crate::targets::shared::advertised::Advertised;
use crate::text::{excerpt, peer_excerpt};
use crate::wait::outcome::{Kind, NotReady};

/// No more servers than this are asked in one attempt.
const MAX_SERVERS: usize = 16;
/// The setting of the advertised addresses.
const SETTING: &str = "rs.conf() members[].host";

/// A server's word about itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct MemberState {
    pub(crate) role: MemberRole,
    /// The replica set that it belongs to.
    pub(crate) set: Option<String>,
    /// The members that hold data, as they are advertised.
    pub(crate) hosts: Vec<String>,
    /// The primary, as it is advertised.
    primary: Option<String>,
    /// The mechanisms of a login, where a user was named.
    pub(crate) mechanisms: Vec<String>,
    /// Whether it knows that it is behind a load balancer.
    pub(crate) is_balanced: bool,
}

/// The role of a server.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum MemberRole {
    Standalone,
    Mongos,
    Primary,
    Secondary,
    Arbiter,
    /// A member of a set that is not initiated.
    NotInitiated,
    /// Starting, recovering or electing.
    Other,
}

impl MemberRole {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Standalone => "standalone",
            Self::Mongos => "mongos",
            Self::Primary => "primary",
            Self::Secondary => "secondary",
            Self::Arbiter => "arbiter",
            Self::NotInitiated => "not initiated",
            Self::Other => "neither primary nor secondary",
        }
    }

    /// Why no driver would use it.
    pub(crate) fn problem(self) -> Option<NotReady> {
        let (kind, reason) = match self {
            Self::NotInitiated => (Kind::NotAccepting, "the replica set is not initiated: rs.initiate()"),
            Self::Arbiter => (Kind::Unexpected, "it is an arbiter, which holds no data"),
            Self::Other => (Kind::NotAccepting, "it is neither primary nor secondary: it starts, recovers or elects"),
            Self::Standalone | Self::Mongos | Self::Primary | Self::Secondary => return None,
        };
        Some(NotReady::new(kind, reason))
    }
}

impl MemberState {
    /// The answer to `hello`.
    pub(crate) fn of(answer: &[u8]) -> Self {
        let is = |name: &str| get(answer, name) == Some(BsonValue::Bool(true));
        let set = text_at(answer, "setName").map(str::to_owned);
        let role = match (is("isWritablePrimary") || is("ismaster"), is("secondary")) {
            _ if is("isreplicaset") => MemberRole::NotInitiated,
            _ if is("arbiterOnly") => MemberRole::Arbiter,
            (true, _) if text_at(answer, "msg") == Some("isdbgrid") => MemberRole::Mongos,
            (true, _) if set.is_none() => MemberRole::Standalone,
            (true, _) => MemberRole::Primary,
            (false, true) => MemberRole::Secondary,
            (false, false) => MemberRole::Other,
        };
        let hosts = [texts(answer, "hosts"), texts(answer, "passives")].concat();
        let mechanisms = texts(answer, "saslSupportedMechs");
        let is_balanced = get(answer, "serviceId").is_some();
        Self { role, set, hosts, primary: text_at(answer, "primary").map(str::to_owned), mechanisms, is_balanced }
    }
}

fn texts(answer: &[u8], name: &str) -> Vec<String> {
    let Some(BsonValue::Document(list)) = get(answer, name) else { return Vec::new() };
    let text = |(_, value)| if let BsonValue::Text(text) = value { Some(text.to_owned()) } else { None };
    bson::elements(list).filter_map(text).collect()
}

/// `readPreference`: which members a driver uses.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) enum ReadPreference {
    /// The primary alone.
    #[default]
    Primary,
    /// A secondary where there is no primary.
    PrimaryPreferred,
    /// Secondaries alone.
    Secondary,
    /// The primary where there is no secondary.
    SecondaryPreferred,
    /// Any.
    Nearest,
}

impl ReadPreference {
    /// As connection strings have it.
    pub(crate) fn of(text: &str) -> Option<Self> {
        Some(match text.to_ascii_lowercase().as_str() {
            "primary" => Self::Primary,
            "primarypreferred" => Self::PrimaryPreferred,
            "secondary" => Self::Secondary,
            "secondarypreferred" => Self::SecondaryPreferred,
            "nearest" => Self::Nearest,
            _ => return None,
        })
    }

    /// Whether a member of this role is used at once.
    fn takes(self, role: MemberRole) -> bool {
        match self {
            Self::Primary | Self::PrimaryPreferred => role == MemberRole::Primary,
            Self::Secondary | Self::SecondaryPreferred => role == MemberRole::Secondary,
            Self::Nearest => matches!(role, MemberRole::Primary | MemberRole::Secondary),
        }
    }

    /// Whether a member of this role is used where there is no better one.
    fn accepts(self, role: MemberRole) -> bool {
        match self {
            Self::Primary | Self::Secondary => self.takes(role),
            _ => matches!(role, MemberRole::Primary | MemberRole::Secondary),
        }
    }

    fn wanted(self) -> &'static str {
        match self {
            Self::Primary => "a primary",
            Self::Secondary => "a secondary",
            Self::PrimaryPreferred | Self::SecondaryPreferred | Self::Nearest => "a primary or a secondary",
        }
    }
}

/// A server, and what was heard of it.
#[derive(Debug)]
struct Member {
    place: Place,
    is_seed: bool,
    /// The address that it was advertised as.
    advertised: Option<Advertised>,
    heard: Option<Result<MemberState, NotReady>>,
}

/// The view of a deployment in one attempt.
#[derive(Debug)]
pub(crate) struct Topology {
    servers: Vec<Member>,
    set: Option<String>,
    preference: ReadPreference,
    /// How many servers the URL names.
    seeds: usize,
    /// The primary that a member named.
    primary: Option<String>,
    /// An advertised host that is no address.
    odd: Option<Advertised>,
}

impl Topology {
    pub(crate) fn new(seeds: &[Place], set: Option<&str>, preference: ReadPreference) -> Self {
        let seed = |place: &Place| Member { place: place.clone(), is_seed: true, advertised: None, heard: None };
        let (set, count) = (set.map(str::to_owned), seeds.len());
        let servers = seeds.iter().map(seed).collect();
        Self { servers, set, preference, seeds: count, primary: None, odd: None }
    }

    /// The server to ask next: the primary that was named, then the members in their order, then the seeds.
    pub(crate) fn next(&self) -> Option<&Place> {
        if self.servers.iter().filter(|server| server.heard.is_some()).count() >= MAX_SERVERS {
            return None;
        }
        let open = self.servers.iter().filter(|server| server.heard.is_none());
        let next = open.min_by_key(|server| match self.preference {
            ReadPreference::Primary | ReadPreference::PrimaryPreferred if self.is_named_primary(server) => 0,
            _ if server.advertised.is_some() => 1,
            _ => 2,
        });
        next.map(|server| &server.place)
    }

    /// Whether a member has named this server as the primary.
    fn is_named_primary(&self, server: &Member) -> bool {
        let advertised = server.advertised.as_ref().map(Advertised::to_string);
        advertised.is_some() && advertised == self.primary
    }

    /// The words of the servers that have said something.
    fn states(&self) -> impl Iterator<Item = &MemberState> {
        self.servers.iter().filter_map(|server| server.heard.as_ref()?.as_ref().ok())
    }

    /// Whether the URL names this server.
    pub(crate) fn is_seed(&self, place: &Place) -> bool {
        self.servers.iter().any(|server| server.is_seed && server.place == *place)
    }

    /// How many have not been asked.
    pub(crate) fn open(&self) -> usize {
        self.servers.iter().filter(|server| server.heard.is_none()).count()
    }

    /// Takes what a server said, or why it said nothing. Gives whether it is the one to use.
    pub(crate) fn hear(&mut self, place: &Place, heard: Result<MemberState, NotReady>) -> bool {
        if let Ok(state) = &heard
            && self.is_of_the_set(state)
        {
            // The first one names the set, where the URL does not.
            self.set = self.set.take().or_else(|| state.set.clone());
            for host in &state.hosts {
                self.add_member(host);
            }
            if let Some(primary) = &state.primary {
                self.add_member(primary);
                self.primary = Some(primary.clone());
            }
        }
        let Some(index) = self.servers.iter().position(|server| server.place == *place) else { return false };
        self.servers[index].heard = Some(heard);
        self.is_usable(&self.servers[index]).is_some_and(|role| self.is_used_at_once(role))
    }

    fn is_of_the_set(&self, state: &MemberState) -> bool {
        state.set.is_some() && (self.set.is_none() || self.set == state.set)
    }

    fn add_member(&mut self, host: &str) {
        let advertised = Advertised::of("", host);
        let Some(address) = advertised.address() else {
            self.odd.get_or_insert(advertised);
            return;
        };
        let place = Place::Tcp(address);
        if let Some(server) = self.servers.iter_mut().find(|server| is_same(&server.place, &place)) {
            server.advertised = Some(advertised);
        } else if self.servers.len() < self.seeds + MAX_SERVERS {
            self.servers.push(Member { place, is_seed: false, advertised: Some(advertised), heard: None });
        }
    }

    /// The role of a server that a driver keeps: of a set, only members under the names that are advertised.
    fn is_usable(&self, server: &Member) -> Option<MemberRole> {
        let Some(Ok(state)) = &server.heard else { return None };
        let is_member = self.is_of_the_set(state)
            // A server that names nobody is known by what the URL says.
            && (server.advertised.is_some() || state.hosts.is_empty());
        match state.role {
            MemberRole::Primary | MemberRole::Secondary => is_member.then_some(state.role),
            MemberRole::Mongos => self.set.is_none().then_some(MemberRole::Mongos),
            // Drivers drop it from a list of several.
            MemberRole::Standalone => (self.set.is_none() && self.seeds == 1).then_some(MemberRole::Standalone),
            MemberRole::Arbiter | MemberRole::NotInitiated | MemberRole::Other => None,
        }
    }

    fn is_used_at_once(&self, role: MemberRole) -> bool {
        matches!(role, MemberRole::Mongos | MemberRole::Standalone) || self.preference.takes(role)
    }

    /// The server to use where none was to be used at once.
    ///
    /// # Errors
    ///
    /// Why there is none; `None` where no server has said anything: then it is for the caller to sum up.
    pub(crate) fn second_choice(&self) -> Result<&Place, Option<NotReady>> {
        let accepted = |server: &&Member| self.is_usable(server).is_some_and(|role| self.preference.accepts(role));
        if let Some(server) = self.servers.iter().find(accepted) {
            return Ok(&server.place);
        }
        Err(self.problem())
    }

    fn problem(&self) -> Option<NotReady> {
        self.states().next()?;
        if !self.states().any(|state| self.is_of_the_set(state)) {
            return Some(self.problem_without_a_member());
        }
        if let Some(odd) = &self.odd {
            let odd = excerpt(&odd.to_string());
            return Some(NotReady::new(
                Kind::Unexpected,
                format!("a member is advertised as {odd} ({SETTING}), which is no address"),
            ));
        }
        Some(self.unreachable_member().unwrap_or_else(|| self.no_such_member()))
    }

    /// The failure where no server is a member of the set that is wanted, or of any.
    fn problem_without_a_member(&self) -> NotReady {
        let tells = |state: &MemberState| state.role == MemberRole::NotInitiated || self.set.is_none();
        let problem = self.states().find_map(|state| state.role.problem().filter(|_| tells(state)));
        let first = self.states().next();
        match (&self.set, problem) {
            (_, Some(problem)) => problem,
            (Some(wanted), None) => of_another_set(first.and_then(|state| state.set.as_deref()), wanted),
            (None, None) => {
                let reason = "it is a standalone server, and drivers drop those from a list of several hosts";
                NotReady::new(Kind::Unexpected, reason)
            }
        }
    }

    /// A member that would be used, or might be, and cannot be reached under its advertised name.
    fn unreachable_member(&self) -> Option<NotReady> {
        let is_primary = |server: &Member| self.is_named_primary(server);
        let wants_primary = matches!(self.preference, ReadPreference::Primary | ReadPreference::PrimaryPreferred);
        let failed = |server: &&Member| matches!(server.heard, Some(Err(_))) && server.advertised.is_some();
        let others_only = self.preference == ReadPreference::Secondary;
        let mut failed: Vec<&Member> =
            self.servers.iter().filter(failed).filter(|server| !(others_only && is_primary(server))).collect();
        failed.sort_by_key(|server| !is_primary(server));
        let server = *failed.first()?;
        // A primary that is elsewhere, or none, is not what another member's silence is about.
        if wants_primary && self.primary.is_some() && !is_primary(server) {
            return None;
        }
        let (Some(advertised), Some(Err(failure))) = (&server.advertised, &server.heard) else { return None };
        let advertised = excerpt(&advertised.to_string());
        let whose = if is_primary(server) { "the primary" } else { "a member" };
        let set = peer_excerpt(self.set.as_deref().unwrap_or_default());
        let reason = if is_primary(server) || !wants_primary {
            format!(
                "{whose} of the replica set {set} is advertised as {advertised} ({SETTING}), which cannot be reached from here: {}",
                failure.reason
            )
        } else {
            format!(
                "the replica set {set} names no primary, and a member, advertised as {advertised} ({SETTING}), cannot be reached from here: {}",
                failure.reason
            )
        };
        // The seed has answered: this stands for more than a refused connection.
        let kind = if is_primary(server) { Kind::Unexpected } else { Kind::NotAccepting };
        Some(NotReady::new(kind, reason))
    }

    fn no_such_member(&self) -> NotReady {
        let set = peer_excerpt(self.set.as_deref().unwrap_or_default());
        let role = |server: &Member| {
            let state = server.heard.as_ref()?.as_ref().ok()?;
            Some(format!("{} is {}", server.place, state.role.name()))
        };
        let roles: Vec<String> = self.servers.iter().filter_map(role).take(4).collect();
        let wanted = self.preference.wanted();
        let reason =
            format!("the replica set {set} has no member that is {wanted}, which the URL wants ({})", roles.join(", "));
        NotReady::new(Kind::NotAccepting, reason)
    }

    /// The seeds that failed, each with its reason.
    pub(crate) fn into_failures(self) -> Vec<(String, NotReady)> {
        let failed = |server: Member| Some((server.place.to_string(), server.heard?.err()?));
        self.servers.into_iter().filter(|server| server.is_seed).filter_map(failed).collect()
    }
}

/// The failure of a member of another set than the one that is wanted.
pub(super) fn of_another_set(found: Option<&str>, wanted: &str) -> NotReady {
    let found = found.map_or("none".to_owned(), peer_excerpt);
    NotReady::new(Kind::Unexpected, format!("it is a member of another replica set ({found}, not {wanted})"))
}

/// Names of hosts are the same in any case.
fn is_same(one: &Place, other: &Place) -> bool {
    match (one, other) {
        (Place::Tcp(one), Place::Tcp(other)) => one.port == other.port && one.host.eq_ignore_ascii_case(&other.host),
        _ => one == other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::targets::mongodb::bson::Document;

    fn place(text: &str) -> Place {
        Place::Tcp(Advertised::of("", text).address().unwrap())
    }

    fn array(hosts: &[&str]) -> Document {
        hosts.iter().enumerate().fold(Document::default(), |list, (index, host)| list.text(&index.to_string(), host))
    }

    /// A member of `rs0`: its role, the hosts that it names and the primary.
    fn member(role: &str, hosts: &[&str], primary: Option<&str>) -> MemberState {
        let answer = Document::default().bool(role, true).text("setName", "rs0").document("hosts", array(hosts));
        MemberState::of(&primary.into_iter().fold(answer, |answer, primary| answer.text("primary", primary)).finished())
    }

    fn alone(role: &str, more: Option<(&str, &str)>) -> MemberState {
        let answer = Document::default().bool(role, true);
        MemberState::of(&more.into_iter().fold(answer, |answer, (name, text)| answer.text(name, text)).finished())
    }

    /// The place that is used, or why there is none, with the places that were asked in their order.
    fn pass(
        seeds: &[&str],
        set: Option<&str>,
        preference: ReadPreference,
        answers: &[(&str, Result<MemberState, Kind>)],
    ) -> (Result<String, Option<Kind>>, Vec<String>, String) {
        let seeds: Vec<Place> = seeds.iter().map(|seed| place(seed)).collect();
        let (mut topology, mut asked) = (Topology::new(&seeds, set, preference), Vec::new());
        while let Some(next) = topology.next().cloned() {
            asked.push(next.to_string());
            let answer = answers.iter().find(|(at, _)| *at == next.to_string());
            let answer = answer.map_or(Err(Kind::ConnectionRefused), |(_, answer)| answer.clone());
            if topology.hear(&next, answer.map_err(|kind| NotReady::new(kind, "refused"))) {
                return (Ok(next.to_string()), asked, String::new());
            }
        }
        match topology.second_choice() {
            Ok(place) => (Ok(place.to_string()), asked, String::new()),
            Err(failure) => {
                let reason = failure.as_ref().map(|failure| failure.reason.clone()).unwrap_or_default();
                (Err(failure.map(|failure| failure.kind)), asked, reason)
            }
        }
    }

    const HOSTS: &[&str] = &["a:1", "b:1", "c:1"];

    #[test]
    fn a_secondary_leads_to_the_primary_as_it_is_advertised() {
        use ReadPreference::Primary;
        let secondary = || Ok(member("secondary", HOSTS, Some("b:1")));
        let primary = || Ok(member("isWritablePrimary", HOSTS, Some("b:1")));
        let answers = [("a:1", secondary()), ("b:1", primary()), ("seed:9", secondary())];
        for set in [None, Some("rs0")] {
            let (used, asked, _) = pass(&["seed:9"], set, Primary, &answers);
            assert_eq!((used, asked), (Ok("b:1".to_owned()), vec!["seed:9".to_owned(), "b:1".to_owned()]));
        }
        // Also where the seed is the primary under another name.
        let answers = [("seed:9", primary()), ("b:1", primary())];
        assert_eq!(pass(&["seed:9"], Some("rs0"), Primary, &answers).0, Ok("b:1".to_owned()));
        // And one under its own name is not asked twice.
        assert_eq!(pass(&["B:1"], Some("rs0"), Primary, &[("B:1", primary())]).1, ["B:1"]);
    }

    #[test]
    fn a_primary_that_cannot_be_reached_is_the_reason() {
        use ReadPreference::Primary;
        let answers = [("seed:9", Ok(member("secondary", HOSTS, Some("b:1"))))];
        let (used, _, reason) = pass(&["seed:9"], Some("rs0"), Primary, &answers);
        assert_eq!(used, Err(Some(Kind::Unexpected)));
        assert!(reason.contains("b:1") && reason.contains("members[].host"), "{reason}");
        let answers = [("seed:9", Ok(member("isWritablePrimary", &["localhost:1"], Some("localhost:1"))))];
        assert_eq!(pass(&["seed:9"], None, Primary, &answers).0, Err(Some(Kind::Unexpected)));
        let odd = [("seed:9", Ok(member("isWritablePrimary", &["x y:1"], None)))];
        assert_eq!(pass(&["seed:9"], None, Primary, &odd).0, Err(Some(Kind::Unexpected)));
    }

    #[test]
    fn a_set_without_a_primary_is_ready_only_for_who_wants_none() {
        use ReadPreference::{Nearest, Primary, PrimaryPreferred, Secondary, SecondaryPreferred};
        let secondary = || Ok(member("secondary", &["a:1", "b:1"], None));
        let answers = [("a:1", secondary()), ("b:1", secondary())];
        for (preference, used) in [
            (Primary, Err(Some(Kind::NotAccepting))),
            (PrimaryPreferred, Ok("a:1".to_owned())),
            (Secondary, Ok("a:1".to_owned())),
            (SecondaryPreferred, Ok("a:1".to_owned())),
            (Nearest, Ok("a:1".to_owned())),
        ] {
            let (found, asked, reason) = pass(&["a:1"], Some("rs0"), preference, &answers);
            assert_eq!(found, used, "{preference:?}: {reason}");
            assert_eq!(asked.len(), if used.is_err() || preference == PrimaryPreferred { 2 } else { 1 });
        }
        let primary = [("a:1", Ok(member("isWritablePrimary", &["a:1"], Some("a:1"))))];
        assert_eq!(pass(&["a:1"], None, Secondary, &primary).0, Err(Some(Kind::NotAccepting)));
        assert_eq!(pass(&["a:1"], None, SecondaryPreferred, &primary).0, Ok("a:1".to_owned()));
    }

    #[test]
    fn other_servers_are_used_or_not_as_drivers_have_it() {
        use ReadPreference::Primary;
        let standalone = || Ok(alone("ismaster", None));
        let mongos = || Ok(alone("ismaster", Some(("msg", "isdbgrid"))));
        for (seeds, set, answer, used) in [
            (&["a:1"][..], None, standalone(), Ok("a:1".to_owned())),
            (&["a:1", "b:1"], None, standalone(), Err(Some(Kind::Unexpected))),
            (&["a:1"], Some("rs0"), standalone(), Err(Some(Kind::Unexpected))),
            (&["a:1", "b:1"], None, mongos(), Ok("a:1".to_owned())),
            (&["a:1"], Some("rs1"), Ok(member("isWritablePrimary", &["a:1"], None)), Err(Some(Kind::Unexpected))),
            (&["a:1"], Some("rs0"), Ok(alone("isreplicaset", None)), Err(Some(Kind::NotAccepting))),
            (&["a:1"], None, Ok(member("arbiterOnly", &["z:1"], None)), Err(Some(Kind::NotAccepting))),
            (&["a:1"], Some("rs0"), Err(Kind::TimedOut), Err(None)),
            // One that names nobody is what it is.
            (&["a:1"], Some("rs0"), Ok(member("isWritablePrimary", &[], None)), Ok("a:1".to_owned())),
        ] {
            let (found, _, reason) = pass(seeds, set, Primary, &[("a:1", answer)]);
            assert_eq!(found, used, "{seeds:?} {set:?} {reason}");
        }
    }

    #[test]
    fn no_set_leads_round_in_circles_or_to_more_servers_than_a_few() {
        let names: Vec<String> = (1..200).map(|number| format!("h{number}:1")).collect();
        let names: Vec<&str> = names.iter().map(String::as_str).collect();
        let answers = [("h1:1", Ok(member("secondary", &names, None)))];
        assert_eq!(pass(&["h1:1"], None, ReadPreference::Primary, &answers).1.len(), MAX_SERVERS);
    }
}
