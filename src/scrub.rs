//! Takes secrets out of what a peer said: it may repeat what it was sent, whole or in part, and in an encoding
//! of its own. Pure.

use std::ops::Range;

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD_NO_PAD, URL_SAFE_NO_PAD};

use crate::secret::Secret;
use crate::text::is_unprintable;

/// The text in a secret's place.
const HIDDEN: &str = "***";
/// Shorter secrets are hidden only where they stand in quotes: replacing `a` or `db` everywhere would garble
/// every message, and tell more than it hides.
const SHORT: usize = 4;
/// A piece of a secret of this many characters is hidden where the peer has cut it.
const PIECE: usize = 8;
/// A piece of this many characters is hidden wherever it stands.
const LONG_PIECE: usize = 16;
/// The most characters of a secret that are looked for; longer ones are hidden by the pieces.
const MAX_LOOKED_FOR: usize = 4096;

/// The words before a name in a server's message: what follows is shown, even if a secret is the same.
const INTRODUCTIONS: [&str; 22] = [
    "user", "username", "role", "login", "account", "database", "db", "dbname", "schema", "relation", "table",
    "column", "index", "view", "sequence", "function", "vhost", "queue", "topic", "host", "server", "port",
];

/// The secrets that are looked for.
#[derive(Debug, Default)]
pub(crate) struct Needles {
    needles: Vec<Needle>,
    /// Users, databases, hosts, ports, and the names in a statement.
    names: Vec<String>,
}

#[derive(Debug)]
struct Needle {
    /// As [`fold`] leaves it.
    chars: Vec<char>,
    /// The same in its own case.
    cased: Vec<char>,
    /// Whether a piece of it is hidden as well.
    in_pieces: bool,
    /// The places of its runs of [`PIECE`] characters, in the order of the runs; of the same ones, the first is first.
    runs: Vec<usize>,
}

impl Needles {
    /// Whether nothing is looked for.
    pub(crate) fn is_empty(&self) -> bool {
        self.needles.is_empty()
    }

    /// A password, a token, a header's value.
    pub(crate) fn add_value(&mut self, secret: &Secret) {
        let bytes = secret.expose_bytes();
        self.add(bytes, true);
        self.add_base64(bytes);
        self.add_hex(bytes);
        // `Bearer TOKEN`, `Basic BASE64`: a peer may repeat what is behind the first word.
        let token = bytes.iter().position(|byte| *byte == b' ').map_or(&[][..], |at| &bytes[at + 1..]);
        self.add(token, true);
        let is_padding = |byte: &u8| *byte == b'=';
        let unpadded = &token[..token.iter().position(is_padding).unwrap_or(token.len())];
        if let Ok(userinfo) = STANDARD_NO_PAD.decode(unpadded)
            && let Some(colon) = userinfo.iter().position(|byte| *byte == b':')
        {
            self.add(&userinfo[colon + 1..], true);
        }
    }

    /// A text whose pieces are no secrets.
    pub(crate) fn add_text(&mut self, text: &Secret) {
        self.add(text.expose_bytes(), false);
    }

    /// A statement: its literals are secrets; the names in it are not, and an error about them is of use.
    pub(crate) fn add_sql(&mut self, sql: &Secret) {
        let bytes = sql.expose_bytes();
        self.add(bytes, false);
        let text = String::from_utf8_lossy(bytes);
        let (literals, names) = sql_words(&text);
        for literal in literals {
            self.add(literal.as_bytes(), true);
        }
        for name in &names {
            self.add_name(name);
        }
    }

    /// A user, a database, a host or a port, which is shown in its own place though a secret be the same: in what this
    /// program says itself, and where a server says what it is.
    pub(crate) fn add_name(&mut self, name: &str) {
        if !name.is_empty() && !self.names.iter().any(|known| known == name) {
            self.names.push(name.to_owned());
        }
    }

    /// Where names stand in their own places.
    fn places(&self, text: &str) -> Vec<Range<usize>> {
        let is_part = |c: char| c.is_alphanumeric() || c == '_';
        let mut places = Vec::new();
        for name in &self.names {
            for (at, _) in text.match_indices(name.as_str()) {
                let (before, behind) = (&text[..at], &text[at + name.len()..]);
                let is_whole = !before.ends_with(is_part) && !behind.starts_with(is_part);
                if is_whole && (is_ours(before) || is_introduced(before)) {
                    places.push(at..at + name.len());
                }
            }
        }
        places
    }

