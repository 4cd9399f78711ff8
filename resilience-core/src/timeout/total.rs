//! A limit on a whole call.

use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use pin_project_lite::pin_project;
use tower_layer::Layer;
use tower_service::Service;

use super::settings::Settings;
use super::within::{Within, begun};
use crate::clock::Now;
use crate::config::InvalidConfig;
use crate::deadline::Deadline;
use crate::error::CarriesRejection;
use crate::inherent::inherent_service_methods;
use crate::name::Name;
use crate::observe::Listen;
use crate::rejection::{Rejection, RejectionKind};
use crate::stack::{TimeLimit, Watch};
use crate::tick::Tick;

/// Gives each call a [`Deadline`], that of the surrounding call if it comes sooner. See the
/// [module](super).
#[derive(Debug, Clone)]
pub struct DeadlineLayer {
    settings: Settings,
}

impl DeadlineLayer {
    /// Calls may take so long in total, retries and waits included.
    ///
    /// # Errors
    /// If `limit` is zero or more than a year.
    pub fn new(limit: Duration) -> Result<DeadlineLayer, InvalidConfig> {
        Ok(DeadlineLayer { settings: Settings::new("deadline", limit)? })
    }

    /// What rejections call this layer.
    #[must_use]
    pub fn name(mut self, name: impl Into<Name>) -> DeadlineLayer {
        self.settings.name(name);
        self
    }

    /// How long calls may take.
    #[must_use]
    pub const fn limit(&self) -> Duration {
        self.settings.limit()
    }

    /// Tells this listener of rejections.
    #[must_use]
    pub fn listen(mut self, listener: impl Listen) -> DeadlineLayer {
        self.settings.listen(listener);
        self
    }
}

impl TimeLimit for DeadlineLayer {
    type Timer = Watch;

    #[inline]
    fn due(&self, now: &mut Now) -> Option<Deadline> {
        Some(self.settings.due(now.tick()))
    }

    #[inline]
    fn limit_nanos(&self) -> Option<u64> {
        Some(self.settings.nanos())
    }

    fn refuse(&self, kind: RejectionKind, may_have_run: bool) -> Rejection {
        self.settings.reject(kind, may_have_run)
    }
}

impl<S> Layer<S> for DeadlineLayer {
    type Service = DeadlineService<S>;

    fn layer(&self, inner: S) -> DeadlineService<S> {
        DeadlineService { inner, settings: self.settings.clone() }
    }
}

/// A service whose calls have a deadline. Made by [`DeadlineLayer`].
#[derive(Debug, Clone)]
pub struct DeadlineService<S> {
    inner: S,
    settings: Settings,
}

impl<S> DeadlineService<S> {
    /// The service below.
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

    /// A call that nobody waits for any more does not reach the service below.
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
    /// A call that ends by its deadline. Dropping it drops what is inside.
    #[derive(Debug)]
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
