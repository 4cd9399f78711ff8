//! What goes wrong, decided before anything does.
//!
//! A [`Plan`] is a pure function of the seed, the day and how often that day was asked for, so both
//! arms meet the same faults however they ask. Faults end after [`MOST`] arrivals, so that every day
//! can be had by whoever keeps asking; except the poison day, which is gone, and for which asking
//! again is only noise.

use std::time::Duration;

use jiff::civil::Date;
use rand::RngExt;
use rand::rngs::Xoshiro256PlusPlus;

use crate::league::League;
use crate::seeded;

/// No more faults for a day after so many arrivals.
pub const MOST: u32 = 5;

/// How long a slow answer takes: longer than a caller with a timeout would wait.
pub const SLOW: Duration = Duration::from_millis(2_500);

/// One thing that goes wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Fault {
    /// 429, and the seconds until which not to come back.
    ThrottledForSeconds(u64),
    /// 429 or 503, and the date until which not to come back.
    ThrottledUntilDate {
        /// The status.
        status: u16,
        /// How far off the date is, rounded up to a whole second of the calendar.
        ahead: Duration,
    },
    /// 500 or 503, and nothing else.
    Failed(u16),
    /// The right answer, after [`SLOW`].
    Slow,
    /// The connection is reset.
    Reset,
    /// The body ends before its `Content-Length`.
    Truncated,
    /// 404, for ever.
    Gone,
}

/// A league of fewer days than this has none to spare for poison.
const SPARE: usize = 10;

/// The faults of a season.
#[derive(Debug, Clone)]
pub struct Plan {
    seed: u64,
    poison: Option<Date>,
}

impl Plan {
    /// The faults that a seed means for a league.
    #[must_use]
    pub fn new(seed: u64, league: &League) -> Plan {
        let poison = (league.days().len() >= SPARE).then(|| {
            let nth = seeded::stream(seed, "poison").random_range(0..league.days().len());
            league.days().nth(nth)
        });
        Plan { seed, poison: poison.flatten() }
    }

    /// The day that is gone.
    #[must_use]
    pub fn poison(&self) -> Option<Date> {
        self.poison
    }

    /// What happens to the `arrival`th request for a day, counted from 0.
    #[must_use]
    pub fn fault(&self, day: Date, arrival: u32) -> Option<Fault> {
        if self.poison == Some(day) {
            return Some(Fault::Gone);
        }
        let mut random = seeded::stream(self.seed, format_args!("{day}/{arrival}"));
        (arrival < MOST && random.random_bool(0.5)).then(|| draw(&mut random))
    }

    /// What somebody meets who asks for a day until it comes.
    pub fn on_the_way_to(&self, day: Date) -> impl Iterator<Item = Fault> {
        (0..MOST).map_while(move |arrival| self.fault(day, arrival))
    }

    /// The fewest requests that get a day, or the answer that it is gone.
    #[must_use]
    pub fn requests_needed(&self, day: Date) -> usize {
        if self.poison == Some(day) { 1 } else { self.on_the_way_to(day).count() + 1 }
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
    fn the_same_seed_means_the_same_faults() {
        let ((one, league), (other, _)) = (plan(), plan());
        for day in league.days() {
            for arrival in 0..MOST {
                assert_eq!(one.fault(day, arrival), other.fault(day, arrival));
            }
        }
    }

    #[test]
    fn every_day_but_one_can_be_had() {
        let (plan, league) = plan();
        let hopeless = |day: &Date| plan.fault(*day, MOST).is_some();
        let days: Vec<_> = league.days().filter(hopeless).collect();
        assert_eq!(days, [plan.poison().unwrap()]);
    }

    #[test]
    fn every_kind_of_fault_happens_in_a_season() {
        let (plan, league) = plan();
        let all: Vec<_> = league.days().flat_map(|day| plan.on_the_way_to(day)).collect();
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
    fn a_day_that_is_gone_is_asked_for_once() {
        let (plan, league) = plan();
        let needed = |day| plan.requests_needed(day);
        assert_eq!(needed(plan.poison().unwrap()), 1);
        assert!(league.days().map(needed).all(|needed| (1..=MOST as usize + 1).contains(&needed)));
    }

    #[test]
    fn a_small_league_keeps_all_its_days() {
        let league = generate::league(3, SPARE - 1);
        assert_eq!(Plan::new(3, &league).poison(), None);
    }
}