    fn add(&mut self, bytes: &[u8], in_pieces: bool) {
        let text = String::from_utf8_lossy(bytes);
        let folded = fold(text.char_indices().map(|(at, c)| Unit::new(c, at..at)));
        let is_blank = |unit: &Unit| unit.c == ' ';
        let start = folded.iter().take_while(|unit| is_blank(unit)).count();
        let end = folded.iter().rposition(|unit| !is_blank(unit)).map_or(start, |at| at + 1);
        let trimmed = folded[start..end].iter().take(MAX_LOOKED_FOR);
        let (chars, cased): (Vec<char>, Vec<char>) = trimmed.map(|unit| (unit.c, unit.cased)).unzip();
        if chars.is_empty() || self.needles.iter().any(|needle| needle.cased == cased) {
            return;
        }
        let mut runs = Vec::new();
        if in_pieces && chars.len() > PIECE {
            runs.extend(0..=chars.len() - PIECE);
            runs.sort_by_key(|&at| &chars[at..at + PIECE]);
        }
        self.needles.push(Needle { chars, cased, in_pieces, runs });
    }

    /// Base64 as it stands at any place of a longer text: the characters that hold bits of what is around it
    /// are left out.
    fn add_base64(&mut self, bytes: &[u8]) {
        if bytes.len() < SHORT {
            return;
        }
        for offset in 0..3 {
            let shifted = [&[0; 3][..offset], bytes].concat();
            let (start, end) = ((offset * 8).div_ceil(6), shifted.len() * 8 / 6);
            for encoded in [STANDARD_NO_PAD.encode(&shifted), URL_SAFE_NO_PAD.encode(&shifted)] {
                self.add(&encoded.as_bytes()[start..end], true);
                self.add(&encoded.as_bytes()[start..], true);
            }
        }
    }

    /// Two digits a byte, as databases show bytes.
    fn add_hex(&mut self, bytes: &[u8]) {
        if bytes.len() >= SHORT {
            let digits: Vec<u8> = bytes.iter().flat_map(|byte| format!("{byte:02x}").into_bytes()).collect();
            self.add(&digits, true);
        }
    }

    /// `text` without them.
    pub(crate) fn hide(&self, text: &str) -> String {
        if self.is_empty() {
            return text.to_owned();
        }
        // Whether each byte is hidden.
        let mut hidden = vec![false; text.len()];
        let places = self.places(text);
        for view in views(text) {
            for needle in &self.needles {
                needle.find(&view, &places, &mut hidden);
            }
        }
        let mut out = String::with_capacity(text.len());
        for (at, c) in text.char_indices() {
            if !hidden[at] {
                out.push(c);
            } else if at == 0 || !hidden[at - 1] {
                out.push_str(HIDDEN);
            }
        }
        out
    }
}

impl Needle {
    fn find(&self, view: &[Unit], places: &[Range<usize>], hidden: &mut [bool]) {
        let mut at = 0;
        while at < view.len() {
            let length = self.length_at(view, at);
            match length {
                0 => at += 1,
                _ => {
                    let found = &view[at..at + length];
                    let is_shown = |unit: &&Unit| unit.c != ' ';
                    if let (Some(first), Some(last)) = (found.iter().find(is_shown), found.iter().rfind(is_shown)) {
                        let is_in = |place: &Range<usize>| place.start <= first.start && last.end <= place.end;
                        if !places.iter().any(is_in) {
                            hidden[first.start..last.end].fill(true);
                        }
                    }
                    at += length;
                }
            }
        }
    }

