use std::pin::{Pin, pin};
use std::task::{Context, Poll};
use std::time::Instant;

use pin_project_lite::pin_project;
use tokio::task::coop::unconstrained;
use tokio::time::Sleep;

use crate::deadline::Deadline;

pin_project! {
    /// The one timer of a call: armed for what comes first, when something first waits.
    #[derive(Debug)]
    pub(super) struct Watch {
        #[pin]
        sleep: Option<Sleep>,
    }
}

impl Watch {
    pub(super) const fn unarmed() -> Watch {
        Watch { sleep: None }
    }

    /// Whether `then` has come. A deadline around this one that comes no later needs no timer here: who
    /// set it polls this, and drops it then. It is looked at anew at each poll, since a future can outlive
    /// the deadline that it was first polled under.
    pub(super) fn poll(mut self: Pin<&mut Self>, then: Instant, cx: &mut Context<'_>) -> Poll<()> {
        if Deadline::current().is_some_and(|current| current.instant() <= then) {
            return Poll::Pending;
        }
        let then = tokio::time::Instant::from_std(then);
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
