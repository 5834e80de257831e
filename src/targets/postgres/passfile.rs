//! The password file ("The Password File" in libpq's manual).

use crate::secret::Secret;

/// The key of a password.
#[derive(Debug, Clone, Copy)]
pub(crate) struct PassfileKey<'a> {
    /// The host as it was written; `localhost` for the default socket directory.
    pub(crate) host: &'a str,
    /// The port.
    pub(crate) port: u16,
    /// The database.
    pub(crate) database: &'a str,
    /// The role.
    pub(crate) user: &'a str,
}

/// The password of the first line that matches: `host:port:database:user:password`, where `*`
/// matches anything and `\` escapes `:` and `\`. The file is bytes, as a password is to the server.
pub(crate) fn password(content: &[u8], key: PassfileKey<'_>) -> Option<Secret> {
    let port = key.port.to_string();
    let lines = content.split(|&byte| byte == b'\n').map(|line| line.strip_suffix(b"\r").unwrap_or(line));
    lines.filter(|line| !line.starts_with(b"#")).find_map(|line| {
        let mut rest = line;
        for wanted in [key.host, &port, key.database, key.user] {
            let (field, escaped, tail) = split_field(rest);
            if !(field == wanted.as_bytes() || field == b"*" && !escaped) {
                return None;
            }
            rest = tail?;
        }
        let (password, ..) = split_field(rest);
        (!password.is_empty()).then(|| Secret::new(password))
    })
}

/// The field up to the next `:` that is not escaped, whether it held an escape, and what stands behind the `:`.
fn split_field(text: &[u8]) -> (Vec<u8>, bool, Option<&[u8]>) {
    let mut field = Vec::new();
    let mut escaped = false;
    let mut bytes = text.iter().enumerate();
    while let Some((index, &byte)) = bytes.next() {
        match byte {
            b':' => return (field, escaped, Some(&text[index + 1..])),
            b'\\' => {
                escaped = true;
                field.extend(bytes.next().map(|(_, next)| *next));
            }
            other => field.push(other),
        }
    }
    (field, escaped, None)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const KEY: PassfileKey<'_> = PassfileKey { host: "db", port: 5432, database: "app", user: "me" };

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
        let key = PassfileKey { host: "::1", ..KEY };
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
