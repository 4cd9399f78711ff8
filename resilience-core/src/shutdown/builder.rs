//! Builder of a shutdown.

use std::sync::mpsc;
use std::time::Duration;

use super::bounds::ShutdownBounds;
use super::exit;
use super::owner::Shutdown;
use super::sequence::ShutdownSequence;
use super::shared::Shared;
use super::token::ShutdownToken;
use crate::config::InvalidConfig;
use crate::name::Name;
use crate::observe::{Listen, Listener};

/// A builder of a [`Shutdown`]. The defaults are those of [`ShutdownBounds`].
#[derive(Debug, Clone)]
#[must_use = "a builder does nothing until `build` is called"]
pub struct ShutdownBuilder {
    name: Name,
    listener: Listener,
    /// Not checked yet.
    bounds: ShutdownBounds,
    exits: bool,
}

impl ShutdownBuilder {
    pub(super) fn new() -> ShutdownBuilder {
        ShutdownBuilder {
            name: Name::from_static("shutdown"),
            listener: Listener::default(),
            bounds: ShutdownBounds::default(),
            exits: false,
        }
    }

    /// Sets the name in rejections, events and the report; `shutdown` by default.
    pub fn name(mut self, name: impl Into<Name>) -> Self {
        self.name = name.into();
        self
    }

    /// Notifies this listener of phases and rejections.
    pub fn listen(mut self, listener: impl Listen) -> Self {
        self.listener = Listener::new(listener);
        self
    }

    /// Sets the time in which work is still accepted while health checks fail. May be zero.
    pub fn grace(mut self, grace: Duration) -> Self {
        self.bounds.grace = grace;
        self
    }

    /// Sets the time for work in flight to finish.
    pub fn drain(mut self, drain: Duration) -> Self {
        self.bounds.drain = drain;
        self
    }

    /// Sets the time for cancelled work to end.
    pub fn unwind(mut self, unwind: Duration) -> Self {
        self.bounds.unwind = unwind;
        self
    }

    /// Sets the time for all hooks together.
    pub fn hooks(mut self, hooks: Duration) -> Self {
        self.bounds.hooks = hooks;
        self
    }

    /// Sets the upper limit of the sum of all times, for a platform that kills the process after a
    /// time. [`build`](ShutdownBuilder::build) rejects times with a larger sum.
    pub fn total(mut self, total: Duration) -> Self {
        self.bounds.total = Some(total);
        self
    }

    /// Ends the process when [`total`](ShutdownBuilder::total) has passed since the shutdown began,
    /// and at the third signal, however blocked its threads are. Without this call nothing in this
    /// crate ends a process.
    ///
    /// A thread of its own prints the [`ShutdownReport`](super::ShutdownReport) so far to stderr,
    /// with the work in flight and each hook that is unfinished or has not run, and calls
    /// [`std::process::exit`]. The exit code is 4 +
    /// [`ShutdownReport::exit_code`](super::ShutdownReport::exit_code) of that report, 4 to 7:
    /// nothing was cut and no hook is open (4), work was cut (5), hooks were not done (6), both
    /// (7).
    ///
    /// - The thread waits for no other: not for runtimes, handlers, hooks, destructors, listeners,
    ///   wakers, nor for the lock or the reader of stderr. An output or an `atexit` handler that
    ///   blocks delays the end by up to two seconds, after which the process aborts.
    /// - With `on_signals` the first signal begins the shutdown at once, also if the runtime is
    ///   blocked or [`run`](Shutdown::run) is never polled. Three signals end the process, of one
    ///   kind or mixed, whether or not the shutdown was begun by something else. Signals of one
    ///   kind that arrive before the first of them is received count as one: the operating system
    ///   merges them.
    /// - It stays armed to the end of the process: after `run` has returned, since a runtime that
    ///   is dropped may wait for a blocking task, and also if `run` or the [`Shutdown`] is dropped.
    ///   Nothing disarms it, which makes this a setting for the `main` of a program and not for a
    ///   library or a test.
    /// - The time is real, from the operating system's monotonic clock; tokio's paused clock does
    ///   not move it. While the process is stopped or the machine sleeps, nothing ends it; time in
    ///   a stopped process counts.
    /// - Choose a `total` of a second or more above [`ShutdownBounds::longest`], or a shutdown that
    ///   needs all its time is ended just before its own report.
    /// - Each shutdown with this setting has its own thread, and the first one that is due ends the
    ///   process.
    ///
    /// ```
    /// # use std::time::Duration;
    /// # use resilience_core::shutdown::Shutdown;
    /// let shutdown = Shutdown::builder() // 27 s by default
    ///     .total(Duration::from_secs(29)) // Kubernetes kills after 30 s
    ///     .exit_process_at_total()
    ///     .build()?; // .on_signals()? with the feature `signal`
    /// # let _ = shutdown;
    /// # Ok::<_, resilience_core::InvalidConfig>(())
    /// ```
    pub fn exit_process_at_total(mut self) -> Self {
        self.exits = true;
        self
    }

    /// Builds the shutdown.
    ///
    /// # Errors
    /// Rejects a time that is out of its bounds: see [`ShutdownBounds::check`]. With
    /// [`exit_process_at_total`](ShutdownBuilder::exit_process_at_total) also a missing `total`,
    /// and an operating system that starts no thread.
    pub fn build(self) -> Result<Shutdown, InvalidConfig> {
        let sequence = ShutdownSequence::new(self.bounds.check()?);
        let total = if self.exits { Some(self.required_total()?) } else { None };
        let (notices, noticed) = mpsc::channel();
        let shared = Shared::new(self.name, self.listener, sequence, total.map(|_| notices));
        let token = ShutdownToken::new(shared);
        if let Some(total) = total {
            exit::start(token.clone(), total, noticed).map_err(|error| {
                let bound = format!("unset where no thread starts: {error}");
                InvalidConfig::new("exit_process_at_total", "set", bound)
            })?;
        }
        Ok(Shutdown::new(token, self.bounds))
    }

    fn required_total(&self) -> Result<Duration, InvalidConfig> {
        let bound = "set for `exit_process_at_total`";
        self.bounds.total.ok_or_else(|| InvalidConfig::new("total", "not set", bound))
    }
}
