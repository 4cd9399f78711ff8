//! Measurements in interleaved rounds, which reduce the effect of load on the machine, and counts
//! of allocations.

use std::time::Duration;

use tower::BoxError;

use super::lane::{Lane, Mode, Sample};
use super::subject::{Batch, Subject};
use super::{pool, together};
use crate::stats::Spread;

/// Number and length of the samples.
#[derive(Debug, Clone, Copy)]
#[non_exhaustive]
pub struct Effort {
    /// Samples of each subject in each mode.
    pub rounds: usize,
    /// Approximate wall time of a sample.
    pub time: Duration,
    /// Takes an uncounted sample before each one, so that the cache holds the data of the subject
    /// rather than that of other subjects.
    pub warm: bool,
}

impl Effort {
    /// Returns 21 rounds of 2 ms if `quick`, otherwise 61 rounds of 4 ms, both without `warm`.
    #[must_use]
    pub const fn new(quick: bool) -> Effort {
        if quick {
            Effort { rounds: 21, time: Duration::from_millis(2), warm: false }
        } else {
            Effort { rounds: 61, time: Duration::from_millis(4), warm: false }
        }
    }

    /// Sets `warm`, for subjects with more data than fits into the cache together.
    #[must_use]
    pub const fn warm(mut self) -> Effort {
        self.warm = true;
        self
    }
}

/// Cost of one subject in one mode.
#[derive(Debug)]
#[non_exhaustive]
pub struct Measured {
    /// Index of the subject in the list passed to [`all`].
    pub subject: usize,
    /// Threads and runtimes that made the calls.
    pub mode: Mode,
    /// CPU nanoseconds for each call, on each thread. `None` if two threads ran in parallel in
    /// fewer than five rounds.
    pub ns: Option<Spread>,
    /// Nanoseconds of wall time for each call, as a median. `None` in the same cases as `ns`.
    pub wall_ns: Option<f64>,
    /// Mean number of allocations of a call.
    pub allocations: f64,
    /// CPU nanoseconds for each call in each round, for ratios. `None` for a round that does not
    /// count.
    rounds: Vec<Option<f64>>,
}

impl Measured {
    /// Returns the median of the ratios to `other` in each round. Both must come from one call of
    /// [`all`]. Returns `None` if fewer than five rounds count for both.
    pub(crate) fn ratio(&self, other: &Measured) -> Option<f64> {
        let both = self.rounds.iter().zip(&other.rounds);
        let ratios: Vec<Option<f64>> = both.map(|(of, other)| Some((*of)? / (*other)?)).collect();
        together::spread(&ratios).map(|ratio| ratio.median)
    }
}

/// Returns the mean number of allocations of `calls` calls. Makes 100 calls before it counts, so
/// that state that a subject allocates once (a runtime's timer, a breaker's windows) exists by
/// then.
///
/// # Errors
/// Returns the error of a call, or fails if there are more than [`u32::MAX`] allocations.
pub fn allocations(batch: &mut Batch, calls: u32) -> Result<f64, BoxError> {
    batch(100)?;
    let mut result = Ok(());
    let counted = allocation_counter::measure(|| result = batch(calls.into()));
    result?;
    Ok(f64::from(u32::try_from(counted.count_total)?) / f64::from(calls))
}

/// Measures every subject in every mode that it supports. Progress goes to standard error, on a
/// line that the caller ends.
///
/// # Errors
/// Returns the error of a call, or fails if a runtime cannot be created.
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

/// Takes a sample of every lane in each round. Each round starts at a different lane, so that no
/// lane always has the same position. The first round needs no warm-up: calibration ran every lane.
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
