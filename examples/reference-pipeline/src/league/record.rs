//! One line of a CSV file, and what can be wrong with it.

use std::fmt::Display;

use csv::{ErrorKind, StringRecord};
use jiff::civil::Date;

use super::TeamGame;
use super::row::NEEDED;

/// How much of a bad value is shown.
const SHOWN: usize = 40;

/// Column names without regard to case, as feeds have none.
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

/// What is wrong with a row that is not even a row: too few fields, or bytes that are not text.
pub(super) fn broken(error: &csv::Error) -> String {
    match error.kind() {
        ErrorKind::UnequalLengths { expected_len, len, .. } => {
            format!("{len} fields, must be {expected_len}")
        }
        ErrorKind::Utf8 { err, .. } => format!("field {}: not UTF-8", err.field() + 1),
        _ => error.to_string(),
    }
}

/// The row, or which value of it is not what its column says.
pub(super) fn row(columns: &StringRecord, record: &StringRecord) -> Result<TeamGame, String> {
    for (column, value) in columns.iter().zip(record) {
        check_value(column, value).map_err(|why| bad(column, value, why))?;
    }
    record.deserialize(Some(columns)).map_err(|error| bad_value(columns, record, &error))
}

/// What the deserialiser would not say, or not say where: it names the field of a bad number only.
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

/// A value from a file may be long, or made to confuse a terminal.
fn bad(column: &str, value: &str, why: impl Display) -> String {
    let shown: String = value.chars().take(SHOWN).flat_map(char::escape_debug).collect();
    format!("{column}: {shown}: {why}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_hostile_value_is_cut_and_escaped() {
        let value = format!("\u{1b}[2J{}", "9".repeat(10_000));
        let said = bad("PTS", &value, "no");
        assert!(said.starts_with("PTS: \\u{1b}[2J999") && said.len() < 80, "{said}");
    }
}
