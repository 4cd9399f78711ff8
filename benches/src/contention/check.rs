//! Checks of the results against the published means and the library's claims.

use super::cap_mass::CapMass;
use super::peers::POLLY;
use super::point::{self, Point};
use super::published::{self, Expected};
use super::rules::{OURS, TEXTBOOK};
use crate::stats::Mean;

/// A result with the value or bound that it must meet.
#[derive(Debug)]
pub(super) struct Check {
    pub(super) name: String,
    pub(super) found: f64,
    pub(super) target: String,
    /// Deviation as a percentage of the tolerance, or result as a percentage of the bound. The
    /// check holds up to 100.
    pub(super) used_percent: f64,
}

impl Check {
    pub(super) fn holds(&self) -> bool {
        self.used_percent <= 100.0
    }

    /// Checks that `found` differs from `expected` by at most `allowed`.
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

/// Checks that calls are within 2 % and times within 5 % of the published means. Where three
/// standard errors of the difference are more than that, they are the tolerance.
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

/// Checks the claim about the default backoff: at 100 clients it makes about as many calls as the
/// textbook rule (published: 1,003) in less time (published: 4,604 ms).
pub(super) fn ours(points: &[Point]) -> Vec<Check> {
    point::find(points, OURS, 100).map_or_else(Vec::new, |point| {
        vec![
            Check::at_most(format!("{OURS} at 100: calls"), point.calls.mean, 1_010.0),
            Check::at_most(format!("{OURS} at 100: ms"), point.makespan_ms.mean, 4_300.0),
        ]
    })
}

/// Checks that the default backoff never sleeps exactly the cap, and that the other rules do so as
/// often as expected.
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
