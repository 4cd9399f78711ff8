//! Runs of a check: one at a time, each in its own task, ended by its timeout.
//!
//! A task, because a run is shared by all waiting probes and outlives the one that started it. The
//! timeout bounds the tasks: at most one for each check.

use std::any::Any;
use std::future::poll_fn;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::pin;
use std::sync::Arc;
use std::time::Instant;

use tokio::runtime::Handle;
use tokio::sync::Notify;

use super::cached_result::{CachedResult, CheckSettings, RunDecision, RunId};
use super::check::{Check, Run};
use super::failure::{Failure, FailureKind};
use crate::clock;
use crate::deadline::Deadline;
use crate::sync::Mutex;
use crate::timeout::within;

/// A check with its cached result.
pub(super) struct Runner {
    run: Run,
    settings: CheckSettings,
    cached: Mutex<CachedResult>,
    /// Notified when a run is over.
    over: Notify,
}

/// A run in progress.
pub(super) struct Pending {
    runner: Arc<Runner>,
    run: RunId,
    until: Instant,
}

impl Runner {
    pub(super) fn new(check: Check) -> Arc<Runner> {
        let cached = Mutex::new(CachedResult::new());
        Arc::new(Runner { run: check.run, settings: check.settings, cached, over: Notify::new() })
    }

    pub(super) fn settings(&self) -> &CheckSettings {
        &self.settings
    }

    /// Starts a run if one is due. Returns the run to wait for, or `None` if the cached result is
    /// fresh.
    pub(super) fn start_if_due(self: &Arc<Self>, now: Instant) -> Option<Pending> {
        let decision = self.cached.lock().decide(&self.settings, now);
        match decision {
            RunDecision::Known => None,
            RunDecision::Wait { run, until } => Some(Pending { runner: self.clone(), run, until }),
            RunDecision::Run { run, until } => {
                self.start(run, until);
                Some(Pending { runner: self.clone(), run, until })
            }
        }
    }

    /// Returns the cached result at `now`.
    pub(super) fn look(&self, now: Instant) -> CachedResult {
        let mut cached = self.cached.lock();
        cached.advance(&self.settings, now);
        cached.clone()
    }

    fn start(self: &Arc<Self>, run: RunId, until: Instant) {
        // See docs/decisions/0044-a-health-check-is-a-task-with-a-cached-result.md.
        let guard = RunGuard { runner: self.clone(), run };
        // Outside of a runtime no task can run: the guard is dropped.
        let Ok(runtime) = Handle::try_current() else { return };
        runtime.spawn(async move {
            let made = async { (guard.runner.run)().await };
            let result = match caught(within(Deadline::at(until), made)).await {
                Ok(Ok(result)) => result,
                Ok(Err(_)) => {
                    Err(Failure::new(FailureKind::TimedOut(guard.runner.settings.timeout)))
                }
                Err(panic) => Err(of_panic(&*panic)),
            };
            guard.finish(result);
        });
    }
}

impl Pending {
    /// Waits until the run has ended or timed out. Cancelling leaves the run to other callers.
    pub(super) async fn over(self) {
        let Pending { runner, run, until } = self;
        let over = async {
            loop {
                // Created before the check, so that an end in between is not missed.
                let notified = runner.over.notified();
                if !runner.cached.lock().is_running(run) {
                    return;
                }
                notified.await;
            }
        };
        // A timeout is recorded when the cached result is read.
        let _ = within(Deadline::at(until), over).await;
    }
}

/// Ends a run when dropped. Without a result, after a panic or the end of the runtime, the run is
/// abandoned.
struct RunGuard {
    runner: Arc<Runner>,
    run: RunId,
}

impl RunGuard {
    fn finish(self, result: Result<(), Failure>) {
        let Runner { cached, settings, .. } = &*self.runner;
        cached.lock().finish(self.run, result, settings, clock::now());
    }
}

impl Drop for RunGuard {
    fn drop(&mut self) {
        self.runner.cached.lock().abandon(self.run);
        self.runner.over.notify_waiters();
    }
}

type Panic = Box<dyn Any + Send>;

/// Catches a panic of a future.
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
