//! Server side: the headers that a request carries from its caller.

use std::pin::Pin;
use std::task::{Context as TaskContext, Poll, ready};
use std::time::Duration;

use http::{HeaderMap, Request, Response, StatusCode};
use pin_project_lite::pin_project;
use resilience_core::clock::{self, MAX_WAIT};
use resilience_core::timeout::{Within, within_call};
use resilience_core::{Deadline, InvalidConfig, Rejection, RejectionKind};
use tower_layer::Layer;
use tower_service::Service;

use super::attempt::{GRPC_PUSHBACK, NEVER, NO_RETRY, RETRY};
use super::context::Context;
use super::limited::CallEnd;
use super::timeout;
use crate::server::{GRPC_STATUS, Protocol, RejectionFormat, ResponseBody};

/// A layer that reads the context headers of requests, enforces their deadlines, and returns the
/// permission to retry to their callers. See the [module](super).
///
/// Place the layer outermost, around every layer that turns errors into responses: an error that
/// passes through this layer carries no headers. The error type is that of the service, readiness
/// is forwarded, no state is shared between calls, and dropping the call drops the call below.
#[derive(Debug, Clone, Copy, Default)]
pub struct ExtractContextLayer {
    settings: Settings,
}

#[derive(Debug, Clone, Copy, Default)]
struct Settings {
    longest: Option<Duration>,
    longest_head: Option<Duration>,
    distrust_headers: bool,
    rejections: RejectionFormat,
}

impl ExtractContextLayer {
    /// Trusts the headers, and sets no limits of its own.
    #[must_use]
    pub const fn new() -> ExtractContextLayer {
        let settings = Settings {
            longest: None,
            longest_head: None,
            distrust_headers: false,
            rejections: RejectionFormat::new(),
        };
        ExtractContextLayer { settings }
    }

    /// Ends responses, body included, after this time, whatever their request headers: before the
    /// head with a 504, after it with an error of the body or gRPC status 4. The body is ended by
    /// the `serve` of this crate; under another server only the head is limited, unless the body is
    /// wrapped in a [`LimitedBody`](super::LimitedBody).
    ///
    /// # Errors
    /// If `longest` is zero or more than a year.
    pub fn longest(mut self, longest: Duration) -> Result<ExtractContextLayer, InvalidConfig> {
        self.settings.longest = Some(check("longest", longest)?);
        Ok(self)
    }

    /// Ends requests with a 504 if the head of the response is not ready within this time. A body
    /// that has begun is not limited.
    ///
    /// # Errors
    /// If `longest` is zero or more than a year.
    pub fn longest_head(mut self, longest: Duration) -> Result<ExtractContextLayer, InvalidConfig> {
        self.settings.longest_head = Some(check("longest_head", longest)?);
        Ok(self)
    }

    /// Ignores all context headers: for the edge, where requests come from strangers. Deadlines,
    /// attempts, traces and baggage start here.
    #[must_use]
    pub const fn distrust_headers(mut self) -> ExtractContextLayer {
        self.settings.distrust_headers = true;
        self
    }

    /// Sets the format of the rejection after a deadline has passed.
    #[must_use]
    pub const fn rejections(mut self, rejections: RejectionFormat) -> ExtractContextLayer {
        self.settings.rejections = rejections;
        self
    }
}

impl Settings {
    fn context(&self, headers: &HeaderMap) -> Context {
        if self.distrust_headers { Context::default() } else { Context::read(headers) }
    }

    /// Returns the time limit for the head of the response.
    fn timeout(&self, headers: &HeaderMap) -> Option<Duration> {
        let requested = if self.distrust_headers { None } else { timeout::parse(headers) };
        requested.into_iter().chain(self.longest).chain(self.longest_head).min()
    }

    /// Returns the time limit for the whole response.
    fn whole(&self, headers: &HeaderMap) -> Option<Duration> {
        let requested = if self.distrust_headers { None } else { timeout::parse_call(headers) };
        requested.into_iter().chain(self.longest).min()
    }

    fn deadline_exceeded<B>(self, protocol: Protocol) -> Response<ResponseBody<B>> {
        let rejection = Rejection::new(RejectionKind::DeadlineExceeded, "deadline");
        self.rejections.respond_to(protocol, &rejection)
    }
}

fn check(field: &'static str, longest: Duration) -> Result<Duration, InvalidConfig> {
    let invalid = |bound| InvalidConfig::new(field, format_args!("{longest:?}"), bound);
    if longest.is_zero() {
        return Err(invalid("more than zero"));
    }
    if longest > MAX_WAIT {
        return Err(invalid("at most 365 days"));
    }
    Ok(longest)
}

impl<S> Layer<S> for ExtractContextLayer {
    type Service = ExtractContext<S>;

    fn layer(&self, inner: S) -> ExtractContext<S> {
        ExtractContext { inner, settings: self.settings }
    }
}

