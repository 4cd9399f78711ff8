//! Connections of a client that cannot be counted by who holds them.
//!
//! reqwest's connections carry nothing of ours, so their end is not seen. What is seen is their beginning, and
//! most ends: a response that announces it, an attempt that failed, a body that was not read to its end. A
//! connection that is not known to have ended, and that no request is on, is idle in the pool or on its
//! way there, which takes a few turns of the executor. So a connect that would exceed the limit waits for
//! that, and loses against the connection that comes back.
//!
//! A pool opens a connection only if it has no idle one. So once the connections on their way have had time to
//! arrive, all that are counted and have no request on them have ended unseen: the server closed them. The count
//! then falls to the requests under way.

use std::sync::Arc;
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use resilience_core::bulkhead::Bulkhead;
use resilience_core::clock;
use tokio::sync::Notify;

/// The time that a connection has to get back to the pool, from the end of its request.
const ON_ITS_WAY: Duration = Duration::from_millis(25);
/// The bound of a wait while requests go on ending.
const LONGEST_WAIT: Duration = Duration::from_millis(40);

/// The connections to one authority.
#[derive(Debug)]
pub(super) struct Returns {
    limit: u32,
    /// A permit for each request under way.
    requests: Bulkhead,
    state: Mutex<State>,
    ended: Notify,
}

#[derive(Debug, Default)]
struct State {
    /// Opened, or about to be, and not known to have ended.
    open: u32,
    last_request_ended: Option<Instant>,
}

impl Returns {
    pub(super) fn new(limit: u32, requests: Bulkhead) -> Arc<Returns> {
        Arc::new(Returns { limit, requests, state: Mutex::default(), ended: Notify::new() })
    }

    pub(super) fn fresh(&self, requests: Bulkhead) -> Arc<Returns> {
        Returns::new(self.limit, requests)
    }

    /// A request ended, whose connection is free.
    pub(super) fn comes_back(&self) {
        self.state.lock().last_request_ended = Some(clock::now());
    }

    /// A connection ended.
    pub(super) fn is_gone(&self) {
        let mut state = self.state.lock();
        state.open = state.open.saturating_sub(1);
        drop(state);
        self.ended.notify_one();
    }

    /// Waits until another may be opened.
    pub(super) async fn room(self: Arc<Self>) -> Opening {
        let until = clock::now() + LONGEST_WAIT;
        loop {
            let ended = self.ended.notified();
            let Some(wait) = self.take(until) else { break };
            let _or_enough_waited = tokio::time::timeout(wait, ended).await;
        }
        Opening(Some(self))
    }

    /// Counts another, or says how long to wait.
    fn take(&self, until: Instant) -> Option<Duration> {
        let mut state = self.state.lock();
        if state.open >= self.limit {
            let now = clock::now();
            let ended = state.last_request_ended.map_or(now, |ended| ended + ON_ITS_WAY);
            let wait = until.min(ended).saturating_duration_since(now);
            if !wait.is_zero() {
                return Some(wait);
            }
            if ended <= now {
                // The request of this connect is among them, so the sum is at least the connections that are left.
                state.open = state.open.min(self.requests.snapshot().in_use);
            }
            if state.open >= self.limit {
                // One has ended unseen, and this takes its place.
                return None;
            }
        }
        state.open += 1;
        None
    }
}

/// A connection that is being opened, and counts.
pub(super) struct Opening(Option<Arc<Returns>>);

impl Opening {
    /// It is open.
    pub(super) fn opened(mut self) {
        self.0 = None;
    }
}

impl Drop for Opening {
    fn drop(&mut self) {
        if let Some(returns) = self.0.take() {
            returns.is_gone();
        }
    }
}
