//! Rounds, CPU time and allocations: numbers that a busy machine moves as little as can be.

use std::time::Duration;

use tower::BoxError;

use super::cpu::cpu_time;
use super::subject::{Batch, Group, Subject};
use super::together;
use crate::stats::Spread;

/// How much is measured.
#[derive(Debug, Clone, Copy)]
pub(super) struct Effort {
    pub(super) rounds: usize,
    pub(super) calls: u64,
}

impl Effort {
    pub(super) fn new(quick: bool) -> Effort {
        if quick {
            Effort { rounds: 11, calls: 5_000 }
        } else {
            Effort { rounds: 61, calls: 50_000 }
        }
    }
}

/// What one subject costs.
#[derive(Debug)]
pub(super) struct Measured {
    pub(super) name: &'static str,
    pub(super) group: Group,
    ours: bool,
    /// Nanoseconds of CPU for each call.
    pub(super) ns: Spread,
    /// That, in multiples of the group's baseline.
    pub(super) ratio: f64,
    pub(super) allocations: f64,
    /// Nanoseconds on each of two threads that share one layer, if they ever ran side by side.
    pub(super) shared_ns: Option<Spread>,
}

impl Measured {
    pub(super) fn allocates_against_the_promise(&self) -> bool {
        self.ours && self.allocations > 0.0
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

pub(super) fn all(subjects: &[Subject], effort: Effort) -> Result<Vec<Measured>, BoxError> {
    let alone = alone(subjects, effort)?;
    let shared = shared(subjects, effort)?;
    subjects
        .iter()
        .enumerate()
        .map(|(index, subject)| {
            let baseline =
                subjects.iter().position(|other| other.group == subject.group && other.baseline);
            let baseline = &alone[baseline.unwrap_or(index)];
            let ratios: Vec<f64> =
                alone[index].iter().zip(baseline).map(|(ns, baseline)| ns / baseline).collect();
            Ok(Measured {
                name: subject.name,
                group: subject.group,
                ours: subject.ours,
                ns: Spread::of(&alone[index]),
                ratio: Spread::of(&ratios).median,
                allocations: allocations(&mut subject.handle()?, 1_000)?,
                shared_ns: together::spread(&shared[index]),
            })
        })
        .collect()
}

fn alone(subjects: &[Subject], effort: Effort) -> Result<Vec<Vec<f64>>, BoxError> {
    let mut batches = subjects.iter().map(Subject::handle).collect::<Result<Vec<_>, _>>()?;
    interleaved(subjects.len(), effort, "one thread", |subject| {
        let time = cpu_time(|| batches[subject](effort.calls))?;
        Ok(per_call(time, effort.calls))
    })
}

fn shared(subjects: &[Subject], effort: Effort) -> Result<Vec<Vec<Option<f64>>>, BoxError> {
    // Shorter, so that fewer pairs are interrupted.
    let calls = effort.calls / 5;
    let mut pairs = subjects
        .iter()
        .map(|subject| Ok([subject.handle()?, subject.handle()?]))
        .collect::<Result<Vec<_>, BoxError>>()?;
    interleaved(subjects.len(), effort, "two threads", |subject| {
        let time = together::cpu_time(&mut pairs[subject], calls)?;
        Ok(time.map(|time| per_call(time, calls)))
    })
}

#[expect(clippy::cast_precision_loss, reason = "a batch is far smaller than 2^53 calls")]
fn per_call(time: Duration, calls: u64) -> f64 {
    time.as_secs_f64() * 1e9 / calls as f64
}

/// Measures every subject once a round, each round beginning with another one, so that none always
/// follows the same neighbour's cache. The round before the first is for warming up.
fn interleaved<T: Clone>(
    subjects: usize,
    effort: Effort,
    what: &str,
    mut measure: impl FnMut(usize) -> Result<T, BoxError>,
) -> Result<Vec<Vec<T>>, BoxError> {
    let mut rounds = vec![Vec::with_capacity(effort.rounds); subjects];
    (0..subjects).try_for_each(|subject| measure(subject).map(drop))?;
    for round in 0..effort.rounds {
        eprint!("\r{what}: round {} of {}", round + 1, effort.rounds);
        for turn in 0..subjects {
            let subject = (round + turn) % subjects;
            rounds[subject].push(measure(subject)?);
        }
    }
    eprintln!();
    Ok(rounds)
}
