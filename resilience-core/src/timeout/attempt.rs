//! A limit on one attempt.

use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use pin_project_lite::pin_project;
use tower_layer::Layer;
use tower_service::Service;

use super::ambient::AttemptLimit;
use super::settings::Settings;
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
use crate::timer::Wait;

/// Limits how long an attempt may take, counted from the first poll of its future. See the
/// [module](super).
#[derive(Debug, Clone)]
pub struct TimeoutLayer {
    settings: Settings,
}

impl TimeoutLayer {
    /// Attempts may take so long.
    ///
    /// # Errors
    /// If `limit` is zero or more than a year.
    pub fn new(limit: Duration) -> Result<TimeoutLayer, InvalidConfig> {
        Ok(TimeoutLayer { settings: Settings::new("timeout", limit)? })
    }

    /// What rejections call this layer.
    #[must_use]
    pub fn name(mut self, name: impl Into<Name>) -> TimeoutLayer {
        self.settings.name(name);
        self
    }

    /// How long attempts may take.
    #[must_use]
    pub const fn limit(&self) -> Duration {
        self.settings.limit()
    }

    /// Tells this listener of rejections.
    #[must_use]
    pub fn listen(mut self, listener: impl Listen) -> TimeoutLayer {
        self.settings.listen(listener);
        self
    }
}

impl TimeLimit for TimeoutLayer {
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

impl<S> Layer<S> for TimeoutLayer {
    type Service = Timeout<S>;

    fn layer(&self, inner: S) -> Timeout<S> {
        Timeout { inner, settings: self.settings.clone() }
    }
}

/// A service whose attempts are limited in time. Made by [`TimeoutLayer`].
#[derive(Debug, Clone)]
pub struct Timeout<S> {
    inner: S,
    settings: Settings,
}

impl<S> Timeout<S> {
    /// The service below.
    pub fn get_ref(&self) -> &S {
        &self.inner
    }
}

inherent_service_methods!(Timeout<S>);

impl<S, Req> Service<Req> for Timeout<S>
where
    S: Service<Req>,
    S::Error: CarriesRejection,
{
    type Response = S::Response;
    type Error = S::Error;
    type Future = TimeoutFuture<S::Future>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, request: Req) -> Self::Future {
        let limit = AttemptLimit::new(self.settings.nanos(), Deadline::NEVER);
        let entered = limit.entered();
        let inner = self.inner.call(request);
        drop(entered);
        TimeoutFuture {
            inner: Some(inner),
            settings: self.settings.clone(),
            due: None,
            wait: Wait::default(),
        }
    }
}

pin_project! {
    /// An attempt that ends in time. Dropping it drops the attempt.
    #[derive(Debug)]
    pub struct TimeoutFuture<F> {
        // Dropped as soon as there is a result: what it holds is free then (T7).
        #[pin]
        inner: Option<F>,
        settings: Settings,
        // From the first poll, if there was no result then.
        due: Option<Deadline>,
        #[pin]
        wait: Wait,
    }
}

impl<F, T, E> Future for TimeoutFuture<F>
where
    F: Future<Output = Result<T, E>>,
    E: CarriesRejection,
{
    type Output = Result<T, E>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let mut this = self.project();
        let Some(inner) = this.inner.as_mut().as_pin_mut() else { return Poll::Pending };
        let due = this.due.unwrap_or(Deadline::NEVER);
        let entered = AttemptLimit::new(this.settings.nanos(), due).entered();
        let polled = inner.poll(cx);
        drop(entered);
        let result = if let Poll::Ready(result) = polled {
            result
        } else {
            let due = this.due.get_or_insert_with(|| this.settings.due(Tick::now()));
            ready!(this.wait.poll(*due, cx));
            Err(this.settings.reject(RejectionKind::TimedOut, true).into())
        };
        this.inner.set(None);
        Poll::Ready(result)
    }
}