/// A service that enforces the context headers of its requests. Made by [`ExtractContextLayer`].
#[derive(Debug, Clone)]
pub struct ExtractContext<S> {
    inner: S,
    settings: Settings,
}

impl<S> ExtractContext<S> {
    /// Returns the service below.
    pub const fn get_ref(&self) -> &S {
        &self.inner
    }
}

impl<S, B, RB> Service<Request<B>> for ExtractContext<S>
where
    S: Service<Request<B>, Response = Response<RB>>,
{
    type Response = Response<ResponseBody<RB>>;
    type Error = S::Error;
    type Future = ExtractContextFuture<S::Future>;

    fn poll_ready(&mut self, cx: &mut TaskContext<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(cx)
    }

    /// Calls the service below, unless the deadline of the request has passed already.
    fn call(&mut self, request: Request<B>) -> Self::Future {
        let settings = self.settings;
        let protocol = Protocol::of(&request);
        let context = settings.context(request.headers());
        let timeout = settings.timeout(request.headers());
        let whole = settings.whole(request.headers());
        let end = whole.map(|whole| CallEnd {
            at: Deadline::after(clock::now(), whole).instant(),
            grpc: protocol.grpc,
        });
        let inner = &mut self.inner;
        let state = context.enter(|| match timeout {
            None => State::Unlimited { future: inner.call(request) },
            Some(timeout) => {
                let now = clock::now();
                let deadline = Deadline::after(now, timeout).or_current();
                let limited = within_call(now, deadline, || inner.call(request));
                limited.map_or(State::Expired, |future| State::Limited { future })
            }
        });
        ExtractContextFuture { state, context, settings, protocol, end }
    }
}

pin_project! {
    /// A call within the context of its request. Dropping it drops the call below.
    #[derive(Debug)]
    pub struct ExtractContextFuture<F> {
        #[pin]
        state: State<F>,
        context: Context,
        settings: Settings,
        protocol: Protocol,
        end: Option<CallEnd>,
    }
}

pin_project! {
    #[derive(Debug)]
    #[project = StateProj]
    enum State<F> {
        /// The deadline had passed when the request arrived.
        Expired,
        Limited { #[pin] future: Within<F> },
        Unlimited { #[pin] future: F },
        /// The response was returned, and the call below was dropped.
        Done,
    }
}

impl<F, RB, E> Future for ExtractContextFuture<F>
where
    F: Future<Output = Result<Response<RB>, E>>,
{
    type Output = Result<Response<ResponseBody<RB>>, E>;

    fn poll(self: Pin<&mut Self>, cx: &mut TaskContext<'_>) -> Poll<Self::Output> {
        let mut this = self.project();
        let settings = *this.settings;
        let protocol = *this.protocol;
        let context = &*this.context;
        let body = |body| match protocol.grpc {
            true => ResponseBody::grpc(body, context.clone()),
            false => ResponseBody::handler(body),
        };
        let mut end = *this.end;
        let state = this.state.as_mut().project();
        let result = ready!(context.enter(|| match state {
            StateProj::Expired => {
                // The caller no longer waits, and a retry would be too late again.
                end = None;
                let mut response = settings.deadline_exceeded(protocol);
                forbid_retry(&mut response);
                Poll::Ready(Ok(response))
            }
            StateProj::Limited { future } => future.poll(cx).map(|output| match output {
                Ok(result) => result.map(|response| response.map(body)),
                Err(_) => {
                    // The body of the rejection has no deadline.
                    end = None;
                    Ok(settings.deadline_exceeded(protocol))
                }
            }),
            StateProj::Unlimited { future } => {
                future.poll(cx).map_ok(|response| response.map(body))
            }
            StateProj::Done => Poll::Pending,
        }));
        this.state.set(State::Done);
        Poll::Ready(result.map(|mut response| {
            if context.retries().gave_up() && is_retryable(&response) {
                forbid_retry(&mut response);
            }
            if let Some(end) = end {
                let extensions = response.extensions_mut();
                // A layer further in may have set an earlier deadline.
                if extensions.get::<CallEnd>().is_none_or(|inner| end.at < inner.at) {
                    extensions.insert(end);
                }
            }
            response
        }))
    }
}

/// Returns `true` if a caller might retry the response. Of gRPC responses only trailers-only
/// failures are recognised; [others](ResponseBody::grpc) have their status after the body.
fn is_retryable<B>(response: &Response<B>) -> bool {
    let status = response.status();
    let grpc = response.headers().get(GRPC_STATUS).is_some_and(|status| status != "0");
    status.is_server_error()
        || matches!(status, StatusCode::TOO_MANY_REQUESTS | StatusCode::REQUEST_TIMEOUT)
        || status == StatusCode::TOO_EARLY
        || grpc
}

fn forbid_retry<B>(response: &mut Response<B>) {
    let headers = response.headers_mut();
    headers.insert(RETRY, NEVER);
    if headers.contains_key(GRPC_STATUS) {
        headers.insert(GRPC_PUSHBACK, NO_RETRY);
    }
}
