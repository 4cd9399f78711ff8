//! Reader of a table of a profile, key by key.
//!
//! Every value is read by name and type. A key that was never read is unknown, and rejected at the
//! end: there is no second list of keys that could disagree with this one.

use std::cell::RefCell;
use std::time::Duration;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::error::{ProfilesError, ProfilesErrorKind, did_you_mean, near};
use crate::config::InvalidConfig;

type Read<T> = Result<T, ProfilesError>;

/// The text, for line numbers.
#[derive(Debug, Clone, Copy)]
pub(super) struct SourceText<'a>(pub(super) &'a str);

impl SourceText<'_> {
    /// Returns the line of a byte, counted from 1.
    pub(super) fn line(self, offset: usize) -> usize {
        let before = self.0.as_bytes().iter().take(offset);
        1 + before.filter(|&&byte| byte == b'\n').count()
    }
}

/// Line of each key of a profile, by path.
pub(super) type KeyLines = Vec<(String, usize)>;

pub(super) struct Reader<'a> {
    text: SourceText<'a>,
    profile: &'a str,
    /// Prefix of the keys: empty, or "retry."
    path: String,
    table: &'a DeTable<'a>,
    /// Line of the table.
    line: usize,
    known: RefCell<Vec<&'static str>>,
    lines: &'a RefCell<KeyLines>,
}

