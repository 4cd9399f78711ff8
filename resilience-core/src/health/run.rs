//! Runs of a check: one at a time, in a task of its own, ended by its timeout.
//!
//! A task, because a run belongs to all who wait for it and outlives the one who asked first. It ends
//! at its timeout, so there is never more than one for a check, and none for longer than that.

use std::any::Any;
use std::future::poll_fn;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::pin;
use std::sync::Arc;
use std::time::Instant;

use tokio::runtime::Handle;
use tokio::sync::Notify;

use super::check::{Check, Run};
use super::failure::{Failure, FailureKind};
use super::verdict::{Asked, CachedVerdict, CheckTerms, RunId};
use crate::clock;
use crate::deadline::Deadline;
use crate::sync::Mutex;
use crate::timeout::within;

/// A check and what it found.
pub(super) struct Runner {
    run: Run,
    terms: CheckTerms,
    verdict: Mutex<CachedVerdict>,
    /// Told when a run is over.
    over: Notify,
}

/// A run that somebody waits for.
pub(super) struct Pending {
    runner: Arc<Runner>,
    run: RunId,
    until: Instant,
}

impl Runner {
    pub(super) fn new(check: Check) -> Arc<Runner> {
        let verdict = Mutex::new(CachedVerdict::new());
        Arc::new(Runner { run: check.run, terms: check.terms, verdict, over: Notify::new() })
    }

    pub(super) fn terms(&self) -> &CheckTerms {
        &self.terms
    }

    /// Asks, and starts a run if one is called for. None if the answer is known.
    pub(super) fn ask(self: &Arc<Self>, now: Instant) -> Option<Pending> {
        let asked = self.verdict.lock().ask(&self.terms, now);
        match asked {
            Asked::Known => None,
            Asked::Wait { run, until } => Some(Pending { runner: self.clone(), run, until }),
            Asked::Run { run, until } => {
                self.start(run, until);
                Some(Pending { runner: self.clone(), run, until })
            }
        }
    }

    /// What is known, without asking for more.
    pub(super) fn look(&self, now: Instant) -> CachedVerdict {
        let mut verdict = self.verdict.lock();
        verdict.advance(&self.terms, now);
        verdict.clone()
    }

    fn start(self: &Arc<Self>, run: RunId, until: Instant) {
        let owed = Owed { runner: self.clone(), run };
        // Outside of a runtime nobody would poll it: what is owed is dropped.
        let Ok(runtime) = Handle::try_current() else { return };
        runtime.spawn(async move {
            let made = async { (owed.runner.run)().await };
            let result = match caught(within(Deadline::at(until), made)).await {
                Ok(Ok(result)) => result,
                Ok(Err(_)) => Err(Failure::new(FailureKind::TimedOut(owed.runner.terms.timeout))),
                Err(panic) => Err(of_panic(&*panic)),
            };
            owed.pay(result);
        });
    }
}

impl Pending {
    /// Until the run is over, or out of time. Dropped, it leaves the run to the others.
    pub(super) async fn over(self) {
        let Pending { runner, run, until } = self;
        let over = async {
            loop {
                // Before the look: it hears of everything from here on.
                let told = runner.over.notified();
                if !runner.verdict.lock().is_running(run) {
                    return;
                }
                told.await;
            }
        };
        // Out of time is for the verdict to note, when it is looked at.
        let _ = within(Deadline::at(until), over).await;
    }
}

/// A run's end, which is owed to those who wait. Dropped, also by a panic or by the end of the
/// runtime, it gives the run up.
struct Owed {
    runner: Arc<Runner>,
    run: RunId,
}

impl Owed {
    fn pay(self, result: Result<(), Failure>) {
        let Runner { verdict, terms, .. } = &*self.runner;
        verdict.lock().finish(self.run, result, terms, clock::now());
    }
}

impl Drop for Owed {
    fn drop(&mut self) {
        self.runner.verdict.lock().abandon(self.run);
        self.runner.over.notify_waiters();
    }
}

type Panic = Box<dyn Any + Send>;

/// A future that ends where it panics.
async fn caught<F: Future>(future: F) -> Result<F::Output, Panic> {
    let mut future = pin!(future);
    poll_fn(|cx| match catch_unwind(AssertUnwindSafe(|| future.as_mut().poll(cx))) {
        Ok(poll) => poll.map(Ok),
        Err(panic) => std::task::Poll::Ready(Err(panic)),
    })
    .await
}

fn of_panic(panic: &(dyn Any + Send)) -> Failure {
    let text = panic.downcast_ref::<&str>().copied();
    let text = text.or_else(|| panic.downcast_ref::<String>().map(String::as_str));
    let failure = Failure::new(FailureKind::Panicked);
    match text {
        Some(text) => failure.with_detail(text),
        None => failure,
    }
}
