//! Which words look like secrets.

/// Whether the value of an option, a variable or a parameter of this name is a secret.
pub(crate) fn names_a_secret(name: &str) -> bool {
    const SECRET: [&str; 9] = ["pass", "pwd", "secret", "token", "auth", "credential", "cookie", "apikey", "signature"];
    const NOT: [&str; 7] = ["file", "path", "database", "source", "mechanism", "method", "type"];
    let name = name.to_ascii_lowercase();
    let is_secret = SECRET.iter().any(|word| name.contains(word)) || name.ends_with("key");
    is_secret && !NOT.iter().any(|word| name.contains(word))
}

/// Whether a word looks like a password or a token: with digits between letters or signs, and neither a path, a
/// place nor a name with dots.
pub(crate) fn looks_random(word: &str) -> bool {
    let is_sign = |c: char| matches!(c, '!' | '#' | '$' | '^' | '&' | '*' | '~' | '+' | '=' | '@');
    let is_of_a_name = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_');
    if word.len() < 5 || !word.chars().all(|c| is_of_a_name(c) || is_sign(c)) {
        return word.len() >= 20 && word.starts_with("eyJ");
    }
    let is_letter = |c: char| c.is_ascii_alphabetic();
    let inner = word.trim_matches(|c: char| !is_letter(c));
    let digits = inner.chars().filter(char::is_ascii_digit).count();
    let has_sign = word.contains(is_sign) && word.contains(is_letter);
    match word.contains(['-', '_']) {
        _ if has_sign => true,
        // `kafka-2-broker` is a name.
        true => digits > 2 && word.len() >= 16,
        false => digits > 0 || word.len() >= 8 && word.bytes().all(|byte| byte.is_ascii_digit()),
    }
}