impl<'a> Reader<'a> {
    pub(super) fn new(
        text: SourceText<'a>,
        profile: &'a str,
        table: &'a DeTable<'a>,
        line: usize,
        lines: &'a RefCell<KeyLines>,
    ) -> Reader<'a> {
        Reader { text, profile, path: String::new(), table, line, known: RefCell::default(), lines }
    }

    fn path(&self, key: &str) -> String {
        format!("{}{key}", self.path)
    }

    fn error(
        &self,
        kind: ProfilesErrorKind,
        key: &str,
        line: usize,
        message: impl Into<String>,
    ) -> ProfilesError {
        let error = ProfilesError::new(kind, message);
        error.at(Some(line)).of(self.profile).field_is(self.path(key))
    }

    fn get(&self, key: &'static str) -> Option<Value<'_, 'a>> {
        self.known.borrow_mut().push(key);
        let (name, value) = self.table.get_key_value(key)?;
        let line = self.text.line(name.span().start);
        self.lines.borrow_mut().push((self.path(key), line));
        Some(Value { reader: self, key, line, value })
    }

    pub(super) fn duration(&self, key: &'static str) -> Read<Option<Duration>> {
        self.get(key).map(Value::duration).transpose()
    }

    pub(super) fn count(&self, key: &'static str) -> Read<Option<u32>> {
        self.get(key).map(Value::count).transpose()
    }

    pub(super) fn number(&self, key: &'static str) -> Read<Option<f64>> {
        self.get(key).map(Value::number).transpose()
    }

    /// Reads a percentage: "10%" is 0.1.
    pub(super) fn share(&self, key: &'static str) -> Read<Option<f64>> {
        let share = |value: Value<'_, 'a>| {
            let text = value.text("a percentage such as \"10%\"")?;
            percent(text).ok_or_else(|| value.is(text, "a percentage such as \"10%\""))
        };
        self.get(key).map(share).transpose()
    }

    pub(super) fn flag(&self, key: &'static str) -> Read<bool> {
        let flag = |value: Value<'_, 'a>| {
            value.value.get_ref().as_bool().ok_or_else(|| value.wrong_type("true or false"))
        };
        self.get(key).map(flag).transpose().map(Option::unwrap_or_default)
    }

    /// Reads a word for which `meaning` returns `Some`.
    pub(super) fn word<T>(
        &self,
        key: &'static str,
        expected: &str,
        meaning: impl Fn(&str) -> Option<T>,
    ) -> Read<Option<T>> {
        let word = |value: Value<'_, 'a>| {
            let text = value.text(expected)?;
            meaning(text).ok_or_else(|| value.is(text, expected))
        };
        self.get(key).map(word).transpose()
    }

    /// Reads a table. Call [`finish`](Reader::finish) on it.
    pub(super) fn table(&self, key: &'static str) -> Read<Option<Reader<'a>>> {
        let Some(value) = self.get(key) else { return Ok(None) };
        // Not through `value`, which lives as long as `self`.
        let inner: Option<&'a Spanned<DeValue<'a>>> = self.table.get(key);
        let table = inner.and_then(|inner| inner.get_ref().as_table());
        let table = table.ok_or_else(|| value.wrong_type("a table"))?;
        Ok(Some(Reader {
            path: format!("{}{key}.", self.path),
            table,
            line: value.line,
            known: RefCell::default(),
            ..*self
        }))
    }

    pub(super) fn required<T>(&self, key: &'static str, value: Option<T>) -> Read<T> {
        let missing = || self.error(ProfilesErrorKind::MissingKey, key, self.line, "is missing");
        value.ok_or_else(missing)
    }

    /// Creates the error for a table in which one of several keys is required.
    pub(super) fn missing(&self, message: &str) -> ProfilesError {
        let error = ProfilesError::new(ProfilesErrorKind::MissingKey, message);
        let error = error.at(Some(self.line)).of(self.profile);
        error.field_is(self.path.trim_end_matches('.'))
    }

    /// Rejects `key` if it is present.
    pub(super) fn reject(&self, key: &'static str, bound: &str) -> Read<()> {
        self.get(key).map_or(Ok(()), |value| Err(value.is(&value.as_written(), bound)))
    }

    /// Converts the error of a builder that got the value of `key`.
    pub(super) fn invalid(&self, key: &str, error: &InvalidConfig) -> ProfilesError {
        let name = self.table.get_key_value(key).map(|(name, _)| name.span().start);
        let line = name.map_or(self.line, |start| self.text.line(start));
        let invalid = ProfilesError::out_of_bounds(error.value(), error.bound());
        invalid.at(Some(line)).of(self.profile).field_is(self.path(key))
    }

    /// Rejects keys that were not read.
    pub(super) fn finish(self) -> Read<()> {
        let known = self.known.borrow();
        for name in self.table.keys() {
            let key = name.get_ref().as_ref();
            if !known.contains(&key) {
                let near = near(key, known.iter().copied());
                let message = format!("is not a key that is known here{}", did_you_mean(&near));
                let line = self.text.line(name.span().start);
                return Err(self.error(
                    ProfilesErrorKind::UnknownKey,
                    &shortened(key),
                    line,
                    message,
                ));
            }
        }
        Ok(())
    }
}

/// Returns the type of a value with its article: "an integer".
pub(super) fn type_of(value: &DeValue<'_>) -> String {
    let name = value.type_str();
    let article = if name.starts_with(['a', 'i']) { "an" } else { "a" };
    format!("{article} {name}")
}

/// A value with its key.
struct Value<'r, 'a> {
    reader: &'r Reader<'a>,
    key: &'static str,
    line: usize,
    value: &'a Spanned<DeValue<'a>>,
}

impl Value<'_, '_> {
    fn wrong_type(&self, expected: &str) -> ProfilesError {
        let found = type_of(self.value.get_ref());
        let message = format!("is {found}, must be {expected}");
        self.reader.error(ProfilesErrorKind::WrongType, self.key, self.line, message)
    }

    fn is(&self, found: &str, expected: &str) -> ProfilesError {
        // An empty text would leave a gap in the sentence.
        let found = if found.trim().is_empty() { format!("{found:?}") } else { shortened(found) };
        let error = ProfilesError::out_of_bounds(&found, expected);
        let error = error.at(Some(self.line)).of(self.reader.profile);
        error.field_is(self.reader.path(self.key))
    }

