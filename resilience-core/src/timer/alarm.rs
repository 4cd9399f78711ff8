//! A wait that most calls never come to.

use std::fmt;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Instant;

use tokio::task::coop::{Unconstrained, unconstrained};
use tokio::time::Sleep;

/// Boxed, because most calls never wait and every call is as large as its largest state. Outside of the
/// task's share of the executor: waiting is not work.
pub(crate) struct Alarm(Option<Pin<Box<Unconstrained<Sleep>>>>);

impl Alarm {
    /// Has rung.
    pub(crate) const fn none() -> Alarm {
        Alarm(None)
    }

    /// Rings at `instant`, or at most a millisecond later.
    pub(crate) fn at(instant: Instant) -> Alarm {
        Alarm(Some(Box::pin(unconstrained(tokio::time::sleep_until(instant.into())))))
    }

    /// Whether it has rung.
    pub(crate) fn poll(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        self.0.as_mut().map_or(Poll::Ready(()), |sleep| sleep.as_mut().poll(cx))
    }
}

impl fmt::Debug for Alarm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.0.is_some() { "Alarm" } else { "no alarm" })
    }
}
