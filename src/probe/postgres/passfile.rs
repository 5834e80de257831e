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
/// matches anything and `\` escapes `:` and `\`. The file is bytes, as a password is to the server.
pub fn password(content: &[u8], key: Key<'_>) -> Option<Secret> {
    let port = key.port.to_string();
    let lines = content.split(|&byte| byte == b'\n').map(|line| line.strip_suffix(b"\r").unwrap_or(line));
    lines.filter(|line| !line.starts_with(b"#")).find_map(|line| {
        let mut rest = line;
        for wanted in [key.host, &port, key.database, key.user] {
            let (field, escaped, tail) = split_field(rest)?;
            if !(field == wanted.as_bytes() || field == b"*" && !escaped) {
                return None;
            }
            rest = tail;
        }
        let password = split_field(rest).map_or_else(|| unescape_to_end(rest), |(password, ..)| password);
        (!password.is_empty()).then(|| Secret::new(password))
    })
}

/// The field before the next `:` that is not escaped, whether it held an escape, and the rest.
fn split_field(text: &[u8]) -> Option<(Vec<u8>, bool, &[u8])> {
    let mut field = Vec::new();
    let mut escaped = false;
    let mut bytes = text.iter().enumerate();
    while let Some((index, &byte)) = bytes.next() {
        match byte {
            b':' => return Some((field, escaped, &text[index + 1..])),
            b'\\' => {
                escaped = true;
                field.extend(bytes.next().map(|(_, next)| *next));
            }
            other => field.push(other),
        }
    }
    None
}

fn unescape_to_end(text: &[u8]) -> Vec<u8> {
    let mut field = Vec::new();
    let mut bytes = text.iter();
    while let Some(&byte) = bytes.next() {
        match byte {
            b'\\' => field.extend(bytes.next()),
            other => field.push(other),
        }
    }
    field
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const KEY: Key<'_> = Key { host: "db", port: 5432, database: "app", user: "me" };

    fn found(content: &str) -> Option<String> {
        password(content.as_bytes(), KEY).map(|secret| secret.expose().to_owned())
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
        assert!(password(b"\\:\\:1:5432:app:me:x", key).is_some());
    }

    #[test]
    fn a_line_that_is_no_text_hides_no_other_and_is_a_password_itself() {
        let content = b"# p\xe4ss\nelsewhere:*:*:*:\xe4\r\ndb:5432:app:me:p\xe4ss\r\n";
        assert_eq!(password(content, KEY), Some(Secret::new(b"p\xe4ss".to_vec())));
    }

    proptest! {
        #[test]
        fn arbitrary_files_never_panic(content: Vec<u8>) {
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