    /// How many characters from `at` on are to be hidden.
    fn length_at(&self, view: &[Unit], at: usize) -> usize {
        let common = |from: usize| self.chars[from..].iter().zip(&view[at..]).take_while(|(a, b)| **a == b.c).count();
        let whole = self.chars.len();
        if common(0) == whole {
            let (before, behind) = (at.checked_sub(1).and_then(|at| view.get(at)), view.get(at + whole));
            // `wrong` is no part of WRONGPASS.
            let in_its_case = self.cased.iter().zip(&view[at..]).all(|(a, b)| *a == b.cased);
            let is_word = || ![before, behind].into_iter().flatten().any(|unit| unit.c.is_ascii_alphanumeric());
            let is_found = match whole {
                PIECE.. => true,
                SHORT.. => in_its_case || is_word(),
                _ => is_cut(before) && is_cut(behind),
            };
            return if is_found { whole } else { 0 };
        }
        if !self.in_pieces || whole <= PIECE || view.len() - at < PIECE {
            return 0;
        }
        let run = view[at..at + PIECE].iter().map(|unit| unit.c);
        let is_before = |from: &usize| self.chars[*from..*from + PIECE].iter().copied().lt(run.clone());
        let Some(&from) = self.runs.get(self.runs.partition_point(is_before)) else { return 0 };
        let length = common(from);
        if length < PIECE {
            return 0;
        }
        let begins_or_ends = from == 0 || from + length == whole;
        let before = at.checked_sub(1).and_then(|at| view.get(at));
        let at_cut = is_cut(before) || is_cut(view.get(at + length));
        if begins_or_ends || at_cut || length >= LONG_PIECE { length } else { 0 }
    }
}

/// Whether a peer's quotation may begin or end here: at the end of the text, a quotation mark or dots.
fn is_cut(neighbour: Option<&Unit>) -> bool {
    neighbour.is_none_or(|unit| {
        is_mark(unit.c)
            || matches!(
                unit.c,
                '"' | '\'' | '`' | '.' | '…' | '(' | ')' | '<' | '>' | '[' | ']' | '\u{2018}'..='\u{201f}'
            )
    })
}

/// Whether what follows `before` is no excerpt of what a peer said.
fn is_ours(before: &str) -> bool {
    let (open, close) = (before.rfind(crate::text::OPEN), before.rfind(crate::text::CLOSE));
    open <= close
}

/// Whether a name is due after `before`: `user "`, `'app'@'`, `(database `.
fn is_introduced(before: &str) -> bool {
    let before = before.trim_end_matches(|c: char| {
        matches!(c, '"' | '\'' | '`' | '=' | ':' | ' ') || ('\u{2018}'..='\u{201f}').contains(&c)
    });
    let start = before
        .rfind(|c: char| !c.is_ascii_alphanumeric())
        .map_or(0, |at| at + before[at..].chars().next().map_or(1, char::len_utf8));
    before.ends_with('@') || INTRODUCTIONS.iter().any(|word| word.eq_ignore_ascii_case(&before[start..]))
}

/// The marks of an excerpt, see [`crate::text::excerpt`].
fn is_mark(c: char) -> bool {
    matches!(c, crate::text::OPEN | crate::text::CLOSE)
}

/// A character as it is compared, and the bytes of the text that it comes from.
#[derive(Debug, Clone, Copy)]
struct Unit {
    c: char,
    /// In its own case.
    cased: char,
    start: usize,
    end: usize,
}

impl Unit {
    fn new(c: char, Range { start, end }: Range<usize>) -> Self {
        Self { c, cased: c, start, end }
    }
}

/// The text as it stands, and decoded in each way that it may be encoded.
fn views(text: &str) -> Vec<Vec<Unit>> {
    let mut views = vec![fold(text.char_indices().map(|(at, c)| Unit::new(c, at..at + c.len_utf8())))];
    for (sign, decode) in [('%', percent as Decode), ('\\', backslash), ('\'', doubled), ('&', entity)] {
        if text.contains(sign) {
            views.push(fold(decoded(text, decode).into_iter()));
        }
    }
    views
}

/// Reads an encoded character at the beginning of a text: what it stands for, and how long it is.
type Decode = fn(&str) -> Option<(Decoding, usize)>;

enum Decoding {
    Byte(u8),
    Char(char),
}

/// `%2F` (RFC 3986, section 2.1)
fn percent(rest: &str) -> Option<(Decoding, usize)> {
    let hex = rest.strip_prefix('%')?.get(..2)?;
    Some((Decoding::Byte(u8::from_str_radix(hex, 16).ok()?), 3))
}

