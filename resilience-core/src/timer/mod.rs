//! Waits that most calls never reach.
//!
//! Nearly every call has a deadline, is pending at its first poll, and ends long before the
//! deadline. A tokio timer for each call takes a lock of the runtime to set and another to cancel,
//! and all cores contend for that lock. Calls with a far deadline therefore share one timer for
//! each thread ([`Wait`]). A call needs to be woken *no later* than its deadline, and checks the
//! time then. No call is late: the shared timer is set for the deadline of the call that sets it,
//! or for a [minute](shared::LONGEST) ahead if that is sooner, and a call joins only if its own
//! deadline is no sooner. The cost is one more poll of all sharing calls when the timer fires, at
//! most once in [`FAR`](shared::FAR) for a thread. A call that must be woken sooner has a timer of
//! its own.
//!
//! An [`Alarm`] is for rare waits, and takes little space where there is no wait.

mod shared;
mod wait;

use std::fmt;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Instant;

use tokio::task::coop::{Unconstrained, unconstrained};
use tokio::time::Sleep;

pub(crate) use wait::Wait;

/// A timer that is boxed, since most calls never wait and every call is as large as its largest
/// state. Unconstrained: waiting takes nothing from the task's cooperative budget.
pub(crate) struct Alarm(Option<Pin<Box<Unconstrained<Sleep>>>>);

impl Alarm {
    /// Returns an alarm that has fired.
    pub(crate) const fn none() -> Alarm {
        Alarm(None)
    }

    /// Fires at `instant`, or at most a millisecond later.
    pub(crate) fn at(instant: Instant) -> Alarm {
        Alarm(Some(Box::pin(unconstrained(tokio::time::sleep_until(instant.into())))))
    }

    /// Returns `Ready` once the alarm has fired.
    pub(crate) fn poll(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        self.0.as_mut().map_or(Poll::Ready(()), |sleep| sleep.as_mut().poll(cx))
    }
}

impl fmt::Debug for Alarm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.0.is_some() { "Alarm" } else { "no alarm" })
    }
}
