//! Mistakes that are made often, recognised in a word as it was written, with what would be right. Pure.

use super::exec;
use super::registry;
use super::shared::lookup::Lookup;
use super::shared::url::split_name;

/// The likely mistake in a word, if it looks like one of these mistakes. Nothing of what the word holds is
/// repeated, for it may hold a password; a variable's name is.
pub(crate) fn recognised(word: &str, lookup: &Lookup<'_>) -> Option<String> {
    if let Some((variable, is_all)) = empty_variable(word, lookup) {
        let [default, then] = if is_all { ["", "leaves the target out"] } else { ["HOST", "is HOST"] };
        return Some(format!("the variable {variable} is empty; `${{{variable}:-{default}}}` {then} where it is"));
    }
    if word.starts_with('#') {
        return Some("a blank stands before `#`; the keys follow their target at once: URL#KEY=VALUE".to_owned());
    }
    let (_, url) = split_name(word.trim());
    if exec::strip_scheme(url).is_some() {
        return None;
    }
    let before = url.split_once(" #").filter(|(_, rest)| registry::begins_with_key(rest)).map(|(before, _)| before);
    if before.is_some_and(|before| !before.contains([' ', ';'])) {
        return Some("a blank stands before its `#`; write URL#KEY=VALUE".to_owned());
    }
    let (scheme, rest) = url.split_once("://").unwrap_or_default();
    if !matches!(scheme, "http" | "https") {
        return without_colon(url);
    }
    let place = rest.split('#').next().unwrap_or_default();
    let path = place.split_once('/').map_or("", |(_, path)| path);
    let begins_another = |next: &str| {
        let next = split_name(next).1;
        let port = next.rsplit_once(':').map(|(_, port)| port);
        next.is_empty() || next.contains("://") || port.is_some_and(|port| port.parse::<u16>().is_ok())
    };
    let path = path.split('?').next().unwrap_or_default();
    path.split(',')
        .skip(1)
        .any(begins_another)
        .then(|| format!("a comma ends its path: {}", super::shared::url::SEPARATE))
}

/// `${NAME}` that is set and empty, alone or behind its `NAME=`, or as the host of a URL; whether it is all of the target.
fn empty_variable<'a>(word: &'a str, lookup: &Lookup<'_>) -> Option<(&'a str, bool)> {
    let (_, body) = word.split_once('=').filter(|(name, _)| !name.contains(['$', ':'])).unwrap_or(("", word));
    let authority = body.split_once("://").and_then(|(_, rest)| rest.split(['/', '?', '#']).next());
    let host = authority.map_or(body, |authority| authority.rsplit_once('@').map_or(authority, |(_, host)| host));
    let (name, behind) = host.strip_prefix("${")?.split_once('}')?;
    if !behind.is_empty() && !behind.starts_with(':') {
        return None;
    }
    let is_name = name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_');
    let value = if is_name { (lookup.env)(name)? } else { return None };
    value.is_empty().then_some((name, authority.is_none() && behind.is_empty()))
}

/// `http//host`
fn without_colon(url: &str) -> Option<String> {
    let (scheme, _) = url.split_once("//")?;
    // Behind a `+` anything is a driver's name, a colon included.
    let is_known = !scheme.contains(':') && registry::find(scheme).is_some();
    is_known.then(|| format!("the `:` behind its scheme is missing; write {scheme}://…"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn common_mistakes_are_recognised_and_what_is_right_is_left_alone() {
        let lookup = Lookup::without_files(&|name| (name == "EMPTY").then(|| "".into()));
        for (word, hint) in [
            ("#status=200", "a blank stands before `#`"),
            ("http://app/ #status=200", "a blank stands before its `#`"),
            ("db:5432 #timeout=3s", "a blank stands before its `#`"),
            ("http://a/x,http://b/y", "spaces"),
            ("http://a/x,redis:6379", "spaces"),
            ("http://a/x,", "spaces"),
            ("http//app", "write http://"),
            ("db=${EMPTY}", "the variable EMPTY is empty; `${EMPTY:-}`"),
            ("http://${EMPTY}/health", "the variable EMPTY is empty; `${EMPTY:-HOST}`"),
            ("db=postgres://app:${PW}@${EMPTY}:5432/app", "the variable EMPTY is empty; `${EMPTY:-HOST}`"),
            ("${EMPTY}:5432", "the variable EMPTY is empty; `${EMPTY:-HOST}`"),
        ] {
            let found = recognised(word, &lookup).unwrap_or_else(|| panic!("{word} is not recognised"));
            assert!(found.contains(hint), "{word}: {found}");
        }
        for word in [
            "http://app/a,b#status=200,204",
            "http://app/x?list=a,b:80",
            "exec:check a b #exit=0,3",
            "host=db user=app #query=select 1",
            "Host=db;Username=app #timeout=3s",
            "postgres://app:a b@db/app",
            "nats://a:1,nats://b:2",
            "postgresql+asyncpg://app:x@db/app",
            "mongodb+srv://app:x@cluster.example/",
            "${DB}",
            "http://${EMPTY}app/",
            "redis://:${EMPTY}@cache",
            "http://app/${EMPTY}#body=a://${EMPTY}",
        ] {
            assert_eq!(recognised(word, &lookup), None, "{word}");
        }
    }
}
