//! What a run must show, worked out from the faults before it begins.
//!
//! *After* must do all that can be done. *Before* must do something wrong where the plan leaves it no
//! choice: a demo in which it got away with its habits would have shown nothing. A league of three days
//! may hold no such fault, and then nothing is asked of it.

use jiff::civil::Date;

use crate::league::League;
use crate::scrape::naive::ATTEMPTS;
use crate::upstream::faults::{Fault, Plan};

#[derive(Debug)]
pub(super) struct Expected {
    /// What the upstream has: everything but the poison day.
    pub(super) rows: usize,
    /// The fewest requests that get it.
    pub(super) requests: usize,
    /// How often the poison day is worth asking for.
    pub(super) poison_requests: u64,
    pub(super) before: Habits,
}

/// Which of its habits are bound to show in *before*.
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

/// A body breaks off, and a later attempt gets all of it.
fn lands_twice(plan: &Plan, day: Date) -> bool {
    plan.faults_before_success(day).count() < ATTEMPTS
        && plan.faults_before_success(day).any(|fault| fault == Fault::Truncated)
}

/// There is an attempt left when the upstream asks for a second's pause.
fn is_hurried(plan: &Plan, day: Date) -> bool {
    let mut answered = plan.faults_before_success(day).take(ATTEMPTS - 1);
    answered.any(|fault| matches!(fault, Fault::ThrottledForSeconds(_)))
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
    fn a_season_shows_every_habit() {
        let (league, expected) = expected(60);
        let Habits { duplicates, early, loses } = expected.before;
        assert!(duplicates && early && loses);
        assert!(expected.rows < league.rows());
        assert!(expected.requests > league.days().len());
    }

    #[test]
    fn a_league_without_a_day_to_spare_is_had_whole() {
        let (league, expected) = expected(1);
        assert_eq!(expected.rows, league.rows());
        assert_eq!(expected.poison_requests, 0);
        assert!(!expected.before.loses);
    }
}
