//! Where the values of variables come from, and what is odd about one.

use std::ffi::OsString;
use std::io;
use std::os::unix::ffi::OsStringExt;

/// Where variables come from: the environment and files, injected so that tests need neither.
pub(crate) struct Lookup<'a> {
    /// The value of an environment variable, which is bytes and need not be text.
    pub(crate) env: &'a dyn Fn(&str) -> Option<OsString>,
    /// The content of a file, or why it cannot be read.
    pub(crate) file: &'a dyn Fn(&str) -> io::Result<Vec<u8>>,
}

impl<'a> Lookup<'a> {
    /// Variables alone: there are no files. For tests and the fuzzer.
    pub(crate) fn without_files(env: &'a dyn Fn(&str) -> Option<OsString>) -> Self {
        Self { env, file: &|_| Err(io::ErrorKind::NotFound.into()) }
    }

    /// The value of an environment variable that must be text.
    ///
    /// # Errors
    ///
    /// Names the variable that is set and no UTF-8.
    pub(crate) fn text(&self, name: &str) -> Result<Option<String>, String> {
        (self.env)(name).map(|value| utf8(value.into_vec(), &format!("the variable {name}"))).transpose()
    }

    /// The value of an environment variable as it is.
    pub(crate) fn bytes(&self, name: &str) -> Option<Vec<u8>> {
        (self.env)(name).map(OsString::into_vec)
    }
}

/// Bytes that must be text.
pub(crate) fn utf8(bytes: Vec<u8>, what: &str) -> Result<String, String> {
    String::from_utf8(bytes).map_err(|_| format!("the value of {what} is not UTF-8"))
}

/// The doubt about a value that `source` gave: what people put into a secret without meaning it.
pub(crate) fn doubt_about(value: &[u8], source: &str) -> Option<String> {
    let (first, last) = (value.first()?, value.last()?);
    let what = if value.starts_with("\u{feff}".as_bytes()) {
        "begins with a byte order mark"
    } else if value.len() > 1 && first == last && matches!(first, b'"' | b'\'') {
        "has quotes around it, which count"
    } else if matches!(last, b'\r' | b'\n') {
        "ends with a line break, which counts"
    } else if first.is_ascii_whitespace() || last.is_ascii_whitespace() {
        "begins or ends with a blank, which counts"
    } else {
        return None;
    };
    Some(format!("the value of {source} {what}"))
}

/// The index of the `}` that closes a `${`, whose default may hold further `${…}`.
pub(crate) fn closing_brace(body: &str) -> Option<usize> {
    let mut depth = 0usize;
    for (index, c) in body.char_indices() {
        match c {
            '{' => depth += 1,
            '}' if depth == 0 => return Some(index),
            '}' => depth -= 1,
            _ => {}
        }
    }
    None
}
