//! A service with scripted responses.

use std::fmt;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use pin_project_lite::pin_project;
use tokio::time::Sleep;
use tower_service::Service;

use crate::clock;

/// A response: the result, its delay, and the number of pending polls before it.
#[derive(Debug, Clone)]
pub struct Reply<T, E> {
    result: Option<Result<T, E>>,
    delay: Duration,
    yields: u32,
}

impl<T, E> Reply<T, E> {
    /// Creates a successful response.
    pub fn ok(response: T) -> Reply<T, E> {
        Reply { result: Some(Ok(response)), delay: Duration::ZERO, yields: 0 }
    }

    /// Creates an error.
    pub fn err(error: E) -> Reply<T, E> {
        Reply { result: Some(Err(error)), delay: Duration::ZERO, yields: 0 }
    }

    /// Creates a response that never comes.
    #[must_use]
    pub fn never() -> Reply<T, E> {
        Reply { result: None, delay: Duration::ZERO, yields: 0 }
    }

    /// Delays the response by this time after the call.
    #[must_use]
    pub fn after(mut self, delay: Duration) -> Reply<T, E> {
        self.delay = delay;
        self
    }

    /// Returns `Pending`, and wakes the task at once, this many times before the response.
    #[must_use]
    pub fn yielding(mut self, times: u32) -> Reply<T, E> {
        self.yields = times;
        self
    }
}

/// A service that is always ready and responds to the *n*-th call, counted from 0, with
/// `response(n, request)`. Clones share the count.
pub struct Script<F> {
    response: Arc<F>,
    calls: Arc<Mutex<Vec<Instant>>>,
}

impl<F> Script<F> {
    /// Creates a service with the responses of this function.
    pub fn new<Req, T, E>(response: F) -> Script<F>
    where
        F: Fn(usize, Req) -> Reply<T, E>,
    {
        Script { response: Arc::new(response), calls: Arc::default() }
    }

    /// Returns the instant of each call, in order.
    #[must_use]
    pub fn arrivals(&self) -> Vec<Instant> {
        self.calls.lock().clone()
    }
}

impl<F> Clone for Script<F> {
    fn clone(&self) -> Script<F> {
        Script { response: self.response.clone(), calls: self.calls.clone() }
    }
}

impl<F> fmt::Debug for Script<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Script").field("calls", &self.calls.lock().len()).finish_non_exhaustive()
    }
}

impl<F, Req, T, E> Service<Req> for Script<F>
where
    F: Fn(usize, Req) -> Reply<T, E>,
{
    type Response = T;
    type Error = E;
    type Future = ScriptFuture<T, E>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), E>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Req) -> Self::Future {
        let call = {
            let mut calls = self.calls.lock();
            calls.push(clock::now());
            calls.len() - 1
        };
        let Reply { result, delay, yields } = (self.response)(call, request);
        let sleep = (!delay.is_zero()).then(|| tokio::time::sleep(delay));
        ScriptFuture { result, yields, sleep }
    }
}

pin_project! {
    /// The future of a [`Reply`].
    #[derive(Debug)]
    #[doc(hidden)]
    pub struct ScriptFuture<T, E> {
        result: Option<Result<T, E>>,
        yields: u32,
        #[pin]
        sleep: Option<Sleep>,
    }
}

impl<T, E> Future for ScriptFuture<T, E> {
    type Output = Result<T, E>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.project();
        if let Some(sleep) = this.sleep.as_pin_mut() {
            ready!(sleep.poll(cx));
        }
        if *this.yields > 0 {
            *this.yields -= 1;
            cx.waker().wake_by_ref();
            return Poll::Pending;
        }
        this.result.take().map_or(Poll::Pending, Poll::Ready)
    }
}
