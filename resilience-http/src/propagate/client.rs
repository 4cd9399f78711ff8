//! The client's side: what a call takes along.

use std::pin::Pin;
use std::task::{Context as TaskContext, Poll, ready};

use http::{HeaderMap, HeaderName};
use pin_project_lite::pin_project;
use resilience_core::retry::{RetryScope, previous_attempts};
use resilience_core::timeout::attempt_time_left;
use resilience_core::{Deadline, clock};
use tower_layer::Layer;
use tower_service::Service;

use super::attempt::{self, ATTEMPT, GRPC_ATTEMPT, NEVER, RETRY};
use super::context::Context;
use super::headers::{HasHeaders, HasHeadersMut};
use super::timeout::{self, GRPC_TIMEOUT, TIMEOUT};
use crate::classify::grpc::is_grpc;

/// Adds headers to each request: the time that is left, the number of the attempt, and the trace. See the [module](super).
///
/// The time is the shorter of the call's deadline and the limit of the attempt, of a stack or a
/// [`TimeoutLayer`](resilience_core::timeout::TimeoutLayer) around this layer. In gRPC only the deadline is sent as
/// `grpc-timeout`, which is for the whole call, its streams included; the limit of the attempt is for the head of the
/// response, and is sent as [`TIMEOUT`] if it is shorter.
///
/// A request does not show which server it goes to: put this layer in front of servers that are the caller's own.
/// [`ResilientLayer`](crate::client) chooses by authority.
///
/// Stands *below* the retry, so that each attempt has its own number and what time is left by then. The
/// error type is the service's, readiness is forwarded, and dropping the call drops what is inside.
#[derive(Debug, Clone, Copy, Default)]
pub struct InjectContextLayer {
    alone: bool,
}

impl InjectContextLayer {
    /// All of it.
    #[must_use]
    pub const fn new() -> InjectContextLayer {
        InjectContextLayer { alone: false }
    }

    /// Leaves out trace and baggage, for a server that is not the caller's own.
    #[must_use]
    pub const fn without_trace(self) -> InjectContextLayer {
        InjectContextLayer { alone: true }
    }

    /// Writes the headers of a request that is about to be sent.
    ///
    /// A shorter timeout that the request has already, a [`RETRY`] and a trace of its own stay; an attempt
    /// number, which may have come in from outside, does not.
    pub fn write(&self, headers: &mut HeaderMap) {
        self.write_in(headers, Context::current().as_ref());
    }

    /// Writes the headers as [`write`](InjectContextLayer::write) does, and returns the scope of retries that the response
    /// is to be reported to.
    pub(crate) fn begin(self, headers: &mut HeaderMap) -> Hearer {
        let context = Context::current();
        self.write_in(headers, context.as_ref());
        Hearer(context.map(|context| context.retries().clone()))
    }

    fn write_in(self, headers: &mut HeaderMap, context: Option<&Context>) {
        let grpc = is_grpc(headers);
        // Most requests have none of the headers yet, and each look-up costs as much as all of this.
        let has_some = headers.keys().any(is_ours);
        if has_some {
            headers.remove(ATTEMPT);
            headers.remove(GRPC_ATTEMPT);
        }
        let deadline = Deadline::current().map(|deadline| deadline.remaining(clock::now()));
        let attempt = attempt_time_left();
        let to_head = if grpc {
            if let Some(left) = deadline {
                let own = if has_some { timeout::parse_call(headers) } else { None };
                headers.insert(GRPC_TIMEOUT, timeout::grpc(own.map_or(left, |own| own.min(left))));
            }
            // Not as `grpc-timeout`, which would end a stream.
            attempt.filter(|attempt| deadline.is_none_or(|deadline| *attempt < deadline))
        } else {
            deadline.into_iter().chain(attempt).min()
        };
        if let Some(left) = to_head {
            let own = if has_some { timeout::parse(headers) } else { None };
            let left = own.map_or(left, |own| own.min(left));
            headers.insert(TIMEOUT, timeout::milliseconds(left));
        }
        let previous = previous_attempts();
        if previous > 0 {
            headers.insert(if grpc { GRPC_ATTEMPT } else { ATTEMPT }, previous.into());
        }
        let Some(context) = context else { return };
        if !context.retries().allows_retries() {
            headers.insert(RETRY, NEVER);
        }
        if !self.alone {
            context.trace().write(headers);
        }
    }
}

/// Returns `true` if it may be a header with a time limit or the number of an attempt.
fn is_ours(name: &HeaderName) -> bool {
    ["x-resilience-", "grpc-", "x-envoy-"].iter().any(|family| name.as_str().starts_with(family))
}

/// The scope of the calls that are made for a request, which notes that one was given up.
#[derive(Debug, Default)]
pub(crate) struct Hearer(Option<RetryScope>);

impl Hearer {
    /// Also for calls that have no retry around them, which would note it.
    pub(crate) fn hear(&self, response: &HeaderMap) {
        if let Some(scope) = &self.0
            && attempt::is_final(response)
        {
            scope.give_up();
        }
    }
}

impl<S> Layer<S> for InjectContextLayer {
    type Service = InjectContext<S>;

    fn layer(&self, inner: S) -> InjectContext<S> {
        InjectContext { inner, layer: *self }
    }
}

/// A service whose requests carry headers for their server. Made by [`InjectContextLayer`].
#[derive(Debug, Clone)]
pub struct InjectContext<S> {
    inner: S,
    layer: InjectContextLayer,
}

impl<S> InjectContext<S> {
    /// The service below.
    pub const fn get_ref(&self) -> &S {
        &self.inner
    }
}

impl<S, Req> Service<Req> for InjectContext<S>
where
    S: Service<Req, Response: HasHeaders>,
    Req: HasHeadersMut,
{
    type Response = S::Response;
    type Error = S::Error;
    type Future = InjectContextFuture<S::Future>;

    fn poll_ready(&mut self, cx: &mut TaskContext<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, mut request: Req) -> Self::Future {
        let hearer = self.layer.begin(request.headers_mut());
        InjectContextFuture { inner: Some(self.inner.call(request)), hearer }
    }
}

pin_project! {
    /// A call with headers for its server. Dropping it drops the call below.
    #[derive(Debug)]
    pub struct InjectContextFuture<F> {
        // Dropped as soon as there is a response: what it holds is free then (R14).
        #[pin]
        inner: Option<F>,
        hearer: Hearer,
    }
}

impl<F, T, E> Future for InjectContextFuture<F>
where
    F: Future<Output = Result<T, E>>,
    T: HasHeaders,
{
    type Output = Result<T, E>;

    fn poll(self: Pin<&mut Self>, cx: &mut TaskContext<'_>) -> Poll<Self::Output> {
        let mut this = self.project();
        let Some(inner) = this.inner.as_mut().as_pin_mut() else { return Poll::Pending };
        let result = ready!(inner.poll(cx));
        this.inner.set(None);
        if let Ok(response) = &result {
            this.hearer.hear(response.headers());
        }
        Poll::Ready(result)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_read_or_replaced_is_of_a_family_that_is_looked_for() {
        for name in [TIMEOUT, GRPC_TIMEOUT, timeout::ENVOY_TIMEOUT, ATTEMPT, GRPC_ATTEMPT] {
            assert!(is_ours(&name), "{name}");
        }
    }
}
