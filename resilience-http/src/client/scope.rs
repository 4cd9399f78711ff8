//! Which call a connection is opened for.
//!
//! A pool that has no idle connection opens one, and takes what comes first: that, or one that comes back.
//! If one comes back, hyper-util goes on opening the other in a task of its own, "so as to not waste the
//! socket": a connection that nobody waits for. It is begun inside of a poll of the call, so the call
//! can be found there, and what nobody waits for any more is given up.

use std::cell::RefCell;

use tokio::sync::watch;

thread_local! {
    static CURRENT: RefCell<Option<watch::Receiver<()>>> = const { RefCell::new(None) };
}

/// Of one call, until it has its answer.
#[derive(Debug)]
pub(super) struct Scope(Option<(watch::Sender<()>, watch::Receiver<()>)>);

impl Scope {
    pub(super) fn new() -> Scope {
        Scope(Some(watch::channel(())))
    }

    /// What is begun in here is begun for this call.
    pub(super) fn enter<T>(&self, body: impl FnOnce() -> T) -> T {
        let Some((_, receiver)) = &self.0 else { return body() };
        let former = CURRENT.replace(Some(receiver.clone()));
        let _restored = Restore(former);
        body()
    }

    /// It waits for nothing any more.
    pub(super) fn end(&mut self) {
        self.0 = None;
    }
}

struct Restore(Option<watch::Receiver<()>>);

impl Drop for Restore {
    fn drop(&mut self) {
        CURRENT.set(self.0.take());
    }
}

/// Ends when the call does that is being polled; never, if there is none.
pub(super) fn current_call_ends() -> impl Future<Output = ()> + Send + 'static {
    let receiver = CURRENT.with_borrow(Clone::clone);
    async move {
        match receiver {
            Some(mut receiver) => while receiver.changed().await.is_ok() {},
            None => std::future::pending().await,
        }
    }
}
