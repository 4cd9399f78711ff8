//! Splits a text into profiles.

use std::collections::BTreeMap;

use toml::de::DeTable;

use super::error::{ProfilesError, ProfilesErrorKind};
use super::reader::{SourceText, type_of};
use super::spec::Spec;

/// Maximum bytes of a text.
pub(super) const MAX_TEXT: usize = 1 << 20;

/// Tables with these names are parts of a profile.
const PARTS: [&str; 4] = ["bulkhead", "retry", "rate_limit", "circuit_breaker"];

pub(super) type Specs = BTreeMap<String, Spec>;

pub(super) fn parse(text: &str) -> Result<Specs, ProfilesError> {
    if text.len() > MAX_TEXT {
        let message = format!("is {} bytes long, must be at most {MAX_TEXT}", text.len());
        return Err(ProfilesError::new(ProfilesErrorKind::Syntax, message));
    }
    let place = SourceText(text);
    let document = DeTable::parse(text).map_err(|error| {
        let line = error.span().map(|span| place.line(span.start));
        ProfilesError::new(ProfilesErrorKind::Syntax, error.message()).at(line)
    })?;
    let mut specs = Specs::new();
    namespace(place, "", document.get_ref(), &mut specs)?;
    Ok(specs)
}

/// Reads nested tables down to profiles.
fn namespace(
    text: SourceText<'_>,
    path: &str,
    table: &DeTable<'_>,
    specs: &mut Specs,
) -> Result<(), ProfilesError> {
    for (key, value) in table {
        let name = key.get_ref().as_ref();
        let line = text.line(key.span().start);
        if name.is_empty() {
            let error = ProfilesError::out_of_bounds("\"\"", "a name of at least one character");
            return Err(error.at(Some(line)).field_is(format!("{path}\"\"")));
        }
        let Some(inner) = value.get_ref().as_table() else {
            let found = type_of(value.get_ref());
            let message = format!("is {found}, must be a profile: a table");
            let error = ProfilesError::new(ProfilesErrorKind::UnknownKey, message);
            return Err(error.at(Some(line)).field_is(format!("{path}{name}")));
        };
        let path = format!("{path}{name}");
        if is_profile(inner) {
            let spec = Spec::read(text, &path, inner, line)?;
            specs.insert(path, spec);
        } else {
            namespace(text, &format!("{path}."), inner, specs)?;
        }
    }
    Ok(())
}

/// Returns `true` for a table that has a value or a part. A table that has only other tables is a
/// prefix of their names.
fn is_profile(table: &DeTable<'_>) -> bool {
    let holds = |(key, value): (&toml::Spanned<_>, &toml::Spanned<toml::de::DeValue<'_>>)| {
        let key: &std::borrow::Cow<'_, str> = key.get_ref();
        !value.get_ref().is_table() || PARTS.contains(&key.as_ref())
    };
    table.is_empty() || table.iter().any(holds)
}
