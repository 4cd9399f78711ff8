//! The service that limits a whole call.

use std::pin::Pin;
use std::task::{Context, Poll};

use pin_project_lite::pin_project;
use tower_service::Service;

use super::layer::Settings;
use super::within::{Within, begun};
use crate::clock::tick::Tick;
use crate::error::CarriesRejection;
use crate::inherent::inherent_service_methods;
use crate::rejection::RejectionKind;

/// A service with a deadline for each call. Made by [`DeadlineLayer`](super::DeadlineLayer).
#[derive(Debug, Clone)]
pub struct DeadlineService<S> {
    inner: S,
    settings: Settings,
}

impl<S> DeadlineService<S> {
    pub(super) const fn new(inner: S, settings: Settings) -> DeadlineService<S> {
        DeadlineService { inner, settings }
    }

    /// Returns the service below.
    pub fn get_ref(&self) -> &S {
        &self.inner
    }
}

inherent_service_methods!(DeadlineService<S>);

impl<S, Req> Service<Req> for DeadlineService<S>
where
    S: Service<Req>,
    S::Error: CarriesRejection,
{
    type Response = S::Response;
    type Error = S::Error;
    type Future = DeadlineFuture<S::Future>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(cx)
    }

    /// Does not call the service below after the deadline.
    fn call(&mut self, request: Req) -> Self::Future {
        let now = Tick::now();
        let deadline = self.settings.due(now).or_current();
        let settings = self.settings.clone();
        let running = begun(now, deadline, || self.inner.call(request));
        let state = running.map_or(State::TooLate, |future| State::Running { future });
        DeadlineFuture { settings, state }
    }
}

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
