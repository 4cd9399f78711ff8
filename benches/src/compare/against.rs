//! Comparison of this run with an earlier report.

use std::collections::HashMap;
use std::fmt::Write;

use serde_json::Value;
use tower::BoxError;

use super::row::{Row, key};

/// Ratio of medians above which a row is marked as slower. The 10th percentile of the row must also
/// exceed the 90th percentile of the earlier one.
const ALLOWED: f64 = 1.1;

/// Median and 90th percentile of each row of an earlier report, in nanoseconds, by the row's key.
pub(super) struct Earlier(HashMap<String, (f64, f64)>);

impl Earlier {
    /// Reads a `report.json`. Rows without a measurement are left out.
    ///
    /// # Errors
    /// Fails if `report` is not JSON, or has no array `rows`.
    pub(super) fn parse(report: &str) -> Result<Earlier, BoxError> {
        let report: Value = serde_json::from_str(report)?;
        let rows = report["rows"].as_array().ok_or("the report has no array `rows`")?;
        Ok(Earlier(rows.iter().filter_map(entry).collect()))
    }
}

/// Returns `None` if a field is missing, or if `ns` is null because the two threads of the row
/// never ran in parallel.
fn entry(row: &Value) -> Option<(String, (f64, f64))> {
    let text = |field: &str| row[field].as_str();
    let key = key(text("figure")?, text("subject")?, text("inner")?, text("mode")?);
    Some((key, (row["ns"].as_f64()?, row["spread"][1].as_f64()?)))
}

/// Change of a row since the earlier run.
#[derive(Debug, PartialEq)]
enum Verdict {
    Same,
    Slower,
    Faster,
}

fn verdict(row: &Row, (median, high): (f64, f64)) -> Option<(f64, Verdict)> {
    let ns = row.ns?;
    let ratio = ns.median / median;
    let verdict = match ratio {
        _ if ratio > ALLOWED && ns.low > high => Verdict::Slower,
        _ if ratio < 1.0 / ALLOWED && ns.high < median => Verdict::Faster,
        _ => Verdict::Same,
    };
    Some((ratio, verdict))
}

/// Returns a line for each row that both runs measured.
pub(super) fn comparison(rows: &[Row], earlier: &Earlier) -> String {
    let mut out = String::from("\nagainst the earlier run (above 1 is slower)\n");
    for row in rows {
        let found = earlier.0.get(&row.key()).and_then(|earlier| verdict(row, *earlier));
        let Some((ratio, verdict)) = found else { continue };
        let mark = match verdict {
            Verdict::Slower => "SLOWER",
            Verdict::Faster => "faster",
            Verdict::Same => "",
        };
        let _ = writeln!(out, "  {ratio:>6.2} {mark:<7} {}", row.key());
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::compare::report::report;
    use crate::compare::row::tests::{ns, row};

    fn against(before: f64, after: f64) -> String {
        let before = report(&[ns(row("stack", "ours"), before)], &[], &[], &[]).to_string();
        comparison(&[ns(row("stack", "ours"), after)], &Earlier::parse(&before).unwrap())
    }

    #[test]
    fn slower_is_more_than_a_tenth_and_more_than_the_spread() {
        assert!(against(100.0, 130.0).contains("1.30 SLOWER  stack / ours"));
        assert!(!against(100.0, 115.0).contains("SLOWER"));
        assert!(against(100.0, 115.0).contains("1.15"));
        assert!(against(100.0, 50.0).contains("faster"));
    }

    #[test]
    fn rows_of_one_run_only_are_left_out() {
        let earlier = Earlier::parse(r#"{"rows": []}"#).unwrap();
        assert_eq!(comparison(&[ns(row("stack", "ours"), 1.0)], &earlier).lines().count(), 2);
        assert!(Earlier::parse("{}").is_err());
    }
}
