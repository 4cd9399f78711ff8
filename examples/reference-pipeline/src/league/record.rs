//! Parsing and validation of one line of a CSV file.

use std::fmt::Display;

use csv::{ErrorKind, StringRecord};
use jiff::civil::Date;

use super::TeamGame;
use super::row::NEEDED;

/// Number of characters of a bad value that are shown.
const SHOWN: usize = 40;

/// Returns the column names in upper case, since feeds differ in case.
pub(super) fn columns(headers: &StringRecord) -> StringRecord {
    headers
        .iter()
        .map(|header| header.trim().trim_start_matches('\u{feff}').to_uppercase())
        .collect()
}

pub(super) fn check_columns(columns: &StringRecord) -> Result<(), String> {
    let has = |needed: &str| columns.iter().any(|column| column == needed);
    let missing: Vec<_> = NEEDED.into_iter().filter(|needed| !has(needed)).collect();
    match missing[..] {
        [] => Ok(()),
        _ => Err(format!("missing column {}", missing.join(", "))),
    }
}

/// Describes a line that is not a row: too few fields, or invalid UTF-8.
pub(super) fn broken(error: &csv::Error) -> String {
    match error.kind() {
        ErrorKind::UnequalLengths { expected_len, len, .. } => {
            format!("{len} fields, must be {expected_len}")
        }
        ErrorKind::Utf8 { err, .. } => format!("field {}: not UTF-8", err.field() + 1),
        _ => error.to_string(),
    }
}

/// Parses a row. The error names the column and value that are invalid.
pub(super) fn row(columns: &StringRecord, record: &StringRecord) -> Result<TeamGame, String> {
    for (column, value) in columns.iter().zip(record) {
        check_value(column, value).map_err(|why| bad(column, value, why))?;
    }
    record.deserialize(Some(columns)).map_err(|error| bad_value(columns, record, &error))
}

/// Makes the checks for which the deserializer has no error, or one that does not name the column.
fn check_value(column: &str, value: &str) -> Result<(), String> {
    if NEEDED.contains(&column) && value.trim().is_empty() {
        return Err("must not be empty".into());
    }
    if column == "GAME_DATE" {
        value.parse::<Date>().map_err(|error| error.to_string())?;
    }
    Ok(())
}

fn bad_value<'r>(
    columns: &'r StringRecord,
    record: &'r StringRecord,
    error: &csv::Error,
) -> String {
    let ErrorKind::Deserialize { err, .. } = error.kind() else {
        return error.to_string();
    };
    let Some(at) = err.field().and_then(|field| usize::try_from(field).ok()) else {
        return err.kind().to_string();
    };
    let of = |record: &'r StringRecord| record.get(at).unwrap_or_default();
    bad(of(columns), of(record), err.kind())
}

/// Describes a bad value. Truncates and escapes it: a file may hold a long value, or one with
/// terminal control codes.
fn bad(column: &str, value: &str, why: impl Display) -> String {
    let shown: String = value.chars().take(SHOWN).flat_map(char::escape_debug).collect();
    format!("{column}: {shown}: {why}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_hostile_value_is_truncated_and_escaped() {
        let value = format!("\u{1b}[2J{}", "9".repeat(10_000));
        let error = bad("PTS", &value, "no");
        assert!(error.starts_with("PTS: \\u{1b}[2J999") && error.len() < 80, "{error}");
    }
}
