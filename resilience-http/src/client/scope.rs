//! Which call a connection is opened for.
//!
//! A pool that has no idle connection opens one, and takes what comes first: that, or one that comes back.
//! If one comes back, hyper-util goes on opening the other in a task of its own, "so as to not waste the
//! socket": a connection that nobody waits for. It is begun inside of a poll of the call, so the call
//! can be found there, and what nobody waits for any more is given up.

use std::cell::Cell;
use std::sync::Arc;

use tokio::sync::watch;

use super::returns::Returns;

thread_local! {
    static CURRENT: Cell<Option<Scope>> = const { Cell::new(None) };
}

/// A call that needs a connection.
#[derive(Debug)]
pub(super) struct Asking {
    answered: watch::Receiver<()>,
    returns: Arc<Returns>,
}

/// Of one call, until it has its response.
#[derive(Debug)]
pub(super) struct Scope {
    /// Made for the first connection that is begun: most calls find one.
    no_response: Option<watch::Sender<()>>,
    returns: Arc<Returns>,
}

impl Scope {
    pub(super) const fn new(returns: Arc<Returns>) -> Scope {
        Scope { no_response: None, returns }
    }

    fn asking(&mut self) -> Asking {
        let no_response = self.no_response.get_or_insert_with(|| watch::Sender::new(()));
        Asking { answered: no_response.subscribe(), returns: self.returns.clone() }
    }
}

/// What is begun in `body` is begun for this call, if it has no response yet. The scope itself stands where it is found
/// for so long: a poll counts no references.
pub(super) fn within<T>(scope: &mut Option<Scope>, body: impl FnOnce() -> T) -> T {
    if scope.is_none() {
        return body();
    }
    let former = CURRENT.replace(scope.take());
    let _restored = Restore { scope, former };
    body()
}

struct Restore<'a> {
    scope: &'a mut Option<Scope>,
    former: Option<Scope>,
}

impl Drop for Restore<'_> {
    fn drop(&mut self) {
        *self.scope = CURRENT.replace(self.former.take());
    }
}

/// The call that is being polled, if there is one.
pub(super) fn current() -> Option<Asking> {
    // See docs/decisions/0022-connections-are-counted-where-they-are-held.md.
    let mut scope = CURRENT.take()?;
    let asking = scope.asking();
    CURRENT.set(Some(scope));
    Some(asking)
}

/// Returns `true` outside of all polls of calls: hyper-util polls a connect in a task of its own once its call has
/// another connection.
pub(super) fn is_outside() -> bool {
    let scope = CURRENT.take();
    let outside = scope.is_none();
    CURRENT.set(scope);
    outside
}

impl Asking {
    pub(super) fn returns(&self) -> Arc<Returns> {
        self.returns.clone()
    }
}

/// Ends when this call does; never, if there is none.
pub(super) async fn ends(call: Option<Asking>) {
    match call {
        // Nothing is ever sent: it ends when the call's side is dropped.
        Some(mut call) => while call.answered.changed().await.is_ok() {},
        None => std::future::pending().await,
    }
}
