//! What SCRAM makes of a password before it hashes it: `SASLprep` (RFC 4013), as far as passwords need it.
//!
//! ASCII stays as it is. Of the rest the whole of the mapping is done, and of the normalization (NFKC) what
//! keyboards and input methods produce: Latin compatibility characters, full-width forms, and letters with a
//! combining mark of their own. The tables for all of Unicode take 128 KB, a tenth of the executable.

/// The bytes that are hashed. As in libpq, a password that `SASLprep` prohibits, or that is not UTF-8, is taken
/// as it is.
pub fn prepared(password: &[u8]) -> Vec<u8> {
    let text = std::str::from_utf8(password).ok().filter(|text| !text.is_ascii());
    let normal = text.map(normalized).filter(|text| !text.is_empty() && !text.chars().any(is_prohibited));
    normal.map_or_else(|| password.to_vec(), String::into_bytes)
}

/// Whether another client might send other bytes: some character is of those whose normal form is not known
/// here.
pub fn is_uncertain(password: &[u8]) -> bool {
    let text = std::str::from_utf8(password).unwrap_or_default();
    !text.chars().any(is_prohibited) && !text.chars().all(is_known)
}

fn normalized(text: &str) -> String {
    let mut normal = String::with_capacity(text.len());
    for c in text.chars().filter_map(mapped) {
        match compatible(c) {
            Some(replacement) => normal.push_str(replacement),
            None if ('\u{ff01}'..='\u{ff5e}').contains(&c) => {
                // Full-width forms stand in ASCII's order.
                normal.extend(char::from_u32(u32::from(c) - 0xff01 + u32::from('!')));
            }
            None => match normal.chars().next_back().and_then(|base| composed(base, c)) {
                Some(whole) => {
                    normal.pop();
                    normal.push(whole);
                }
                None => normal.push(c),
            },
        }
    }
    normal
}

/// RFC 4013, section 2.1: spaces become a space (RFC 3454, table C.1.2), and some characters go (table B.1).
/// What is in both is a space, as libpq has it.
fn mapped(c: char) -> Option<char> {
    match c {
        '\u{a0}' | '\u{1680}' | '\u{2000}'..='\u{200b}' | '\u{202f}' | '\u{205f}' | '\u{3000}' => Some(' '),
        '\u{ad}'
        | '\u{34f}'
        | '\u{1806}'
        | '\u{180b}'..='\u{180d}'
        | '\u{200c}'
        | '\u{200d}'
        | '\u{2060}'
        | '\u{fe00}'..='\u{fe0f}'
        | '\u{feff}' => None,
        other => Some(other),
    }
}

/// RFC 4013, section 2.3, and what Unicode 3.2 had not assigned beyond the first plane (emoji, for one).
fn is_prohibited(c: char) -> bool {
    matches!(c,
        '\0'..='\u{1f}'
        | '\u{7f}'..='\u{9f}'
        | '\u{200e}' | '\u{200f}'
        | '\u{2028}'..='\u{202e}'
        | '\u{2061}'..='\u{206f}'
        | '\u{e000}'..='\u{f8ff}'
        | '\u{fff9}'..='\u{ffff}'
        | '\u{10000}'..='\u{1ffff}'
        | '\u{2fa1e}'..)
}

/// Characters whose normal form is known here: what is not ASCII and not listed is itself.
fn is_known(c: char) -> bool {
    matches!(c,
        '\0'..='\u{1c3}'
        | '\u{1cd}'..='\u{1f0}'
        | '\u{1f4}'..='\u{24f}'
        | '\u{391}'..='\u{3c9}'
        | '\u{400}'..='\u{481}'
        | '\u{48a}'..='\u{52f}'
        | '\u{5d0}'..='\u{5ea}'
        | '\u{621}'..='\u{63a}'
        | '\u{2010}' | '\u{2013}'..='\u{2016}' | '\u{2018}'..='\u{2022}' | '\u{2026}'
        | '\u{20a0}'..='\u{20a7}' | '\u{20a9}'..='\u{20ac}'
        | '\u{2122}'
        | '\u{3001}'..='\u{3029}'
        | '\u{3041}'..='\u{3096}'
        | '\u{30a0}'..='\u{30fe}'
        | '\u{4e00}'..='\u{9fff}'
        | '\u{ac00}'..='\u{d7a3}'
        | '\u{fb00}'..='\u{fb06}'
        | '\u{ff01}'..='\u{ff5e}')
        || mapped(c) != Some(c)
}

