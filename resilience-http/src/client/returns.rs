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
//! then falls to the requests under way, less those that wait for a connection.

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
    /// Those of `open` that are not made yet.
    opening: u32,
    /// Connects that wait for room, each for a call without a connection.
    waiting: u32,
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

    /// Waits until another connection may be opened, for a call that has none.
    pub(super) async fn room(self: Arc<Self>) -> Opening {
        let until = clock::now() + LONGEST_WAIT;
        let mut waiting = Waiting::new(self.clone());
        loop {
            let ended = self.ended.notified();
            let Some(wait) = waiting.take(until) else { break };
            let _or_enough_waited = tokio::time::timeout(wait, ended).await;
        }
        Opening(Some(self.clone()))
    }
}

/// A connect that waits for room: its call has no connection yet.
struct Waiting {
    returns: Arc<Returns>,
    is_counted: bool,
}

impl Waiting {
    fn new(returns: Arc<Returns>) -> Waiting {
        returns.state.lock().waiting += 1;
        Waiting { returns, is_counted: true }
    }

    /// Counts another connection, or returns how long to wait.
    fn take(&mut self, until: Instant) -> Option<Duration> {
        let Returns { limit, requests, state, .. } = &*self.returns;
        let mut state = state.lock();
        if state.open >= *limit {
            let now = clock::now();
            let ended = state.last_request_ended.map_or(now, |ended| ended + ON_ITS_WAY);
            let wait = until.min(ended).saturating_duration_since(now);
            if !wait.is_zero() {
                return Some(wait);
            }
            // The pool has none that is idle: what is left has a request on it, or is being opened.
            let in_use = requests.snapshot().in_use.saturating_sub(state.waiting);
            state.open = state.open.min(in_use.saturating_add(state.opening));
        }
        state.open += 1;
        state.opening += 1;
        state.waiting -= 1;
        self.is_counted = false;
        None
    }
}

impl Drop for Waiting {
    fn drop(&mut self) {
        if self.is_counted {
            self.returns.state.lock().waiting -= 1;
        }
    }
}

/// A connection that is being opened, and counts.
pub(super) struct Opening(Option<Arc<Returns>>);

impl Opening {
    /// It is open.
    pub(super) fn opened(mut self) {
        if let Some(returns) = self.0.take() {
            returns.state.lock().opening -= 1;
        }
    }
}

impl Drop for Opening {
    fn drop(&mut self) {
        if let Some(returns) = self.0.take() {
            returns.state.lock().opening -= 1;
            returns.is_gone();
        }
    }
}
