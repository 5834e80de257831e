//! What is expected of a target: the pairs of its fragment.

use crate::targets::shared::url;

/// The pairs of the fragment that nobody has taken yet.
#[derive(Debug, Default)]
pub(crate) struct Expectations {
    /// Keys, and values as they are written.
    pairs: Vec<(String, Option<String>)>,
    /// Whether something has been taken: what is left may be the rest of its value.
    has_taken: bool,
}

impl Expectations {
    pub(crate) fn parse(fragment: &str) -> Result<Self, String> {
        let pairs = url::raw_pairs(fragment).map(|(key, value)| {
            value.map(url::decode).transpose()?;
            Ok((url::decode(key)?, value.map(str::to_owned)))
        });
        Ok(Self { pairs: pairs.collect::<Result<_, String>>()?, has_taken: false })
    }

    /// The values of a key that may be repeated.
    pub(crate) fn take_all(&mut self, key: &str) -> Result<Vec<String>, String> {
        self.take_raw(key)?.iter().map(|value| url::decode(value)).collect()
    }

    /// The same before they are decoded, for values in which a sign has a meaning that it has not where it is encoded.
    pub(crate) fn take_raw(&mut self, key: &str) -> Result<Vec<String>, String> {
        let taken = self.extract(key);
        self.has_taken |= !taken.is_empty();
        taken
            .into_iter()
            .map(|value| value.filter(|v| !v.is_empty()).ok_or_else(|| format!("`{key}` needs a value: {key}=…")))
            .collect()
    }

    /// The value of a key that may be given once.
    pub(crate) fn take(&mut self, key: &str) -> Result<Option<String>, String> {
        self.take_raw_once(key)?.map(|value| url::decode(&value)).transpose()
    }

    /// The same before it is decoded.
    pub(crate) fn take_raw_once(&mut self, key: &str) -> Result<Option<String>, String> {
        at_most_one(key, self.take_raw(key)?)
    }

    /// The same as `read` takes it, or that it is not `what`.
    pub(crate) fn take_as<T, E>(
        &mut self,
        key: &str,
        read: impl FnOnce(&str) -> Result<T, E>,
        what: &str,
    ) -> Result<Option<T>, String> {
        let Some(value) = self.take(key)? else { return Ok(None) };
        read(&value).map(Some).map_err(|_| format!("the value of `{key}` is not {what}"))
    }

    /// Whether a key that takes no value is there.
    pub(crate) fn take_flag(&mut self, key: &str) -> Result<bool, String> {
        match self.extract(key).as_slice() {
            [] => Ok(false),
            all if all.iter().all(Option::is_none) => Ok(true),
            _ => Err(format!("`{key}` takes no value")),
        }
    }

    /// A key that may be given once, with a value or without, which is an empty one.
    pub(crate) fn take_either(&mut self, key: &str) -> Result<Option<String>, String> {
        let given = at_most_one(key, self.extract(key))?;
        given.map(|value| url::decode(&value.unwrap_or_default())).transpose()
    }

    /// Takes the values of a key out, as they are written.
    fn extract(&mut self, key: &str) -> Vec<Option<String>> {
        self.pairs.extract_if(.., |(name, _)| name == key).map(|(_, value)| value).collect()
    }

    /// The first key that nobody has taken, and whether any other was.
    pub(crate) fn left(&self) -> Option<(&str, bool)> {
        self.pairs.first().map(|(key, _)| (key.as_str(), self.has_taken))
    }
}

fn at_most_one<T>(key: &str, mut values: Vec<T>) -> Result<Option<T>, String> {
    if values.len() > 1 {
        return Err(format!("`{key}` is given twice"));
    }
    Ok(values.pop())
}