/// The compatibility characters of Latin, as NFKC takes them apart.
fn compatible(c: char) -> Option<&'static str> {
    Some(match c {
        '¨' => " \u{308}",
        'ª' => "a",
        '¯' => " \u{304}",
        '²' => "2",
        '³' => "3",
        '´' => " \u{301}",
        'µ' => "μ",
        '¸' => " \u{327}",
        '¹' => "1",
        'º' => "o",
        '¼' => "1\u{2044}4",
        '½' => "1\u{2044}2",
        '¾' => "3\u{2044}4",
        'Ĳ' => "IJ",
        'ĳ' => "ij",
        'Ŀ' => "L·",
        'ŀ' => "l·",
        'ŉ' => "ʼn",
        'ſ' => "s",
        '\u{2026}' => "...",
        '\u{2122}' => "TM",
        'ﬀ' => "ff",
        'ﬁ' => "fi",
        'ﬂ' => "fl",
        'ﬃ' => "ffi",
        'ﬄ' => "ffl",
        'ﬅ' | 'ﬆ' => "st",
        _ => return None,
    })
}

/// Combining marks, the letters that take them, and what comes of it, in the same order.
const COMPOSED: [(char, &str, &str); 11] = [
    ('\u{300}', "AEIOUNWYaeiounwy", "ÀÈÌÒÙǸẀỲàèìòùǹẁỳ"),
    ('\u{301}', "AEIOUYCLNRSZaeiouyclnrsz", "ÁÉÍÓÚÝĆĹŃŔŚŹáéíóúýćĺńŕśź"),
    ('\u{302}', "AEIOUCGHJSWYaeioucghjswy", "ÂÊÎÔÛĈĜĤĴŜŴŶâêîôûĉĝĥĵŝŵŷ"),
    ('\u{303}', "AEINOUYaeinouy", "ÃẼĨÑÕŨỸãẽĩñõũỹ"),
    ('\u{304}', "AEIOUaeiou", "ĀĒĪŌŪāēīōū"),
    ('\u{308}', "AEIOUYaeiouy", "ÄËÏÖÜŸäëïöüÿ"),
    ('\u{30a}', "AUau", "ÅŮåů"),
    ('\u{30b}', "OUou", "ŐŰőű"),
    ('\u{30c}', "ACDEGIKLNORSTUZacdegijklnorstuz", "ǍČĎĚǦǏǨĽŇǑŘŠŤǓŽǎčďěǧǐǰǩľňǒřšťǔž"),
    ('\u{327}', "CEGKLNRSTcegklnrst", "ÇȨĢĶĻŅŖŞŢçȩģķļņŗşţ"),
    ('\u{328}', "AEIOUaeiou", "ĄĘĮǪŲąęįǫų"),
];

fn composed(base: char, mark: char) -> Option<char> {
    let (_, bases, wholes) = COMPOSED.iter().find(|(known, ..)| *known == mark)?;
    bases.chars().zip(wholes.chars()).find(|(known, _)| *known == base).map(|(_, whole)| whole)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn text(password: &str) -> String {
        String::from_utf8(prepared(password.as_bytes())).unwrap()
    }

    #[test]
    fn what_is_normal_stays_as_it_is() {
        for password in
            ["", "user", "I\nX", "pässwörd", "ÀÉÎõü€ß", "日本語パスワード", "пароль", "비밀번호", "😀", "a\u{e000}"]
        {
            assert_eq!(text(password), password);
            assert!(!is_uncertain(password.as_bytes()), "{password}");
        }
        assert_eq!(prepared(b"p\xe4ss"), b"p\xe4ss");
    }

    // RFC 4013, section 3, and what a real server was seen to make of the others.
    #[test]
    fn what_is_not_is_made_so() {
        for (password, normal) in [
            ("I\u{ad}X", "IX"),
            ("\u{aa}", "a"),
            ("x\u{a0}y\u{ad}zſ", "x yzs"),
            ("ﬁ²µ½", "fi2μ1\u{2044}2"),
            ("Ａｂ１！", "Ab1!"),
            ("pa\u{308}sswo\u{308}rd", "pässwörd"),
            ("e\u{301}c\u{30c}", "éč"),
            ("´", " \u{301}"),
            // Prohibited, so that it stays as it is as a whole.
            ("x\u{a0}\u{7}", "x\u{a0}\u{7}"),
            ("\u{ad}", "\u{ad}"),
        ] {
            assert_eq!(text(password), normal, "{password}");
        }
        assert!(is_uncertain("①".as_bytes()));
    }

    #[test]
    fn every_letter_has_what_it_becomes() {
        for (mark, bases, wholes) in COMPOSED {
            assert_eq!(bases.chars().count(), wholes.chars().count(), "{mark:?}");
        }
    }

    proptest! {
        #[test]
        fn any_password_comes_out_and_is_stable(password: Vec<u8>, words in "\\PC{0,12}") {
            for password in [&password[..], words.as_bytes()] {
                let once = prepared(password);
                prop_assert_eq!(prepared(&once), once.clone());
            }
        }
    }
}