/// `\n`, `\"`, `\u00e9`, `\xff`
fn backslash(rest: &str) -> Option<(Decoding, usize)> {
    let rest = rest.strip_prefix('\\')?;
    let hex = |length: usize| rest.get(1..=length).and_then(|digits| u32::from_str_radix(digits, 16).ok());
    let c = match rest.chars().next()? {
        'u' => {
            let high = hex(4)?;
            if (0xd800..0xdc00).contains(&high) {
                let low = u32::from_str_radix(rest.get(5..)?.strip_prefix("\\u")?.get(..4)?, 16).ok()?;
                let joined = 0x1_0000 + ((high - 0xd800) << 10) + low.checked_sub(0xdc00)?;
                return Some((Decoding::Char(char::from_u32(joined)?), 12));
            }
            return Some((Decoding::Char(char::from_u32(high)?), 6));
        }
        'x' => return Some((Decoding::Byte(u8::try_from(hex(2)?).ok()?), 4)),
        'n' | 'r' | 't' | 'b' | 'f' | 'v' | 'a' | '0' => ' ',
        c if c.is_ascii_punctuation() => c,
        _ => return None,
    };
    Some((Decoding::Char(c), 2))
}

/// `''`, as SQL writes an apostrophe.
fn doubled(rest: &str) -> Option<(Decoding, usize)> {
    rest.starts_with("''").then_some((Decoding::Char('\''), 2))
}

/// `&amp;`, `&#39;`, `&#x27;`, as HTML's escaping writes a character.
fn entity(rest: &str) -> Option<(Decoding, usize)> {
    const LONGEST: usize = 10;
    let inside = rest.strip_prefix('&')?;
    let name = &inside[..inside.bytes().take(LONGEST).position(|byte| byte == b';')?];
    let c = match (name, name.strip_prefix('#')) {
        ("amp", _) => '&',
        ("lt", _) => '<',
        ("gt", _) => '>',
        ("quot", _) => '"',
        ("apos", _) => '\'',
        (_, Some(number)) => {
            let hex = number.strip_prefix(['x', 'X']);
            let code = hex.map_or_else(|| number.parse(), |hex| u32::from_str_radix(hex, 16));
            char::from_u32(code.ok()?)?
        }
        _ => return None,
    };
    Some((Decoding::Char(c), name.len() + 2))
}

fn decoded(text: &str, decode: Decode) -> Vec<Unit> {
    // Bytes first: one character may be several of them, each encoded by itself.
    let (mut bytes, mut places) = (Vec::new(), Vec::new());
    let mut at = 0;
    while let Some(c) = text[at..].chars().next() {
        let (unit, length) = decode(&text[at..]).unwrap_or((Decoding::Char(c), c.len_utf8()));
        match unit {
            Decoding::Byte(byte) => bytes.push(byte),
            Decoding::Char(c) => bytes.extend_from_slice(c.encode_utf8(&mut [0; 4]).as_bytes()),
        }
        places.resize(bytes.len(), at..at + length);
        at += length;
    }
    let mut units = Vec::with_capacity(bytes.len());
    let mut from = 0;
    for chunk in bytes.utf8_chunks() {
        for (at, c) in chunk.valid().char_indices() {
            let (first, last) = (from + at, from + at + c.len_utf8() - 1);
            units.push(Unit::new(c, places[first].start..places[last].end));
        }
        from += chunk.valid().len();
        if let [_, ..] = chunk.invalid() {
            let last = from + chunk.invalid().len() - 1;
            units.push(Unit::new(char::REPLACEMENT_CHARACTER, places[from].start..places[last].end));
            from = last + 1;
        }
    }
    units
}

/// In lower case, and each run of what is white, invisible or a form's `+` as one blank.
fn fold(units: impl Iterator<Item = Unit>) -> Vec<Unit> {
    let mut out: Vec<Unit> = Vec::new();
    for unit in units {
        let is_blank = !is_mark(unit.c) && (unit.c.is_whitespace() || unit.c == '+' || is_unprintable(unit.c));
        match out.last_mut() {
            Some(last) if is_blank && last.c == ' ' => last.end = unit.end,
            _ if is_blank => out.push(Unit { c: ' ', cased: ' ', ..unit }),
            _ => out.push(Unit { c: lower_case(unit.c), ..unit }),
        }
    }
    out
}

/// The lower case of a character, always one character: of `İ`, the only one that has two, the first.
fn lower_case(c: char) -> char {
    c.to_lowercase().next().unwrap_or(c)
}

