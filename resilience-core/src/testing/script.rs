//! A service that answers as it is told.

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

/// One answer: what, after how long, and after how many turns of the executor.
#[derive(Debug, Clone)]
pub struct Reply<T, E> {
    result: Option<Result<T, E>>,
    delay: Duration,
    yields: u32,
}

impl<T, E> Reply<T, E> {
    /// Succeeds.
    pub fn ok(response: T) -> Reply<T, E> {
        Reply { result: Some(Ok(response)), delay: Duration::ZERO, yields: 0 }
    }

    /// Fails.
    pub fn err(error: E) -> Reply<T, E> {
        Reply { result: Some(Err(error)), delay: Duration::ZERO, yields: 0 }
    }

    /// Never answers.
    #[must_use]
    pub fn never() -> Reply<T, E> {
        Reply { result: None, delay: Duration::ZERO, yields: 0 }
    }

    /// Answers so long after the call.
    #[must_use]
    pub fn after(mut self, delay: Duration) -> Reply<T, E> {
        self.delay = delay;
        self
    }

    /// Is pending, and wakes at once, so many times before it answers.
    #[must_use]
    pub fn yielding(mut self, times: u32) -> Reply<T, E> {
        self.yields = times;
        self
    }
}

/// Always ready; answers the *n*-th call (from 0) as `answer(n, request)` says. Clones share the
/// count, so the script runs through once, whoever calls.
pub struct Script<F> {
    answer: Arc<F>,
    calls: Arc<Mutex<Vec<Instant>>>,
}

impl<F> Script<F> {
    /// Answers by this function.
    pub fn new<Req, T, E>(answer: F) -> Script<F>
    where
        F: Fn(usize, Req) -> Reply<T, E>,
    {
        Script { answer: Arc::new(answer), calls: Arc::default() }
    }

    /// When each call arrived, in order.
    #[must_use]
    pub fn arrivals(&self) -> Vec<Instant> {
        self.calls.lock().clone()
    }
}

impl<F> Clone for Script<F> {
    fn clone(&self) -> Script<F> {
        Script { answer: self.answer.clone(), calls: self.calls.clone() }
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
        let Reply { result, delay, yields } = (self.answer)(call, request);
        let sleep = (!delay.is_zero()).then(|| tokio::time::sleep(delay));
        ScriptFuture { result, yields, sleep }
    }
}

pin_project! {
    /// A [`Reply`] on its way.
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
