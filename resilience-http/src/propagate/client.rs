//! Client side: the headers that a call carries to its server.

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

/// A layer that adds headers to each request: the time left, the attempt number, and the trace. See
/// the [module](super).
///
/// The time left is the shorter of the call's deadline and the limit of the attempt, of a stack or
/// a [`TimeoutLayer`](resilience_core::timeout::TimeoutLayer) around this layer. For gRPC only the
/// deadline is sent as `grpc-timeout`, which is for the whole call with its streams. The limit of
/// the attempt is for the head of the response, and is sent as [`TIMEOUT`] if it is shorter.
///
/// A request does not show which server it goes to: use this layer only for servers that are the
/// caller's own. [`ResilientLayer`](crate::client) selects servers by authority.
///
/// Place the layer *below* the retry, so that each attempt has its own number and its own time
/// left. The error type is that of the service, readiness is forwarded, and dropping the call drops
/// the call below.
#[derive(Debug, Clone, Copy, Default)]
pub struct InjectContextLayer {
    without_trace: bool,
}

impl InjectContextLayer {
    /// Sends all headers.
    #[must_use]
    pub const fn new() -> InjectContextLayer {
        InjectContextLayer { without_trace: false }
    }

    /// Leaves out trace and baggage, for a server that is not the caller's own.
    #[must_use]
    pub const fn without_trace(self) -> InjectContextLayer {
        InjectContextLayer { without_trace: true }
    }

    /// Writes the headers of a request that is about to be sent.
    ///
    /// A shorter timeout, a [`RETRY`] header and a trace that the request already has are kept. An
    /// attempt number is replaced, since it may have come from outside.
    pub fn write(&self, headers: &mut HeaderMap) {
        self.write_in(headers, Context::current().as_ref());
    }

    /// Writes the headers like [`write`](InjectContextLayer::write), and returns the state that
    /// reads the headers of the response.
    pub(crate) fn begin(self, headers: &mut HeaderMap) -> ResponseContext {
        let context = Context::current();
        self.write_in(headers, context.as_ref());
        ResponseContext(context.map(|context| context.retries().clone()))
    }

    fn write_in(self, headers: &mut HeaderMap, context: Option<&Context>) {
        let grpc = is_grpc(headers);
        // Most requests have none of these headers yet, and one look-up costs as much as this scan.
        let has_some = headers.keys().any(may_be_known);
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
            // Not as `grpc-timeout`, which would end a stream as well.
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
        if !self.without_trace {
            context.trace().write(headers);
        }
    }
}

/// Returns `true` if the header may be a time limit or an attempt number.
fn may_be_known(name: &HeaderName) -> bool {
    ["x-resilience-", "grpc-", "x-envoy-"].iter().any(|family| name.as_str().starts_with(family))
}

/// The retry scope of a request, which records that a call made for it must not be retried.
#[derive(Debug, Default)]
pub(crate) struct ResponseContext(Option<RetryScope>);

impl ResponseContext {
    /// Reads the headers of a response. Needed also for calls without a retry around them, which
    /// would record it.
    pub(crate) fn read(&self, response: &HeaderMap) {
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

/// A service that adds context headers to its requests. Made by [`InjectContextLayer`].
#[derive(Debug, Clone)]
pub struct InjectContext<S> {
    inner: S,
    layer: InjectContextLayer,
}

impl<S> InjectContext<S> {
    /// Returns the service below.
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
        let context = self.layer.begin(request.headers_mut());
        InjectContextFuture { inner: Some(self.inner.call(request)), context }
    }
}

pin_project! {
    /// A call with context headers. Dropping it drops the call below.
    #[derive(Debug)]
    pub struct InjectContextFuture<F> {
        // `None` after completion, so that everything it holds is dropped at once.
        #[pin]
        inner: Option<F>,
        context: ResponseContext,
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
            this.context.read(response.headers());
        }
        Poll::Ready(result)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_header_that_is_read_or_replaced_is_recognised() {
        for name in [TIMEOUT, GRPC_TIMEOUT, timeout::ENVOY_TIMEOUT, ATTEMPT, GRPC_ATTEMPT] {
            assert!(may_be_known(&name), "{name}");
        }
    }
}