    /// Returns the value as the text has it; a table by its type.
    fn as_written(&self) -> String {
        let value = self.value.get_ref();
        let text = value.as_str().map(str::to_owned);
        let text = text.or_else(|| value.as_integer().map(ToString::to_string));
        let text = text.or_else(|| value.as_float().map(ToString::to_string));
        let text = text.or_else(|| value.as_bool().map(|flag| flag.to_string()));
        text.unwrap_or_else(|| type_of(value))
    }

    fn text(&self, expected: &str) -> Read<&str> {
        self.value.get_ref().as_str().ok_or_else(|| self.wrong_type(expected))
    }

    fn duration(self) -> Read<Duration> {
        const EXPECTED: &str = "a duration such as \"250ms\", \"30s\", \"5m\" or \"1h 30m\"";
        let text = self.text(EXPECTED)?;
        duration(text).ok_or_else(|| self.is(text, EXPECTED))
    }

    fn count(self) -> Read<u32> {
        const EXPECTED: &str = "a whole number from 0 to 4294967295";
        let integer = self.value.get_ref().as_integer();
        let integer = integer.ok_or_else(|| self.wrong_type(EXPECTED))?;
        u32::from_str_radix(integer.as_str(), integer.radix())
            .map_err(|_| self.is(&integer.to_string(), EXPECTED))
    }

    fn number(self) -> Read<f64> {
        let value = self.value.get_ref();
        if let Some(integer) = value.as_integer() {
            let number = match (integer.as_str(), integer.radix()) {
                (decimal, 10) => decimal.parse().ok(),
                (digits, radix) => u32::from_str_radix(digits, radix).ok().map(f64::from),
            };
            return number.ok_or_else(|| self.is(&integer.to_string(), "a number"));
        }
        let float = value.as_float().ok_or_else(|| self.wrong_type("a number"))?;
        float.as_str().parse().map_err(|_| self.is(float.as_str(), "a number"))
    }
}

/// Parses a duration as `humantime` does, but rejects units that are ambiguous or of no fixed
/// length: `5M` is five months there.
fn duration(text: &str) -> Option<Duration> {
    const UNITS: [&str; 14] = [
        "ns", "us", "µs", "ms", "s", "sec", "second", "seconds", "m", "min", "minutes", "h",
        "hours", "days",
    ];
    let words = text.split(|c: char| c.is_ascii_digit() || c.is_whitespace());
    let units = words.filter(|word| !word.is_empty()).all(|word| UNITS.contains(&word));
    humantime::parse_duration(text).ok().filter(|_| units)
}

pub(super) fn percent(text: &str) -> Option<f64> {
    let number: f64 = text.strip_suffix('%')?.trim_end().parse().ok()?;
    number.is_finite().then_some(number / 100.0)
}

/// Cuts a text for an error message.
fn shortened(text: &str) -> String {
    match text.char_indices().nth(60) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text.to_owned(),
    }
}

#[cfg(test)]
#[cfg(not(resilience_loom))]
mod tests {
    use super::*;

    #[test]
    fn durations_are_as_people_write_them() {
        let ms = Duration::from_millis;
        let good =
            [("250ms", ms(250)), ("30s", ms(30_000)), ("1h 30m", ms(5_400_000)), ("0s", ms(0))];
        for (text, expected) in good {
            assert_eq!(duration(text), Some(expected), "{text}");
        }
        for bad in
            ["", "5", "5M", "1y", "1 month", "-1s", "1s1", "99999999999999999999s", "nan", "∞"]
        {
            assert_eq!(duration(bad), None, "{bad}");
        }
    }

    #[test]
    fn percentages() {
        assert_eq!(percent("10%"), Some(0.1));
        assert_eq!(percent("12.5 %"), Some(0.125));
        for bad in ["10", "%", "nan%", "inf%", "ten%"] {
            assert_eq!(percent(bad), None, "{bad}");
        }
    }
}
