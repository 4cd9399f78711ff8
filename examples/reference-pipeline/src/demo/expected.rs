//! Figures that a run must show, derived from the faults in advance.
//!
//! *After* must do all that is possible. *Before* must show a fault wherever the plan makes that
//! certain: otherwise the demo has shown nothing. A league of three days may have no such case, and
//! then nothing is required of *before*.

use jiff::civil::Date;

use crate::league::League;
use crate::scrape::naive::ATTEMPTS;
use crate::upstream::faults::{Fault, Plan};

#[derive(Debug)]
pub(super) struct Expected {
    /// Rows of the upstream without those of the poison day.
    pub(super) rows: usize,
    /// Fewest requests that fetch these rows, and the 404 of the poison day.
    pub(super) requests: usize,
    /// Fewest requests for the poison day: 1, or 0 if there is none.
    pub(super) poison_requests: u64,
    pub(super) before: Habits,
}

/// Faults that *before* is certain to show.
#[derive(Debug)]
pub(super) struct Habits {
    pub(super) duplicates: bool,
    pub(super) early: bool,
    pub(super) loses: bool,
}

impl Expected {
    pub(super) fn new(league: &League, plan: &Plan) -> Expected {
        let has = |day| league.on(day).unwrap_or_default().len();
        let gone = plan.poison();
        Expected {
            rows: league.days().filter(|day| Some(*day) != gone).map(has).sum(),
            requests: league.days().map(|day| plan.requests_needed(day)).sum(),
            poison_requests: gone.is_some().into(),
            before: Habits {
                duplicates: league.days().any(|day| has(day) > 1 && lands_twice(plan, day)),
                early: league.days().any(|day| is_hurried(plan, day)),
                loses: gone.is_some(),
            },
        }
    }
}

/// Returns `true` if a body breaks off and a later attempt succeeds.
fn lands_twice(plan: &Plan, day: Date) -> bool {
    plan.faults_before_success(day).count() < ATTEMPTS
        && plan.faults_before_success(day).any(|fault| fault == Fault::Truncated)
}

/// Returns `true` if an attempt is left after a `Retry-After` of a second.
fn is_hurried(plan: &Plan, day: Date) -> bool {
    let mut faults = plan.faults_before_success(day).take(ATTEMPTS - 1);
    faults.any(|fault| matches!(fault, Fault::ThrottledForSeconds(_)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::league::generate;

    fn expected(days: usize) -> (League, Expected) {
        let league = generate::league(7, days);
        let expected = Expected::new(&league, &Plan::new(7, &league));
        (league, expected)
    }

    #[test]
    fn a_season_shows_every_fault_of_before() {
        let (league, expected) = expected(60);
        let Habits { duplicates, early, loses } = expected.before;
        assert!(duplicates && early && loses);
        assert!(expected.rows < league.rows());
        assert!(expected.requests > league.days().len());
    }

    #[test]
    fn a_league_without_a_poison_day_is_fetched_whole() {
        let (league, expected) = expected(1);
        assert_eq!(expected.rows, league.rows());
        assert_eq!(expected.poison_requests, 0);
        assert!(!expected.before.loses);
    }
}
