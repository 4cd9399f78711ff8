//! Scenario tables of specifications and test suites of the field, in this crate's code and
//! names. Each module names its source. A test of a deliberate difference gives the reason.

#![expect(clippy::unwrap_used, reason = "helpers of tests")]

mod aws_standard;
mod contention;
mod envoy;
mod finagle;
mod gax;
mod governor;
mod grpc;
mod resilience4j;
mod uber;

use std::time::{Duration, Instant};

use resilience_core::retry::{Attempts, RetryPolicy, StopReason, Verdict};
use resilience_core::{Deadline, Outcome, clock};

pub(crate) const fn ms(ms: u64) -> Duration {
    Duration::from_millis(ms)
}

/// A call through a policy, on a clock that jumps from attempt to attempt.
pub(crate) struct Call {
    attempts: Attempts,
    now: Instant,
    deadline: Option<Deadline>,
    u: f64,
}

/// The decision after an attempt.
#[derive(Debug, PartialEq)]
pub(crate) enum Next {
    Done,
    Wait(Duration),
    Stop(StopReason),
}

impl Call {
    /// A call with samples that are all `u`.
    pub(crate) fn new<C>(policy: &RetryPolicy<C>, u: f64) -> Call {
        let now = clock::now();
        Call { attempts: policy.start(now), now, deadline: None, u }
    }

    pub(crate) fn within(mut self, limit: Duration) -> Call {
        self.deadline = Some(Deadline::after(self.now, limit));
        self
    }

    /// The attempt ends in `outcome`; a wait is waited and the next attempt begins.
    pub(crate) fn ends(&mut self, outcome: Outcome) -> Next {
        match self.attempts.decide(self.now, self.deadline, outcome, self.u) {
            Verdict::Done => Next::Done,
            Verdict::Stop { reason, .. } => Next::Stop(reason),
            Verdict::Retry(retry) => {
                let delay = retry.delay();
                self.now += delay;
                retry.sent(&mut self.attempts);
                Next::Wait(delay)
            }
        }
    }
}
