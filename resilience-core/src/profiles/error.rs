//! Errors of profile texts, with the place of the mistake.

use std::fmt;

/// A mistake in a text of profiles: line, profile and field, as far as they are known.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProfilesError(Box<Details>);

#[derive(Debug, Clone, PartialEq, Eq)]
struct Details {
    kind: ProfilesErrorKind,
    line: Option<usize>,
    profile: Option<String>,
    field: Option<String>,
    message: String,
}

/// Kinds of mistakes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ProfilesErrorKind {
    /// The file cannot be read.
    Unreadable,
    /// The text is not TOML, or longer than 1 MiB.
    Syntax,
    /// A key has no meaning.
    UnknownKey,
    /// A required key is missing.
    MissingKey,
    /// A value has the wrong type.
    WrongType,
    /// A value is out of its bounds, or contradicts another value.
    OutOfBounds,
    /// No profile has the name.
    UnknownProfile,
    /// A profile that is in use is not in the new text.
    InUse,
    /// Another reload is under way.
    Busy,
}

impl ProfilesError {
    pub(super) fn new(kind: ProfilesErrorKind, message: impl Into<String>) -> ProfilesError {
        let message = message.into();
        ProfilesError(Box::new(Details { kind, line: None, profile: None, field: None, message }))
    }

    /// Rejects a `value` that breaks its `bound`.
    pub(super) fn out_of_bounds(value: &str, bound: &str) -> ProfilesError {
        let message = format!("is {value}, must be {bound}");
        ProfilesError::new(ProfilesErrorKind::OutOfBounds, message)
    }

    pub(super) fn at(mut self, line: Option<usize>) -> ProfilesError {
        self.0.line = line;
        self
    }

    pub(super) fn of(mut self, profile: &str) -> ProfilesError {
        self.0.profile = Some(profile.to_owned());
        self
    }

    pub(super) fn field_is(mut self, field: impl Into<String>) -> ProfilesError {
        self.0.field = Some(field.into());
        self
    }

    /// Returns the kind of mistake.
    #[must_use]
    pub fn kind(&self) -> ProfilesErrorKind {
        self.0.kind
    }

    /// Returns the line, counted from 1.
    #[must_use]
    pub fn line(&self) -> Option<usize> {
        self.0.line
    }

    /// Returns the name of the profile, such as `scraper.odds`.
    #[must_use]
    pub fn profile(&self) -> Option<&str> {
        self.0.profile.as_deref()
    }

    /// Returns the field within the profile, such as `retry.max_attempts`.
    #[must_use]
    pub fn field(&self) -> Option<&str> {
        self.0.field.as_deref()
    }
}

impl fmt::Display for ProfilesError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Details { line, profile, field, message, .. } = &*self.0;
        if let Some(line) = line {
            write!(f, "line {line}: ")?;
        }
        if let Some(profile) = profile {
            write!(f, "profile `{profile}`: ")?;
        }
        if let Some(field) = field {
            write!(f, "`{field}` ")?;
        }
        f.write_str(message)
    }
}

impl std::error::Error for ProfilesError {}

/// Returns up to three of `names` that are close to `name`, nearest first.
pub(super) fn near<'a>(name: &str, names: impl IntoIterator<Item = &'a str>) -> Vec<&'a str> {
    let most = 1 + name.len() / 4;
    let distances = names.into_iter().map(|it| (distance(name, it), it));
    let mut near: Vec<_> = distances.filter(|&(distance, _)| distance <= most).collect();
    near.sort_unstable();
    near.into_iter().take(3).map(|(_, name)| name).collect()
}

/// Returns the end of a message: "; did you mean …?", or nothing if no name is near.
pub(super) fn did_you_mean(near: &[&str]) -> String {
    match near {
        [] => String::new(),
        names => format!("; did you mean `{}`?", names.join("` or `")),
    }
}

/// Returns the Levenshtein distance. Texts of more than 64 bytes are always far apart, which bounds
/// the time for a hostile text.
fn distance(a: &str, b: &str) -> usize {
    if a.len() > 64 || b.len() > 64 {
        return usize::MAX;
    }
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, x) in a.bytes().enumerate() {
        let mut diagonal = row[0];
        row[0] = i + 1;
        for (j, y) in b.bytes().enumerate() {
            let replaced = diagonal + usize::from(x != y);
            diagonal = row[j + 1];
            row[j + 1] = replaced.min(row[j] + 1).min(diagonal + 1);
        }
    }
    row[b.len()]
}

#[cfg(test)]
#[cfg(not(resilience_loom))]
mod tests {
    use super::*;

    #[test]
    fn near_names_are_found() {
        let names = ["retry", "rate", "breaker", "bulkhead"];
        assert_eq!(near("retyr", names), ["retry"]);
        assert_eq!(near("brekaer", names), ["breaker"]);
        assert_eq!(near("braker", names), ["breaker"]);
        assert_eq!(near("window", names), Vec::<&str>::new());
        assert_eq!(near("rat", names), ["rate"]);
        assert_eq!(distance("kitten", "sitting"), 3);
        assert_eq!(did_you_mean(&near("rate", names)), "; did you mean `rate`?");
    }
}
