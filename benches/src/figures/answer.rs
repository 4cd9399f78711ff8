//! The innermost service: it responds with its request.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};

use tower::{BoxError, Service};

use crate::cost::{Inner, Subject};

/// Always ready, never failing; answers at the first poll, or wakes itself and answers at the
/// second.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Answer {
    inner: Inner,
}

impl Answer {
    pub(crate) const READY: Answer = Answer { inner: Inner::Ready };

    pub(crate) fn answer(self, request: u64) -> Answering {
        Answering { request, yields: self.inner == Inner::Yields }
    }
}

/// Returns the subjects around a service that is ready, then those around a service that yields.
pub(super) fn both<F>(mut subjects: F) -> Result<Vec<Subject>, BoxError>
where
    F: FnMut(Answer) -> Result<Vec<Subject>, BoxError>,
{
    let mut all = subjects(Answer::READY)?;
    let yields = subjects(Answer { inner: Inner::Yields })?;
    all.extend(yields.into_iter().map(Subject::yielding));
    Ok(all)
}

impl Service<u64> for Answer {
    type Response = u64;
    type Error = BoxError;
    type Future = Answering;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: u64) -> Answering {
        self.answer(request)
    }
}

#[derive(Debug)]
pub(crate) struct Answering {
    request: u64,
    yields: bool,
}

impl Future for Answering {
    type Output = Result<u64, BoxError>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        if self.yields {
            self.yields = false;
            context.waker().wake_by_ref();
            return Poll::Pending;
        }
        Poll::Ready(Ok(self.request))
    }
}
