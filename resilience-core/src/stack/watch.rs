use std::pin::Pin;
use std::task::{Context, Poll};

use pin_project_lite::pin_project;

use crate::deadline::Deadline;
use crate::timer::Wait;

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
        wait: Wait,
    }
}

impl Timer for Watch {
    type Or<T: Timer> = Watch;

    fn poll(self: Pin<&mut Self>, then: Deadline, cx: &mut Context<'_>) -> Poll<()> {
        self.project().wait.poll(then, cx)
    }
}