/// Whether it may be part of a word.
fn is_of_a_word(c: char) -> bool {
    c.is_ascii_alphanumeric() || !c.is_ascii()
}

/// The literals of a statement, which are strings in quotes or dollars, and numbers; and the names in it. Where the
/// quotes do not come out even, each word may be part of a literal.
fn sql_words(sql: &str) -> (Vec<String>, Vec<String>) {
    let mut names = String::new();
    let mut literals: Vec<String> = sql
        .split(|c: char| !is_of_a_word(c))
        .filter(|word| word.len() >= SHORT && word.starts_with(|c: char| c.is_ascii_digit()))
        .map(str::to_owned)
        .collect();
    let mut rest = sql;
    while let Some(at) = rest.find(['\'', '$']) {
        names.push_str(&rest[..at]);
        names.push(' ');
        let quote = &rest[at..];
        let delimiter = if quote.starts_with('\'') {
            "'"
        } else {
            // `$$` or `$tag$`; `$1` is a parameter.
            match quote[1..].find(|c: char| !is_of_a_word(c) && c != '_') {
                Some(end)
                    if quote[1 + end..].starts_with('$') && !quote[1..].starts_with(|c: char| c.is_ascii_digit()) =>
                {
                    &quote[..end + 2]
                }
                _ => {
                    rest = &quote[1..];
                    continue;
                }
            }
        };
        let inside = &quote[delimiter.len()..];
        match end_of_literal(inside, delimiter) {
            Some(end) => {
                literals.push(inside[..end].replace("''", "'"));
                rest = &inside[end + delimiter.len()..];
            }
            None => {
                literals.push(inside.to_owned());
                literals.extend(sql.split(|c: char| !is_of_a_word(c)).map(str::to_owned));
                return (literals, Vec::new());
            }
        }
    }
    names.push_str(rest);
    let is_name = |word: &&str| word.starts_with(|c: char| !c.is_ascii_digit());
    let names = names.split(|c: char| !is_of_a_word(c) && c != '_').filter(is_name).map(str::to_owned);
    (literals, names.collect())
}

