//! Rounds and allocations: numbers that a busy machine moves as little as can be.

use std::time::Duration;

use tower::BoxError;

use super::lane::{Lane, Mode, Sample};
use super::subject::{Batch, Subject};
use super::{pool, together};
use crate::stats::Spread;

/// How much is measured.
#[derive(Debug, Clone, Copy)]
#[non_exhaustive]
pub struct Effort {
    /// How often each subject is measured.
    pub rounds: usize,
    /// About how long one of these takes.
    pub time: Duration,
    /// Whether each is preceded by one that is not counted, so that it finds its own data in the cache, not
    /// the others'.
    pub warm: bool,
}

impl Effort {
    /// For a look, or for the record.
    #[must_use]
    pub const fn new(quick: bool) -> Effort {
        if quick {
            Effort { rounds: 21, time: Duration::from_millis(2), warm: false }
        } else {
            Effort { rounds: 61, time: Duration::from_millis(4), warm: false }
        }
    }

    /// For subjects whose data does not fit beside each other's.
    #[must_use]
    pub const fn warm(mut self) -> Effort {
        self.warm = true;
        self
    }
}

/// What one subject costs in one mode.
#[derive(Debug)]
#[non_exhaustive]
pub struct Measured {
    /// Its place in the list.
    pub subject: usize,
    /// On what it was called.
    pub mode: Mode,
    /// Nanoseconds of CPU for each call, on each thread; `None` if two never ran side by side.
    pub ns: Option<Spread>,
    /// Nanoseconds that passed.
    pub wall_ns: Option<f64>,
    /// Of each call.
    pub allocations: f64,
    /// Nanoseconds of each round, for ratios.
    rounds: Vec<Option<f64>>,
}

impl Measured {
    /// How many times as much as the other, which was measured in the same rounds: the median of their own ratios.
    pub(crate) fn ratio(&self, other: &Measured) -> Option<f64> {
        let both = self.rounds.iter().zip(&other.rounds);
        let ratios: Vec<Option<f64>> = both.map(|(of, other)| Some((*of)? / (*other)?)).collect();
        together::spread(&ratios).map(|ratio| ratio.median)
    }
}

/// How often each of `calls` calls allocates, once a hundred have been made: what a subject makes once
/// (a runtime's timer, a breaker's windows) is there by then.
///
/// # Errors
/// Those of the calls.
pub fn allocations(batch: &mut Batch, calls: u32) -> Result<f64, BoxError> {
    batch(100)?;
    let mut result = Ok(());
    let counted = allocation_counter::measure(|| result = batch(calls.into()));
    result?;
    Ok(f64::from(u32::try_from(counted.count_total)?) / f64::from(calls))
}

/// Measures every subject in every mode it can be called in. Says how far it is on a line that the caller ends.
///
/// # Errors
/// Those of the calls, and if there is no runtime to be had.
pub fn all(subjects: &[&Subject], effort: Effort) -> Result<Vec<Measured>, BoxError> {
    let pool = pool::runtime()?;
    let lanes =
        subjects.iter().enumerate().map(|(at, subject)| Lane::of(at, subject, pool.handle()));
    let mut lanes: Vec<Lane> =
        lanes.collect::<Result<Vec<_>, _>>()?.into_iter().flatten().collect();
    lanes.iter_mut().try_for_each(|lane| lane.calibrate(effort.time))?;
    let rounds = interleaved(&mut lanes, effort)?;
    let counts = subjects
        .iter()
        .map(|subject| allocations(&mut subject.handle()?, 1_000))
        .collect::<Result<Vec<_>, _>>()?;
    Ok(lanes
        .iter()
        .zip(rounds)
        .map(|(lane, samples)| {
            let of = |pick: fn(Sample) -> f64| -> Vec<Option<f64>> {
                samples.iter().map(|sample| sample.map(pick)).collect()
            };
            let rounds = of(|sample| sample.cpu);
            Measured {
                subject: lane.subject,
                mode: lane.mode,
                ns: together::spread(&rounds),
                wall_ns: together::spread(&of(|sample| sample.wall)).map(|wall| wall.median),
                allocations: counts[lane.subject],
                rounds,
            }
        })
        .collect())
}

/// Measures every lane once a round, each round beginning with another one, so that none always
/// follows the same neighbour's cache. The calibration before has warmed all of them up.
fn interleaved(lanes: &mut [Lane], effort: Effort) -> Result<Vec<Vec<Option<Sample>>>, BoxError> {
    let rounds = effort.rounds;
    let mut samples = vec![Vec::with_capacity(rounds); lanes.len()];
    for round in 0..rounds {
        eprint!("\r{} rows, round {} of {rounds} ", lanes.len(), round + 1);
        for turn in 0..lanes.len() {
            let lane = (7 * round + turn) % lanes.len();
            if effort.warm {
                lanes[lane].sample()?;
            }
            samples[lane].push(lanes[lane].sample()?);
        }
    }
    Ok(samples)
}
