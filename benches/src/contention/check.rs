//! What must come out.

use super::cap_mass::CapMass;
use super::peers::POLLY;
use super::point::{self, Point};
use super::published::{self, Expected};
use super::rules::{OURS, TEXTBOOK};
use crate::stats::Mean;

/// A statement about the results.
#[derive(Debug)]
pub(super) struct Check {
    pub(super) name: String,
    pub(super) found: f64,
    pub(super) target: String,
    /// How much of what is allowed was used, in percent: at most 100 if it holds.
    pub(super) used_percent: f64,
}

impl Check {
    pub(super) fn holds(&self) -> bool {
        self.used_percent <= 100.0
    }

    /// `found` is `expected`, give or take `allowed`.
    fn near(name: String, found: f64, expected: f64, allowed: f64) -> Check {
        Check {
            name,
            found,
            target: format!("{expected:.3} ± {allowed:.3}"),
            used_percent: 100.0 * (found - expected).abs() / allowed,
        }
    }

    fn at_most(name: String, found: f64, bound: f64) -> Check {
        Check {
            name,
            found,
            target: format!("at most {bound}"),
            used_percent: 100.0 * found / bound,
        }
    }
}

/// Calls within 2 % and time within 5 % of the published means. Where those are themselves less
/// certain than that, within three standard errors of the difference.
pub(super) fn published(points: &[Point]) -> Vec<Check> {
    points
        .iter()
        .filter_map(|point| {
            let (calls, ms) = published::expected(point.rule, point.clients)?;
            let name = format!("{} at {}", point.rule, point.clients);
            Some([
                as_published(format!("{name}: calls"), point.calls, calls, 0.02),
                as_published(format!("{name}: ms"), point.makespan_ms, ms, 0.05),
            ])
        })
        .flatten()
        .collect()
}

fn as_published(name: String, found: Mean, expected: Expected, tolerance: f64) -> Check {
    let error = found.standard_error.hypot(expected.standard_error());
    let allowed = (tolerance * expected.mean).max(3.0 * error);
    Check::near(name, found.mean, expected.mean, allowed)
}

/// The default's claim: no more calls than the textbook rule at 100 clients, and sooner done.
pub(super) fn ours(points: &[Point]) -> Vec<Check> {
    point::find(points, OURS, 100).map_or_else(Vec::new, |point| {
        vec![
            Check::at_most(format!("{OURS} at 100: calls"), point.calls.mean, 1_010.0),
            Check::at_most(format!("{OURS} at 100: ms"), point.makespan_ms.mean, 4_300.0),
        ]
    })
}

/// Nothing at the cap for the default; for the others what is known of them.
pub(super) fn cap_mass(masses: &[CapMass]) -> Vec<Check> {
    masses
        .iter()
        .filter_map(|mass| {
            let (expected, allowed) = match mass.rule {
                OURS => (0.0, f64::MIN_POSITIVE),
                TEXTBOOK => (0.19, 0.02),
                POLLY => (0.92, 0.02),
                _ => return None,
            };
            let name = format!("{}: share at the cap", mass.rule);
            Some(Check::near(name, mass.share, expected, allowed))
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_miss_is_a_failure() {
        let near = |found| Check::near(String::new(), found, 100.0, 2.0);
        assert!(near(98.0).holds() && near(102.0).holds());
        assert!(!near(97.9).holds() && !near(f64::NAN).holds());
        assert!(!Check::at_most(String::new(), 1_010.1, 1_010.0).holds());
    }
}
