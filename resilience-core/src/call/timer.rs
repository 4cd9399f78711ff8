//! The timer of a call.

use std::pin::Pin;
use std::task::{Context, Poll};

use pin_project_lite::pin_project;

use crate::deadline::Deadline;
use crate::timer::Wait;

/// The timer of a call or of one of its parts. A call without timed parts has [`NoTimer`], and is
/// smaller.
pub trait Timer: Default {
    /// The timer of a call that has a part with this timer and a part with the timer `T`.
    type Or<T: Timer>: Timer;

    /// Waits until `then`.
    fn poll(self: Pin<&mut Self>, then: Deadline, cx: &mut Context<'_>) -> Poll<()>;
}

/// The timer of parts that never wait for a time.
#[doc(hidden)]
#[derive(Debug, Default)]
pub struct NoTimer;

impl Timer for NoTimer {
    type Or<T: Timer> = T;

    fn poll(self: Pin<&mut Self>, _: Deadline, _: &mut Context<'_>) -> Poll<()> {
        Poll::Pending
    }
}

pin_project! {
    /// A timer, armed at the first wait.
    #[doc(hidden)]
    #[derive(Debug, Default)]
    pub struct CallTimer {
        #[pin]
        wait: Wait,
    }
}

impl Timer for CallTimer {
    type Or<T: Timer> = CallTimer;

    fn poll(self: Pin<&mut Self>, then: Deadline, cx: &mut Context<'_>) -> Poll<()> {
        self.project().wait.poll(then, cx)
    }
}
