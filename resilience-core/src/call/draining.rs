//! The draining of the shutdown around a call, for calls and their retries.
//!
//! The module `shutdown` depends on this module and not the other way round: it registers itself as
//! the source when the first shutdown is made.

use std::fmt;
use std::pin::Pin;
use std::sync::OnceLock;
use std::task::{Context, Poll};

static SOURCE: OnceLock<&'static dyn DrainSource> = OnceLock::new();

pub(crate) type DrainWait = Pin<Box<dyn Future<Output = ()> + Send + Sync>>;

/// A source of the shutdown around the call that is polled on the current thread.
pub(crate) trait DrainSource: Sync {
    /// Returns `true` if the shutdown around the call drains. `None` if there is no shutdown around
    /// it.
    fn is_draining(&self) -> Option<bool>;

    /// Returns a wait until draining begins. `None` if there is no shutdown around the call.
    fn wait(&self) -> Option<DrainWait>;
}

/// Sets the source, once in a process.
pub(crate) fn register_drain_source(source: &'static dyn DrainSource) {
    // See docs/decisions/0038-a-call-reads-a-shutdown-through-two-functions.md.
    let _known = SOURCE.set(source);
}

/// Returns `true` if there is a shutdown around the call that is polled.
pub(crate) fn can_drain() -> bool {
    source().is_some_and(|source| source.is_draining().is_some())
}

/// Returns `true` if the shutdown around the call that is polled drains: the call begins nothing
/// new.
pub(crate) fn is_draining() -> bool {
    source().and_then(DrainSource::is_draining).unwrap_or(false)
}

fn source() -> Option<&'static dyn DrainSource> {
    SOURCE.get().copied()
}

/// A wait that ends when draining begins. Never ends without a shutdown around the call.
pub(crate) struct Draining(Option<DrainWait>);

impl Draining {
    pub(crate) const NEW: Draining = Draining(None);

    /// Waits. A shutdown that is entered after the first poll is found as well.
    pub(crate) fn poll(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        if self.0.is_none() {
            self.0 = source().and_then(DrainSource::wait);
        }
        self.0.as_mut().map_or(Poll::Pending, |wait| wait.as_mut().poll(cx))
    }
}

impl fmt::Debug for Draining {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.0.is_some() { "Draining" } else { "not polled" })
    }
}
