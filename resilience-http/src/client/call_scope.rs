//! The call that a connection is opened for.
//!
//! A pool without an idle connection opens one, and uses whichever is ready first: the new
//! connection, or another one that returns. If another one returns, hyper-util goes on opening the
//! first in a task of its own, "so as to not waste the socket", and no call waits for it. The
//! connect is begun inside a poll of the call, so a thread-local identifies the call there, and the
//! connect is given up when the call no longer needs it.

use std::cell::Cell;
use std::sync::Arc;

use tokio::sync::watch;

use super::connection_count::ConnectionCount;

thread_local! {
    static CURRENT: Cell<Option<CallScope>> = const { Cell::new(None) };
}

/// A handle of a connect on the call that needs it.
#[derive(Debug)]
pub(super) struct ConnectingCall {
    /// Closed when the call has its response, or is dropped.
    ended: watch::Receiver<()>,
    connections: Arc<ConnectionCount>,
}

/// The ambient state of one call, until the call has its response.
#[derive(Debug)]
pub(super) struct CallScope {
    /// Created with the first connect: most calls use an idle connection.
    waiting: Option<watch::Sender<()>>,
    connections: Arc<ConnectionCount>,
}

impl CallScope {
    pub(super) const fn new(connections: Arc<ConnectionCount>) -> CallScope {
        CallScope { waiting: None, connections }
    }

    fn connecting(&mut self) -> ConnectingCall {
        let waiting = self.waiting.get_or_insert_with(|| watch::Sender::new(()));
        ConnectingCall { ended: waiting.subscribe(), connections: self.connections.clone() }
    }
}

/// Runs `body` with `scope` as the current call. `None` runs it without one.
// The scope itself is moved into the thread-local and back, so a poll touches no reference count.
pub(super) fn within<T>(scope: &mut Option<CallScope>, body: impl FnOnce() -> T) -> T {
    if scope.is_none() {
        return body();
    }
    let former = CURRENT.replace(scope.take());
    // Moves the scope back, also if `body` panics.
    let _restore = Restore { scope, former };
    body()
}

struct Restore<'a> {
    scope: &'a mut Option<CallScope>,
    former: Option<CallScope>,
}

impl Drop for Restore<'_> {
    fn drop(&mut self) {
        *self.scope = CURRENT.replace(self.former.take());
    }
}

/// Returns a handle on the call that is being polled on this thread, if there is one.
pub(super) fn current() -> Option<ConnectingCall> {
    let mut scope = CURRENT.take()?;
    let call = scope.connecting();
    CURRENT.set(Some(scope));
    Some(call)
}

/// Returns `true` outside of all polls of calls: hyper-util polls a connect in a task of its own
/// once its call has another connection.
pub(super) fn is_outside_call() -> bool {
    let scope = CURRENT.take();
    let outside = scope.is_none();
    CURRENT.set(scope);
    outside
}

impl ConnectingCall {
    pub(super) fn connections(&self) -> Arc<ConnectionCount> {
        self.connections.clone()
    }
}

/// Waits until the call ends; for ever if there is none.
pub(super) async fn call_ended(call: Option<ConnectingCall>) {
    match call {
        // No value is ever sent: `changed` fails when the sender in the scope is dropped.
        Some(mut call) => while call.ended.changed().await.is_ok() {},
        None => std::future::pending().await,
    }
}
