//! Between connections that fail: one attempt, then a pause for everybody.
//!
//! Whoever needs a new object while the last attempt failed would try as well, and so a pool's worth of
//! callers falls on a server that is down. Here attempts take turns: none is begun before the pause
//! after the last failure is over, and whoever begins one puts the next off by as long. The first
//! success lets everybody go.

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
pub(super) struct Pace {
    backoff: Backoff,
    state: Mutex<State>,
    /// Attempts failed or succeeded: those who wait look again.
    news: Notify,
}

#[derive(Debug)]
struct State {
    schedule: Schedule,
    failures: u32,
    pause: Duration,
    /// When the next attempt may begin; `None` while nothing fails.
    next: Option<Instant>,
}

/// What became of a look at the turn.
pub(super) enum Turn {
    /// It is the caller's.
    Mine,
    /// Not before this.
    At(Instant),
}

impl Pace {
    pub(super) fn new(backoff: Backoff) -> Pace {
        let state =
            State { schedule: backoff.schedule(), failures: 0, pause: Duration::ZERO, next: None };
        Pace { backoff, state: Mutex::new(state), news: Notify::new() }
    }

    /// Takes the turn if it has come, and puts the next off.
    pub(super) fn take(&self, now: Instant) -> Turn {
        let mut state = self.state.lock();
        match state.next {
            Some(at) if now < at => Turn::At(at),
            Some(_) => {
                state.next = Some(clock::later(now, state.pause));
                Turn::Mine
            }
            None => Turn::Mine,
        }
    }

    /// Takes the turn, and waits for it in between if `check` lets it. `check` is asked before each wait
    /// and before the turn is taken, and told until when the wait would be.
    pub(super) async fn turn<E>(
        &self,
        mut check: impl FnMut(Instant, Option<Instant>) -> Result<(), E>,
    ) -> Result<(), E> {
        loop {
            // Made before the look: what happens in between is heard.
            let mut news = pin!(self.news.notified());
            let now = clock::now();
            check(now, None)?;
            let Turn::At(at) = self.take(now) else { return Ok(()) };
            check(now, Some(at))?;
            let mut alarm = Alarm::at(at);
            poll_fn(|cx| match news.as_mut().poll(cx) {
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
            self.news.notify_waiters();
        }
    }

    /// How many attempts failed in a row, and the pause that follows.
    pub(super) fn failed(&self, now: Instant, u: f64) -> (u32, Duration) {
        let mut state = self.state.lock();
        state.failures = state.failures.saturating_add(1);
        state.pause = state.schedule.next(u);
        state.next = Some(clock::later(now, state.pause));
        let told = (state.failures, state.pause);
        drop(state);
        self.news.notify_waiters();
        told
    }
}

#[cfg(test)]
#[cfg(not(resilience_loom))]
mod tests {
    use super::*;

    #[test]
    fn one_attempt_for_each_pause_and_all_after_a_success() {
        let pace = Pace::new(Backoff::constant(Duration::from_secs(1)).unwrap());
        let now = clock::now();
        let mine = |at: Instant| matches!(pace.take(at), Turn::Mine);
        assert!(mine(now) && mine(now));
        assert_eq!(pace.failed(now, 0.5), (1, Duration::from_secs(1)));
        assert!(!mine(now));
        let due = now + Duration::from_secs(1);
        assert!(mine(due) && !mine(due), "one, and the next has to wait as long");
        assert_eq!(pace.failed(due, 0.5).0, 2);
        pace.succeeded();
        assert!(mine(due) && mine(due));
        assert_eq!(pace.failed(due, 0.5).0, 1);
    }
}
