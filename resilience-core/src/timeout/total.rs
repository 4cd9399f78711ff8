//! The future of a call with a deadline.

use std::pin::Pin;
use std::task::{Context, Poll};

use pin_project_lite::pin_project;

use super::layer::Settings;
use super::within::{Within, begun};
use crate::clock::tick::Tick;
use crate::error::CarriesRejection;
use crate::rejection::RejectionKind;

pin_project! {
    /// A call that ends by its deadline. Dropping it drops the inner call.
    #[derive(Debug)]
    #[doc(hidden)]
    pub struct DeadlineFuture<F> {
        settings: Settings,
        #[pin]
        state: State<F>,
    }
}

pin_project! {
    #[derive(Debug)]
    #[project = StateProj]
    enum State<F> {
        TooLate,
        Running { #[pin] future: Within<F> },
    }
}

impl<F: Future> DeadlineFuture<F> {
    /// Calls the service with `call`, unless the deadline has passed.
    pub(super) fn begin(settings: &Settings, call: impl FnOnce() -> F) -> DeadlineFuture<F> {
        let now = Tick::now();
        let running = begun(now, settings.due(now).or_current(), call);
        let state = running.map_or(State::TooLate, |future| State::Running { future });
        DeadlineFuture { settings: settings.clone(), state }
    }
}

impl<F, T, E> Future for DeadlineFuture<F>
where
    F: Future<Output = Result<T, E>>,
    E: CarriesRejection,
{
    type Output = Result<T, E>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.project();
        let (polled, was_called) = match this.state.project() {
            StateProj::TooLate => (Poll::Ready(None), false),
            StateProj::Running { future } => (future.poll(cx).map(Result::ok), true),
        };
        polled.map(|output| {
            output.unwrap_or_else(|| {
                Err(this.settings.reject(RejectionKind::DeadlineExceeded, was_called).into())
            })
        })
    }
}
