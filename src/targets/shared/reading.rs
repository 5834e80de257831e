//! What a URL is read with.

use crate::secret::Secret;
use crate::targets::shared::expectations::Expectations;
use crate::targets::shared::http_options::HttpDefaults;
use crate::targets::shared::lookup::{Lookup, doubt_about};
use crate::targets::shared::parameters::Ignored;

/// The surroundings in which a URL is read, and what is found beside it.
pub(crate) struct Reading<'a> {
    /// Variables, `PG*` and `REDISCLI_AUTH`.
    pub(crate) lookup: &'a Lookup<'a>,
    /// `--http-*`.
    pub(crate) http: &'a HttpDefaults,
    /// The keys of the fragment.
    pub(crate) expectations: Expectations,
    /// Parameters that mean nothing.
    pub(crate) ignored: Ignored,
    /// The doubts about values.
    pub(crate) doubts: Vec<String>,
}

impl Reading<'_> {
    /// The password in a variable that is neither unset nor empty.
    pub(crate) fn password_in(&mut self, variable: &str) -> Option<Secret> {
        let value = self.lookup.bytes(variable).filter(|value| !value.is_empty())?;
        self.doubts.extend(doubt_about(&value, variable));
        Some(Secret::new(value))
    }
}