/// Where a literal ends; `''` within it is an apostrophe.
fn end_of_literal(inside: &str, delimiter: &str) -> Option<usize> {
    let mut from = 0;
    loop {
        let end = from + inside[from..].find(delimiter)?;
        if delimiter != "'" || !inside[end + 1..].starts_with('\'') {
            return Some(end);
        }
        from = end + 2;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn scrub(text: &str, secrets: &[&Secret]) -> String {
        let mut needles = Needles::default();
        for secret in secrets {
            needles.add_value(secret);
        }
        needles.hide(text)
    }
    use proptest::prelude::*;

    fn scrubbed(text: &str, secret: &str) -> String {
        scrub(text, &[&Secret::new(secret)])
    }

    #[test]
    fn a_secret_is_hidden_however_it_is_repeated() {
        const SECRET: &str = "p@ss/wörd \"1\"";
        for text in [
            "p@ss/wörd \"1\"",
            "P@SS/WÖRD \"1\"",
            "p%40ss%2Fw%C3%B6rd%20%221%22",
            "p%40ss/w%c3%b6rd+%221%22",
            r#"p@ss/wörd \"1\""#,
            r#"p@ss\/w\u00f6rd \"1\""#,
            r#"p@ss/w\xc3\xb6rd \"1\""#,
            "cEBzcy93w7ZyZCAiMSI=",
            "cEBzcy93w7ZyZCAiMSI",
            "p@ss/wörd &quot;1&quot;",
            "p&#64;ss&#x2F;w&#xf6;rd &#34;1&#34;",
            "704073732f77c3b6726420223122",
            "704073732F77C3B6726420223122",
        ] {
            assert_eq!(scrubbed(&format!("no {text} here"), SECRET).replace('=', ""), "no *** here", "{text}");
        }
        // Within Basic credentials, whatever the length of the user's name.
        for (user, basic) in [("a", "YTpwQHNzL3fDtnJkICIxIg=="), ("ab", "YWI6cEBzcy93w7ZyZCAiMSI=")] {
            let out = scrubbed(basic, SECRET);
            assert!(out.contains("***") && !out.contains("HNzL3"), "{user}: {out}");
        }
    }

    #[test]
    fn what_a_peer_has_cut_is_hidden_from_eight_characters_on() {
        const SECRET: &str = "correct-horse-battery-staple";
        for (text, expected) in [
            (
                "ERR unknown command 'AUTH', with args beginning with: 'correct-ho' ",
                "ERR unknown command 'AUTH', with args beginning with: '***' ",
            ),
            ("…ry-staple is wrong", "…*** is wrong"),
            ("got `horse-bat`", "got `***`"),
            ("got orrect-horse-batter there", "got *** there"),
            ("the battery is low", "the battery is low"),
        ] {
            assert_eq!(scrubbed(text, SECRET), expected);
        }
    }

    #[test]
    fn a_secret_that_is_no_text_is_found_as_it_is_shown() {
        let echo = String::from_utf8_lossy(b"bad password p\xe4ssword").into_owned();
        assert_eq!(scrub(&echo, &[&Secret::new(b"p\xe4ssword".to_vec())]), "bad password ***");
    }

    #[test]
    fn white_space_and_control_characters_may_have_been_replaced() {
        for text in ["x one two y", "x one  two y", "x one\r\ntwo y", "x one\\r\\ntwo y", "x one%0d%0Atwo y"] {
            assert_eq!(scrubbed(text, "one\r\ntwo"), "x *** y", "{text:?}");
        }
        assert_eq!(scrubbed("x some y", "\r\nsome\n"), "x *** y");
    }

    #[test]
    fn a_short_secret_does_not_garble_what_looks_like_it() {
        assert_eq!(scrubbed("WRONGPASS invalid, 'Wrong'", "wrong"), "WRONGPASS invalid, '***'");
        assert_eq!(scrubbed("wrongly", "wrong"), "***ly");
        assert_eq!(scrubbed("a database", "a"), "a database");
        assert_eq!(scrubbed("user `db`, password 'abc'", "abc"), "user `db`, password '***'");
    }

    #[test]
    fn the_parts_of_a_headers_value_are_secret_too() {
        assert_eq!(scrubbed("bad token t0kenvalue", "Bearer t0kenvalue"), "bad token ***");
        assert_eq!(scrubbed("bad password open sesame", "Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ=="), "bad password ***");
    }

    #[test]
    fn the_literals_of_a_statement_are_secret_and_its_names_are_not() {
        let hide = |sql: &str, text: &str| {
            let mut needles = Needles::default();
            needles.add_sql(&Secret::new(sql));
            needles.hide(text)
        };
        let sql = "select 1 from migrations where token = 'it''s hunter2' and n > 123456 and x = $q$dollars$q$";
        assert_eq!(
            hide(sql, r#"relation "migrations" does not exist (42P01)"#),
            r#"relation "migrations" does not exist (42P01)"#
        );
        assert_eq!(
            hide(sql, r#"invalid input syntax for type integer: "it's hunter2""#),
            r#"invalid input syntax for type integer: "***""#
        );
        assert_eq!(hide(sql, "near \"it''s hunter2\""), "near \"***\"");
        assert_eq!(hide(sql, "near 'dollars', 123456"), "near '***', ***");
        assert_eq!(hide("select 'abc'::int", "integer: \"abc\""), "integer: \"***\"");
        // A quote too many: what is outside was meant to be inside, or the reverse.
        assert_eq!(hide("select 'it's hunter2'", "syntax error at or near \"s\""), "syntax error at or near \"***\"");
        assert_eq!(hide("select 'it's hunter2'", "at or near \"hunter2\""), "at or near \"***\"");
        assert_eq!(hide("select $1", "there is no parameter $1"), "there is no parameter $1");
        assert_eq!(hide(sql, &format!("bad: {sql}!")), "bad: ***!");
    }

    #[test]
    fn a_secret_is_found_in_another_case_of_any_script() {
        for (secret, echo) in [
            ("пароль-ключ", "ПАРОЛЬ-КЛЮЧ"),
            ("ΚΩΔΙΚΟΣΑΒ", "κωδικοσαβ"),
            ("խաղողխաղող", "ԽԱՂՈՂԽԱՂՈՂ"),
            ("ⴀⴁⴂⴃⴄⴅⴆⴇ", "ႠႡႢႣႤႥႦႧ"),
            ("𐐨𐐩𐐪𐐫𐐬𐐭𐐮𐐯", "𐐀𐐁𐐂𐐃𐐄𐐅𐐆𐐇"),
        ] {
            assert_eq!(scrubbed(&format!("no {echo} here"), secret), "no *** here");
        }
    }

    #[test]
    fn a_name_is_shown_in_its_own_place_though_a_secret_be_the_same() {
        use crate::text::excerpt;
        let hide = |text: &str| {
            let mut needles = Needles::default();
            needles.add_value(&Secret::new("postgres"));
            needles.add_sql(&Secret::new("select 1 from postgres_migrations where v = 'hunter2'"));
            for name in ["postgres", "db.example", "5432"] {
                needles.add_name(name);
            }
            needles.hide(text).replace(['\u{2}', '\u{3}'], "")
        };
        for shown in [
            "logged in as postgres to the database postgres".to_owned(),
            "connection refused by postgres:5432: nothing listens there yet".to_owned(),
            excerpt(r#"relation "postgres_migrations" does not exist"#),
            excerpt(r#"role "postgres" does not exist"#),
            excerpt(r#"no pg_hba.conf entry for host "postgres", user "postgres", database "postgres", no encryption"#),
            excerpt("Access denied for user 'postgres'@'postgres' (using password: YES)"),
            excerpt("Table 'postgres.x' doesn't exist"),
        ] {
            assert_eq!(hide(&shown), shown.replace(['\u{2}', '\u{3}'], ""));
        }
        for (text, expected) in [
            (excerpt("wrong password 'postgres'"), "wrong password '***'"),
            (excerpt("got postgres"), "got ***"),
            (excerpt("user with postgres"), "user with ***"),
            ("the master at xpostgres:1".to_owned(), "the master at x***:1"),
            (excerpt(r#"user "postgres-secret""#), r#"user "postgres-secret""#),
            (excerpt(r#"relation "hunter2""#), r#"relation "***""#),
        ] {
            assert_eq!(hide(&text), expected, "{text}");
        }
        let mut needles = Needles::default();
        needles.add_value(&Secret::new("app-secret"));
        needles.add_name("app");
        assert_eq!(needles.hide("logged in as app with app-secret"), "logged in as app with ***");
    }

    #[test]
    fn a_long_text_full_of_a_repetitive_secret_takes_no_time() {
        let secret = "a".repeat(3000) + "b";
        assert!(!scrubbed(&"a".repeat(4096), &secret).contains("aaaaaaaa"));
    }

    fn percent_encoded(text: &str) -> String {
        percent_encoding::utf8_percent_encode(text, percent_encoding::NON_ALPHANUMERIC).to_string()
    }

    proptest! {
        #[test]
        fn no_form_of_a_secret_is_left(
            secret in "[ -~äé\\r\\n\\t]{4,40}", before in "[a-z ]{0,9}", after in "[a-z ]{0,9}", form in 0..6usize,
        ) {
            prop_assume!(secret.trim().chars().count() >= 4);
            let core = fold(secret.trim().char_indices().map(|(at, c)| Unit::new(c, at..at)));
            prop_assume!(core.iter().filter(|unit| unit.c != ' ').count() >= 4);
            let shown = match form {
                0 => secret.clone(),
                1 => secret.to_uppercase(),
                2 => percent_encoded(&secret),
                3 => serde_json::to_string(&secret).unwrap(),
                4 => STANDARD_NO_PAD.encode(format!("user:{secret}")),
                _ => secret.split_whitespace().collect::<Vec<_>>().join(" "),
            };
            let out = scrubbed(&format!("{before} {shown} {after}"), &secret);
            prop_assert!(out.contains(HIDDEN), "{shown:?} → {out:?}");
            prop_assert!(!out.contains(secret.trim()), "{out:?}");
        }

        #[test]
        fn no_piece_of_eight_characters_is_left_at_a_cut(
            secret in "[!-&,-~]{9,200}", from in 0..200usize, length in 8..128usize,
        ) {
            let piece: String = secret.chars().skip(from).take(length).collect();
            prop_assume!(piece.chars().count() >= PIECE);
            let out = scrubbed(&format!("beginning with: '{piece}' "), &secret);
            prop_assert_eq!(out, "beginning with: '***' ");
        }

        #[test]
        fn any_text_is_taken(text in any::<String>(), secret in any::<String>()) {
            scrubbed(&text, &secret);
        }
    }
}
