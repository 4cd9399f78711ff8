//! A subject on so many threads: what is measured once a round.

use std::time::Duration;

use tokio::runtime::Handle;
use tower::BoxError;

use super::cpu::{self, Took};
use super::subject::{Batch, Subject};
use super::together;

/// On what the calls are made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Mode {
    /// One thread.
    One,
    /// Two threads, a current-thread runtime each.
    Two,
    /// The two workers of one multi-thread runtime.
    Workers,
}

impl Mode {
    /// How many.
    #[must_use]
    pub const fn threads(self) -> u32 {
        match self {
            Mode::One => 1,
            Mode::Two | Mode::Workers => 2,
        }
    }

    /// As reports have it.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Mode::One => "one thread",
            Mode::Two => "two runtimes",
            Mode::Workers => "two workers",
        }
    }
}

/// Nanoseconds of a call: of CPU, and of everything that passed.
#[derive(Debug, Clone, Copy)]
pub(super) struct Sample {
    pub(super) cpu: f64,
    pub(super) wall: f64,
}

pub(super) struct Lane {
    pub(super) subject: usize,
    pub(super) mode: Mode,
    run: Run,
    calls: u64,
}

enum Run {
    One(Batch),
    Two([Batch; 2]),
    Workers(Batch),
}

impl Lane {
    /// The lanes of the subject of this index.
    pub(super) fn of(
        index: usize,
        subject: &Subject,
        pool: &Handle,
    ) -> Result<Vec<Lane>, BoxError> {
        let lane = |mode, run| Lane { subject: index, mode, run, calls: 100 };
        let mut lanes = vec![lane(Mode::One, Run::One(subject.handle()?))];
        if subject.shared {
            lanes.push(lane(Mode::Two, Run::Two([subject.handle()?, subject.handle()?])));
            let pooled = subject.pooled(pool);
            lanes.extend(pooled.map(|batch| lane(Mode::Workers, Run::Workers(batch))));
        }
        Ok(lanes)
    }

    /// Finds out how many calls take about `time`, which is what each sample makes.
    pub(super) fn calibrate(&mut self, time: Duration) -> Result<(), BoxError> {
        for _ in 0..20 {
            let took = self.run()?.0.wall;
            if took * 4 >= time {
                let scale = time.as_secs_f64() / took.as_secs_f64();
                self.calls = scaled(self.calls, scale.clamp(0.01, 8.0));
                return Ok(());
            }
            self.calls *= 3;
            if self.calls > 1_000_000 {
                break;
            }
        }
        Ok(())
    }

    /// `None` if two threads did not run side by side.
    pub(super) fn sample(&mut self) -> Result<Option<Sample>, BoxError> {
        let (took, together) = self.run()?;
        Ok(together.then_some(Sample {
            cpu: per_call(took.cpu, self.calls),
            wall: per_call(took.wall, self.calls),
        }))
    }

    /// How long it took, and whether two threads ran side by side.
    fn run(&mut self) -> Result<(Took, bool), BoxError> {
        let calls = self.calls;
        match &mut self.run {
            Run::One(batch) => Ok((cpu::of_thread(|| batch(calls))?, true)),
            Run::Two(pair) => together::time(pair, calls),
            Run::Workers(batch) => {
                // Twice the calls for two workers, so that a sample takes as long.
                let took = cpu::of_process(|| batch(2 * calls))?;
                let both = together::side_by_side(took.cpu, None, took.wall);
                Ok((Took { cpu: took.cpu / 2, wall: took.wall }, both))
            }
        }
    }
}

#[expect(clippy::cast_precision_loss, reason = "a batch is far smaller than 2^53 calls")]
fn per_call(time: Duration, calls: u64) -> f64 {
    time.as_secs_f64() * 1e9 / calls as f64
}

#[expect(
    clippy::cast_precision_loss,
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "a batch is positive, and far smaller than 2^53 calls"
)]
fn scaled(calls: u64, scale: f64) -> u64 {
    (calls as f64 * scale).max(32.0) as u64
}

#[cfg(test)]
mod tests {
    use super::super::role::Role;
    use super::*;

    /// A subject whose threads rarely ran side by side once grew to a million calls of a millisecond.
    #[test]
    fn a_slow_subject_is_called_less_often_whether_or_not_two_run_side_by_side() {
        let slow = Subject::function(Role::Peer, "slow", || {
            let took = cpu_time::ProcessTime::now();
            while took.elapsed() < Duration::from_micros(50) {}
        });
        let pair = [slow.handle().unwrap(), slow.handle().unwrap()];
        let mut lane = Lane { subject: 0, mode: Mode::Two, run: Run::Two(pair), calls: 100 };
        lane.calibrate(Duration::from_millis(1)).unwrap();
        assert!(lane.calls <= 100, "{}", lane.calls);
    }
}
