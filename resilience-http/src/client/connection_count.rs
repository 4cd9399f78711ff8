//! An estimate of the number of open connections, for a client that does not let them be wrapped.
//!
//! reqwest does not expose its connections, so the end of a connection is not observable. Its
//! beginning is, and so are most ends: a response that announces it, an attempt that failed, a body
//! that was not read to its end. A connection without a known end and without a request on it is
//! idle in the pool, or on its way there, which takes a few turns of the executor. A connect that
//! would exceed the limit therefore waits that long, and is dropped if the pool hands out a
//! returning connection first.
//!
//! A pool opens a connection only if it has no idle one. Once the returning connections have had
//! time to arrive, every counted connection without a request on it must have ended unobserved: the
//! server closed it. The count is then lowered to the requests in flight, less those that wait for
//! a connection.

use std::sync::Arc;
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use resilience_core::bulkhead::Bulkhead;
use resilience_core::clock;
use tokio::sync::Notify;

/// The time that a connection needs to return to the pool after the end of its request.
const RETURN_TIME: Duration = Duration::from_millis(25);
/// The bound of a wait while other requests keep ending.
const LONGEST_WAIT: Duration = Duration::from_millis(40);

/// The estimated number of connections to one authority. Shared by all calls of the client.
#[derive(Debug)]
pub(super) struct ConnectionCount {
    limit: u32,
    /// One permit for each request in flight.
    requests: Bulkhead,
    state: Mutex<State>,
    /// Notified when a connection is closed.
    closed: Notify,
}

#[derive(Debug, Default)]
struct State {
    /// Connections that are open or being opened, without a known end.
    open: u32,
    /// The part of `open` that is still being opened.
    opening: u32,
    /// Connects that wait for `open` to fall below the limit, each for a call without a connection.
    waiting: u32,
    last_request_ended: Option<Instant>,
}

impl ConnectionCount {
    pub(super) fn new(limit: u32, requests: Bulkhead) -> Arc<ConnectionCount> {
        let state = Mutex::default();
        Arc::new(ConnectionCount { limit, requests, state, closed: Notify::new() })
    }

    pub(super) fn fresh(&self, requests: Bulkhead) -> Arc<ConnectionCount> {
        ConnectionCount::new(self.limit, requests)
    }

    /// Records that a request ended and its connection returns to the pool.
    pub(super) fn returned(&self) {
        self.state.lock().last_request_ended = Some(clock::now());
    }

    /// Records that a connection was closed.
    pub(super) fn closed(&self) {
        let mut state = self.state.lock();
        // Saturating: `open` may have been lowered to the requests in flight before this end was
        // seen.
        state.open = state.open.saturating_sub(1);
        drop(state);
        self.closed.notify_one();
    }

    /// Waits until another connection may be opened, for a call that has none. Cancel-safe:
    /// dropping the future leaves the count unchanged.
    pub(super) async fn reserve(self: Arc<Self>) -> OpeningConnection {
        let until = clock::now() + LONGEST_WAIT;
        let mut waiting = WaitingConnect::new(self.clone());
        loop {
            // Created before the count is read: `notify_one` stores a permit for a later waiter.
            let closed = self.closed.notified();
            let Some(wait) = waiting.try_reserve(until) else { break };
            let _closed_or_elapsed = tokio::time::timeout(wait, closed).await;
        }
        OpeningConnection(Some(self.clone()))
    }
}

/// A connect that waits for the count to fall below the limit. Its call has no connection yet.
struct WaitingConnect {
    connections: Arc<ConnectionCount>,
    is_counted: bool,
}

impl WaitingConnect {
    fn new(connections: Arc<ConnectionCount>) -> WaitingConnect {
        connections.state.lock().waiting += 1;
        WaitingConnect { connections, is_counted: true }
    }

    /// Counts another connection, or returns the time to wait before the next try.
    fn try_reserve(&mut self, until: Instant) -> Option<Duration> {
        let ConnectionCount { limit, requests, state, .. } = &*self.connections;
        let mut state = state.lock();
        if state.open >= *limit {
            let now = clock::now();
            let arrived = state.last_request_ended.map_or(now, |ended| ended + RETURN_TIME);
            let wait = until.min(arrived).saturating_duration_since(now);
            if !wait.is_zero() {
                return Some(wait);
            }
            // The pool has no idle connection, or it would not connect. So each connection that is
            // still open has a request on it, or is being opened.
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

impl Drop for WaitingConnect {
    fn drop(&mut self) {
        if self.is_counted {
            self.connections.state.lock().waiting -= 1;
        }
    }
}

/// A connection that is being opened, and is counted in `open` and `opening`. Dropping it before
/// [`opened`](Self::opened) counts the connection as closed.
pub(super) struct OpeningConnection(Option<Arc<ConnectionCount>>);

impl OpeningConnection {
    /// Records that the connection is open.
    pub(super) fn opened(mut self) {
        if let Some(connections) = self.0.take() {
            connections.state.lock().opening -= 1;
        }
    }
}

impl Drop for OpeningConnection {
    fn drop(&mut self) {
        if let Some(connections) = self.0.take() {
            connections.state.lock().opening -= 1;
            connections.closed();
        }
    }
}
