//! Which call a connection is opened for.
//!
//! A pool that has no idle connection opens one, and takes what comes first: that, or one that comes back.
//! If one comes back, hyper-util goes on opening the other in a task of its own, "so as to not waste the
//! socket": a connection that nobody waits for. It is begun inside of a poll of the call, so the call
//! can be found there, and what nobody waits for any more is given up.

use std::cell::RefCell;
use std::sync::Arc;

use tokio::sync::watch;

use super::returns::Returns;

thread_local! {
    static CURRENT: RefCell<Option<Asking>> = const { RefCell::new(None) };
}

/// A call that needs a connection.
#[derive(Debug, Clone)]
pub(super) struct Asking {
    answered: watch::Receiver<()>,
    returns: Arc<Returns>,
}

/// Of one call, until it has its answer.
#[derive(Debug)]
pub(super) struct Scope {
    unanswered: watch::Sender<()>,
    returns: Arc<Returns>,
}

impl Scope {
    pub(super) fn new(returns: Arc<Returns>) -> Scope {
        Scope { unanswered: watch::Sender::new(()), returns }
    }

    /// What is begun in here is begun for this call.
    pub(super) fn enter<T>(&self, body: impl FnOnce() -> T) -> T {
        let asking =
            Asking { answered: self.unanswered.subscribe(), returns: self.returns.clone() };
        let _restored = Restore(CURRENT.replace(Some(asking)));
        body()
    }
}

struct Restore(Option<Asking>);

impl Drop for Restore {
    fn drop(&mut self) {
        CURRENT.set(self.0.take());
    }
}

/// The call that is being polled, if there is one.
pub(super) fn current() -> Option<Asking> {
    CURRENT.with_borrow(Clone::clone)
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
