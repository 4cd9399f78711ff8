//! Faults of the upstream, chosen before the run.
//!
//! A [`Plan`] is a pure function of the seed, the day and the number of earlier requests for that
//! day, so both arms meet the same faults in any order of requests. Faults end after
//! [`MAX_FAULTS`] arrivals, so that every day can be fetched by retrying; except the poison day,
//! for which every response is a 404.

use std::time::Duration;

use jiff::civil::Date;
use rand::RngExt;
use rand::rngs::Xoshiro256PlusPlus;

use crate::league::League;
use crate::seeded;

/// Arrivals after which a day has no more faults.
pub const MAX_FAULTS: u32 = 5;

/// Time that a slow response takes: longer than the timeout of a caller that has one.
pub const SLOW: Duration = Duration::from_millis(2_500);

/// A fault of a response.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Fault {
    /// 429 with a `Retry-After` in seconds.
    ThrottledForSeconds(u64),
    /// 429 or 503 with a `Retry-After` that is a date.
    ThrottledUntilDate {
        /// Status of the response.
        status: u16,
        /// Distance of the date, before it is rounded up to a whole second.
        ahead: Duration,
    },
    /// 500 or 503 without a hint.
    Failed(u16),
    /// The correct response, after [`SLOW`].
    Slow,
    /// The connection is reset.
    Reset,
    /// The body ends before its `Content-Length`.
    Truncated,
    /// 404 for every request.
    Gone,
}

/// A league with fewer days than this has no poison day.
const MIN_DAYS_FOR_POISON: usize = 10;

/// Faults of a season.
#[derive(Debug, Clone)]
pub struct Plan {
    seed: u64,
    poison: Option<Date>,
}

impl Plan {
    /// Draws the faults of a league from a seed.
    #[must_use]
    pub fn new(seed: u64, league: &League) -> Plan {
        let poison = (league.days().len() >= MIN_DAYS_FOR_POISON).then(|| {
            let nth = seeded::stream(seed, "poison").random_range(0..league.days().len());
            league.days().nth(nth)
        });
        Plan { seed, poison: poison.flatten() }
    }

    /// Returns the day that is always a 404.
    #[must_use]
    pub fn poison(&self) -> Option<Date> {
        self.poison
    }

    /// Returns the fault of the `arrival`th request for a day, counted from 0.
    #[must_use]
    pub fn fault(&self, day: Date, arrival: u32) -> Option<Fault> {
        if self.poison == Some(day) {
            return Some(Fault::Gone);
        }
        let mut random = seeded::stream(self.seed, format_args!("{day}/{arrival}"));
        (arrival < MAX_FAULTS && random.random_bool(0.5)).then(|| draw(&mut random))
    }

    /// Returns the faults that a client meets if it requests a day until it succeeds.
    pub fn faults_before_success(&self, day: Date) -> impl Iterator<Item = Fault> {
        (0..MAX_FAULTS).map_while(move |arrival| self.fault(day, arrival))
    }

    /// Returns the fewest requests that fetch a day, or that find out that it does not exist.
    #[must_use]
    pub fn requests_needed(&self, day: Date) -> usize {
        if self.poison == Some(day) { 1 } else { self.faults_before_success(day).count() + 1 }
    }
}

fn draw(random: &mut Xoshiro256PlusPlus) -> Fault {
    let either = |random: &mut Xoshiro256PlusPlus, a, b| if random.random() { a } else { b };
    match random.random_range(0..8) {
        0 | 1 => Fault::ThrottledForSeconds(1),
        2 => {
            let status = either(random, 429, 503);
            Fault::ThrottledUntilDate { status, ahead: Duration::from_millis(600) }
        }
        3 | 4 => Fault::Failed(either(random, 500, 503)),
        5 => Fault::Slow,
        6 => Fault::Reset,
        _ => Fault::Truncated,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::league::generate;

    fn plan() -> (Plan, League) {
        let league = generate::league(3, 60);
        (Plan::new(3, &league), league)
    }

    #[test]
    fn a_seed_determines_the_faults() {
        let (one, league) = plan();
        let (other, _) = plan();
        for day in league.days() {
            for arrival in 0..MAX_FAULTS {
                assert_eq!(one.fault(day, arrival), other.fault(day, arrival));
            }
        }
    }

    #[test]
    fn every_day_but_one_can_be_fetched() {
        let (plan, league) = plan();
        let hopeless = |day: &Date| plan.fault(*day, MAX_FAULTS).is_some();
        let days: Vec<_> = league.days().filter(hopeless).collect();
        assert_eq!(days, [plan.poison().unwrap()]);
    }

    #[test]
    fn a_season_has_every_kind_of_fault() {
        let (plan, league) = plan();
        let all: Vec<_> = league.days().flat_map(|day| plan.faults_before_success(day)).collect();
        let some = |is: fn(&Fault) -> bool| assert!(all.iter().any(is));
        some(|fault| matches!(fault, Fault::ThrottledForSeconds(_)));
        some(|fault| matches!(fault, Fault::ThrottledUntilDate { status: 429, .. }));
        some(|fault| matches!(fault, Fault::ThrottledUntilDate { status: 503, .. }));
        some(|fault| matches!(fault, Fault::Failed(500)));
        some(|fault| matches!(fault, Fault::Failed(503)));
        some(|fault| matches!(fault, Fault::Slow));
        some(|fault| matches!(fault, Fault::Reset));
        some(|fault| matches!(fault, Fault::Truncated));
    }

    #[test]
    fn a_day_that_is_gone_needs_one_request() {
        let (plan, league) = plan();
        let needed = |day| plan.requests_needed(day);
        assert_eq!(needed(plan.poison().unwrap()), 1);
        assert!(
            league.days().map(needed).all(|needed| (1..=MAX_FAULTS as usize + 1).contains(&needed))
        );
    }

    #[test]
    fn a_small_league_has_no_poison_day() {
        let league = generate::league(3, MIN_DAYS_FOR_POISON - 1);
        assert_eq!(Plan::new(3, &league).poison(), None);
    }
}
