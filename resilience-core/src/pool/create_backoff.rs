//! A backoff between failed attempts to make an object, shared by all callers.
//!
//! Without it, every caller that needs an object tries, and a pool's worth of attempts falls on a
//! server that is down. Here attempts take turns: none begins before the pause after the last
//! failure is over, and each postpones the next by the same pause. The first success ends the
//! backoff.

use std::future::poll_fn;
use std::pin::pin;
use std::task::Poll;
use std::time::{Duration, Instant};

use tokio::sync::Notify;

use crate::clock;
use crate::retry::{Backoff, Schedule};
use crate::sync::Mutex;
use crate::timer::Alarm;

#[derive(Debug)]
pub(super) struct CreateBackoff {
    backoff: Backoff,
    state: Mutex<State>,
    /// Notified when an attempt failed or succeeded.
    changed: Notify,
}

#[derive(Debug)]
struct State {
    schedule: Schedule,
    failures: u32,
    pause: Duration,
    /// When the next attempt may begin; `None` while nothing fails.
    next: Option<Instant>,
}

/// Permission to begin an attempt.
pub(super) enum Turn {
    Now,
    NotBefore(Instant),
}

impl CreateBackoff {
    pub(super) fn new(backoff: Backoff) -> CreateBackoff {
        let schedule = backoff.schedule();
        let state = State { schedule, failures: 0, pause: Duration::ZERO, next: None };
        CreateBackoff { backoff, state: Mutex::new(state), changed: Notify::new() }
    }

    /// Takes the turn if it has come, and postpones the next.
    pub(super) fn take(&self, now: Instant) -> Turn {
        let mut state = self.state.lock();
        match state.next {
            Some(at) if now < at => Turn::NotBefore(at),
            Some(_) => {
                state.next = Some(clock::later(now, state.pause));
                Turn::Now
            }
            None => Turn::Now,
        }
    }

    /// Waits for the turn and takes it.
    ///
    /// # Errors
    /// Those of `check`, which is called with `None` before each attempt to take the turn, and with
    /// the end of the wait before each wait.
    pub(super) async fn turn<E>(
        &self,
        mut check: impl FnMut(Instant, Option<Instant>) -> Result<(), E>,
    ) -> Result<(), E> {
        loop {
            // Created before `take`, so that a change in between is not missed.
            let mut changed = pin!(self.changed.notified());
            let now = clock::now();
            check(now, None)?;
            let Turn::NotBefore(at) = self.take(now) else { return Ok(()) };
            check(now, Some(at))?;
            let mut alarm = Alarm::at(at);
            poll_fn(|cx| match changed.as_mut().poll(cx) {
                Poll::Ready(()) => Poll::Ready(()),
                Poll::Pending => alarm.poll(cx),
            })
            .await;
        }
    }

    pub(super) fn succeeded(&self) {
        let mut state = self.state.lock();
        if state.next.take().is_some() {
            state.schedule = self.backoff.schedule();
            state.failures = 0;
            drop(state);
            self.changed.notify_waiters();
        }
    }

    /// Returns the number of consecutive failures, and the pause that follows.
    pub(super) fn failed(&self, now: Instant, u: f64) -> (u32, Duration) {
        let mut state = self.state.lock();
        state.failures = state.failures.saturating_add(1);
        state.pause = state.schedule.next(u);
        state.next = Some(clock::later(now, state.pause));
        let failed = (state.failures, state.pause);
        drop(state);
        self.changed.notify_waiters();
        failed
    }
}

#[cfg(test)]
#[cfg(not(resilience_loom))]
mod tests {
    use super::*;

    #[test]
    fn one_attempt_for_each_pause_and_all_after_a_success() {
        let backoff = CreateBackoff::new(Backoff::constant(Duration::from_secs(1)).unwrap());
        let now = clock::now();
        let may_begin = |at: Instant| matches!(backoff.take(at), Turn::Now);
        assert!(may_begin(now) && may_begin(now));
        assert_eq!(backoff.failed(now, 0.5), (1, Duration::from_secs(1)));
        assert!(!may_begin(now));
        let due = now + Duration::from_secs(1);
        assert!(may_begin(due) && !may_begin(due), "one, and the next has to wait as long");
        assert_eq!(backoff.failed(due, 0.5).0, 2);
        backoff.succeeded();
        assert!(may_begin(due) && may_begin(due));
        assert_eq!(backoff.failed(due, 0.5).0, 1);
    }
}
