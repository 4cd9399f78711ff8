use std::pin::{Pin, pin};
use std::task::{Context, Poll};

use pin_project_lite::pin_project;
use tokio::task::coop::unconstrained;
use tokio::time::Sleep;

use crate::deadline::Deadline;

/// What a call waits by for a time to come, if it may have to: a call that never waits for one is a good
/// deal smaller.
pub trait Timer: Default {
    /// The timer of a call that needs this one, or `T`, or both: there is one for all its parts.
    type Or<T: Timer>: Timer;

    /// Whether `then` has come.
    fn poll(self: Pin<&mut Self>, then: Deadline, cx: &mut Context<'_>) -> Poll<()>;
}

/// For parts that never wait for a time to come.
#[derive(Debug, Default)]
pub struct Untimed;

impl Timer for Untimed {
    type Or<T: Timer> = T;

    fn poll(self: Pin<&mut Self>, _: Deadline, _: &mut Context<'_>) -> Poll<()> {
        Poll::Pending
    }
}

pin_project! {
    /// The one timer of a call: armed for what comes first, when something first waits.
    #[derive(Debug, Default)]
    pub struct Watch {
        #[pin]
        sleep: Option<Sleep>,
    }
}

impl Timer for Watch {
    type Or<T: Timer> = Watch;

    /// A deadline around this one that comes no later needs no timer here: who set it polls this, and
    /// drops it then. It is looked at anew at each poll, since a future can outlive the deadline that it
    /// was first polled under.
    fn poll(mut self: Pin<&mut Self>, then: Deadline, cx: &mut Context<'_>) -> Poll<()> {
        if Deadline::current().is_some_and(|current| current <= then) {
            return Poll::Pending;
        }
        let then = tokio::time::Instant::from_std(then.instant());
        let mut this = self.as_mut().project();
        match this.sleep.as_mut().as_pin_mut() {
            None => this.sleep.set(Some(tokio::time::sleep_until(then))),
            Some(sleep) if sleep.deadline() != then => sleep.reset(then),
            Some(_) => {}
        }
        match this.sleep.as_pin_mut() {
            // What is inside may use up the task's share of the executor at every poll. The timer is not
            // work, and must be heard.
            Some(sleep) => pin!(unconstrained(sleep)).poll(cx),
            None => Poll::Pending,
        }
    }
}
