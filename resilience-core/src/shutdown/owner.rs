//! The owner, which runs the shutdown.

use std::fmt;
use std::future::poll_fn;
use std::task::Poll;
use std::time::{Duration, Instant};

use super::Phase;
use super::bounds::ShutdownBounds;
use super::builder::ShutdownBuilder;
use super::driver::Driver;
use super::hooks::{Hook, HookOutput, contain};
use super::report::{HookEnd, ShutdownReport};
#[cfg(feature = "signal")]
use super::signals;
use super::token::ShutdownToken;
use crate::clock;
use crate::config::{self, InvalidConfig};
use crate::name::Name;

/// The owner of a shutdown: has the hooks, receives signals, and runs the phases. See the
/// [module](super).
pub struct Shutdown {
    driver: Driver,
    bounds: ShutdownBounds,
    hooks: Vec<Hook>,
    /// Signals are received by the thread that may end the process.
    #[cfg(feature = "signal")]
    listens: bool,
}

impl Shutdown {
    /// Creates a builder with the defaults of [`ShutdownBounds`].
    pub fn builder() -> ShutdownBuilder {
        ShutdownBuilder::new()
    }

    pub(super) const fn new(token: ShutdownToken, bounds: ShutdownBounds) -> Shutdown {
        Shutdown {
            driver: Driver::new(token),
            bounds,
            hooks: Vec::new(),
            #[cfg(feature = "signal")]
            listens: false,
        }
    }

    /// Returns a token for the rest of the program.
    #[must_use]
    pub fn token(&self) -> ShutdownToken {
        self.driver.token().clone()
    }

    /// Returns the bounds of the phases.
    #[must_use]
    pub const fn bounds(&self) -> &ShutdownBounds {
        &self.bounds
    }

    /// Adds a hook that runs once no work is in flight, after the hooks that were added before:
    /// flush, release leases, deregister.
    ///
    /// The hook has an equal share of the time that is left for the hooks without a
    /// [bound of their own](Shutdown::hook_within), so a hook that hangs takes no time from later
    /// ones. Code in the hook reads the end with [`Deadline::current`](crate::Deadline::current),
    /// and is dropped then. A hook that fails or panics is reported, and the next one runs. Hooks
    /// do not run under a [`ShutdownToken`], so they may retry.
    pub fn hook<F, Fut>(&mut self, name: impl Into<Name>, hook: F) -> &mut Shutdown
    where
        F: FnOnce() -> Fut + Send + 'static,
        Fut: Future<Output: HookOutput> + Send + 'static,
    {
        self.add(Hook::new(name.into(), None, hook));
        self
    }

    /// Adds a hook with a bound of its own, otherwise like [`hook`](Shutdown::hook).
    ///
    /// # Errors
    /// If `bound` is zero, or the bounds of all hooks exceed the time for hooks.
    pub fn hook_within<F, Fut>(
        &mut self,
        name: impl Into<Name>,
        bound: Duration,
        hook: F,
    ) -> Result<&mut Shutdown, InvalidConfig>
    where
        F: FnOnce() -> Fut + Send + 'static,
        Fut: Future<Output: HookOutput> + Send + 'static,
    {
        config::wait("bound", bound)?;
        let room = self.bounds.hooks.saturating_sub(own_bounds(&self.hooks));
        if bound > room {
            return Err(InvalidConfig::new(
                "bound",
                format_args!("{bound:?}"),
                format_args!("at most what hooks have left, {room:?}"),
            ));
        }
        self.add(Hook::new(name.into(), Some(bound), hook));
        Ok(self)
    }

    fn add(&mut self, hook: Hook) {
        self.driver.token().shared().hooks.add(hook.name.clone());
        self.hooks.push(hook);
    }

