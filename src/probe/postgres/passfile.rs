//! The password file ("The Password File" in libpq's manual).

use crate::secret::Secret;

/// What a password is looked up by.
#[derive(Debug, Clone, Copy)]
pub struct Key<'a> {
    /// The host as it was written; `localhost` for the default socket directory.
    pub host: &'a str,
    /// The port.
    pub port: u16,
    /// The database.
    pub database: &'a str,
    /// The role.
    pub user: &'a str,
}

/// The password of the first line that matches: `host:port:database:user:password`, where `*`
/// matches anything and `\` escapes `:` and `\`.
pub fn password(content: &str, key: Key<'_>) -> Option<Secret> {
    let port = key.port.to_string();
    content.lines().filter(|line| !line.starts_with('#')).find_map(|line| {
        let mut rest = line;
        for wanted in [key.host, &port, key.database, key.user] {
            let (field, escaped, tail) = split_field(rest)?;
            if !(field == wanted || field == "*" && !escaped) {
                return None;
            }
            rest = tail;
        }
        let (password, _, _) = split_field(rest).unwrap_or_else(|| unescape_to_end(rest));
        (!password.is_empty()).then(|| Secret::new(password))
    })
}

/// The field before the next `:` that is not escaped, whether it held an escape, and the rest.
fn split_field(text: &str) -> Option<(String, bool, &str)> {
    let mut field = String::new();
    let mut escaped = false;
    let mut chars = text.char_indices();
    while let Some((index, c)) = chars.next() {
        match c {
            ':' => return Some((field, escaped, &text[index + 1..])),
            '\\' => {
                escaped = true;
                if let Some((_, next)) = chars.next() {
                    field.push(next);
                }
            }
            other => field.push(other),
        }
    }
    None
}

fn unescape_to_end(text: &str) -> (String, bool, &str) {
    let mut field = String::new();
    let mut chars = text.chars();
    while let Some(c) = chars.next() {
        match c {
            '\\' => field.extend(chars.next()),
            other => field.push(other),
        }
    }
    (field, false, "")
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const KEY: Key<'_> = Key { host: "db", port: 5432, database: "app", user: "me" };

    fn found(content: &str) -> Option<String> {
        password(content, KEY).map(|secret| secret.expose().to_owned())
    }

    #[test]
    fn the_first_matching_line_wins() {
        for (content, expected) in [
            ("db:5432:app:me:secret", Some("secret")),
            ("# db:5432:app:me:no\n*:*:*:*:any\ndb:5432:app:me:late", Some("any")),
            ("other:5432:app:me:x\ndb:*:app:me:right\n", Some("right")),
            ("db:5432:app:me:a\\:b\\\\c", Some("a:b\\c")),
            ("db:5432:app:me:a:b", Some("a")),
            ("\\*:5432:app:me:x", None),
            ("db:5433:app:me:x", None),
            ("db:5432:app:me:", None),
            ("db:5432:app", None),
            ("", None),
        ] {
            assert_eq!(found(content).as_deref(), expected, "{content}");
        }
    }

    #[test]
    fn a_host_with_colons_is_escaped() {
        let key = Key { host: "::1", ..KEY };
        assert!(password("\\:\\:1:5432:app:me:x", key).is_some());
    }

    proptest! {
        #[test]
        fn arbitrary_files_never_panic(content: String) {
            drop(password(&content, KEY));
        }

        #[test]
        fn every_password_comes_back(password in "[^\\r\\n\\x00]{1,30}") {
            let escaped = password.replace('\\', "\\\\").replace(':', "\\:");
            let content = format!("db:5432:app:me:{escaped}");
            prop_assert_eq!(found(&content), Some(password));
        }
    }
}
