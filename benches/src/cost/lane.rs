//! Lanes: a lane is a subject in one mode, and each round takes one sample of it.

use std::time::Duration;

use tokio::runtime::Handle;
use tower::BoxError;

use super::cpu::{self, Took};
use super::subject::{Batch, Subject};
use super::together;

/// Threads and runtimes that make the calls.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Mode {
    /// A single thread.
    One,
    /// Two threads, each with its own current-thread runtime.
    Two,
    /// The two workers of one multi-thread runtime.
    Workers,
}

impl Mode {
    /// Returns the number of threads.
    #[must_use]
    pub const fn threads(self) -> u32 {
        match self {
            Mode::One => 1,
            Mode::Two | Mode::Workers => 2,
        }
    }

    /// Returns the name of the mode in tables and reports.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Mode::One => "one thread",
            Mode::Two => "two runtimes",
            Mode::Workers => "two workers",
        }
    }
}

/// CPU time and wall time for each call on a thread, in nanoseconds.
#[derive(Debug, Clone, Copy)]
pub(super) struct Sample {
    pub(super) cpu: f64,
    pub(super) wall: f64,
}

/// A subject in one mode, with the number of calls of a sample.
pub(super) struct Lane {
    /// Index of the subject.
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
    /// Returns a lane for each mode that the subject supports. `index` is that of the subject;
    /// `pool` is the runtime for [`Mode::Workers`].
    ///
    /// # Errors
    /// Fails if a handle of the subject cannot be made.
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

    /// Sets the number of calls of a sample, so that a sample takes about `time`.
    ///
    /// # Errors
    /// Returns the error of a call.
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

    /// Takes a sample. Returns `None` if the two threads did not run in parallel.
    ///
    /// # Errors
    /// Returns the error of a call.
    pub(super) fn sample(&mut self) -> Result<Option<Sample>, BoxError> {
        let (took, together) = self.run()?;
        Ok(together.then_some(Sample {
            cpu: per_call(took.cpu, self.calls),
            wall: per_call(took.wall, self.calls),
        }))
    }

    /// Makes the calls of a sample. Returns the times, and `true` if there was one thread or two
    /// ran in parallel.
    fn run(&mut self) -> Result<(Took, bool), BoxError> {
        let calls = self.calls;
        match &mut self.run {
            Run::One(batch) => Ok((cpu::of_thread(|| batch(calls))?, true)),
            Run::Two(pair) => together::time(pair, calls),
            Run::Workers(batch) => {
                // Two workers make twice the calls, to take as long as one thread.
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

    /// Regression: if the two threads rarely ran in parallel, calibration of a slow subject reached
    /// a million calls of a millisecond.
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