    /// Begins the shutdown at SIGTERM and SIGINT (Ctrl-C, elsewhere than on Unix) from now on. A
    /// second signal forces it, and a third one skips the hooks that are left. Signals of one kind
    /// that arrive before the first of them is received count as one.
    ///
    /// Signals are received by [`run`](Shutdown::run), and kept until then. While its runtime is
    /// blocked none is received, and the process does not react to any number of them. With
    /// [`exit_process_at_total`](super::ShutdownBuilder::exit_process_at_total) a thread receives
    /// them instead: the first one takes effect at once, and the third one ends the process.
    ///
    /// Panics outside of a tokio runtime with its signals enabled (`enable_all`), as tokio does;
    /// not with `exit_process_at_total`, which needs no runtime here.
    ///
    /// # Errors
    /// Those of the operating system, if it starts no thread or installs no signal handler.
    #[cfg(feature = "signal")]
    pub fn on_signals(mut self) -> std::io::Result<Shutdown> {
        let token = self.token();
        match token.shared().exit() {
            Some(notices) if !self.listens => signals::listen_apart(&token, notices)?,
            Some(_) => {}
            None => self.driver.listen(signals::Signals::new()?),
        }
        self.listens = true;
        Ok(self)
    }

    /// Waits until the shutdown begins, and runs it phase by phase, each within its bound. Returns
    /// the report. Phases advance only while this future is polled; dropping it drops the hooks and
    /// leaves the phase.
    ///
    /// The bounds hold for pending work, not for code that blocks its thread. A handler that blocks
    /// all threads of the runtime keeps this future from being polled: phases come late, and
    /// signals are not received, until a thread is free. A hook, a listener or a destructor that
    /// blocks inside of this future has that effect on any runtime.
    /// [`exit_process_at_total`](super::ShutdownBuilder::exit_process_at_total) ends the process
    /// all the same; without it, code that blocks for ever keeps the process for ever.
    ///
    /// Exit with `std::process::exit(report.exit_code().into())`: a tokio runtime that is dropped
    /// waits for its blocking tasks without a bound.
    pub async fn run(self) -> ShutdownReport {
        let Shutdown { mut driver, bounds, hooks, .. } = self;
        driver.until(Phase::Flushing).await;
        let end = clock::later(clock::now(), bounds.hooks);
        let mut hooks = hooks.into_iter();
        let mut index = 0;
        while let Some(hook) = hooks.next() {
            let share = share(&hook, hooks.as_slice(), end);
            run_hook(&mut driver, index, hook, share).await;
            index += 1;
        }
        let shared = driver.token().shared();
        shared.hooks_ended();
        shared.report(clock::now())
    }
}

fn own_bounds(hooks: &[Hook]) -> Duration {
    hooks.iter().filter_map(|hook| hook.bound).sum()
}

/// Returns the time of a hook that runs before these others.
fn share(hook: &Hook, others: &[Hook], end: Instant) -> Duration {
    let left = end.saturating_duration_since(clock::now());
    hook.bound.map_or_else(
        || {
            let sharing = others.iter().filter(|hook| hook.bound.is_none()).count() + 1;
            let sharing = u32::try_from(sharing).unwrap_or(u32::MAX);
            left.saturating_sub(own_bounds(others)) / sharing
        },
        |bound| bound.min(left),
    )
}

async fn run_hook(driver: &mut Driver, index: usize, hook: Hook, share: Duration) {
    let token = driver.token().clone();
    let log = &token.shared().hooks;
    if token.phase() == Phase::Stopped {
        contain(|| drop(hook));
        return log.ended(index, Duration::ZERO, stopped(driver));
    }
    let began = clock::now();
    log.started(index, began);
    let mut running = hook.start(share);
    let end = poll_fn(|cx| {
        let ended = running.poll(cx);
        // The hook's end first, if both come in the same poll.
        if ended.is_pending() && driver.poll(Phase::Stopped, cx).is_ready() {
            return Poll::Ready(stopped(driver));
        }
        ended
    });
    let end = end.await;
    contain(|| drop(running));
    log.ended(index, clock::now().saturating_duration_since(began), end);
}

/// Returns the end of a hook that was running, or waiting, when the shutdown stopped.
fn stopped(driver: &Driver) -> HookEnd {
    if driver.token().shared().is_abandoned() { HookEnd::Skipped } else { HookEnd::OutOfTime }
}

impl fmt::Debug for Shutdown {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let hooks: Vec<_> = self.hooks.iter().map(|hook| &hook.name).collect();
        f.debug_struct("Shutdown")
            .field("phase", &self.driver.token().phase())
            .field("bounds", &self.bounds)
            .field("hooks", &hooks)
            .finish_non_exhaustive()
    }
}
