//! The server's side: what a request brings along.

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

use super::attempt::{GRPC_PUSHBACK, NEVER, NO_MORE, RETRY};
use super::context::Context;
use super::limited::CallEnd;
use super::timeout;
use crate::server::{GRPC_STATUS, Protocol, RejectionFormat, ResponseBody};

/// Reads what a request brings along, holds its handler to it, and tells its caller whether to try again.
/// See the [module](super).
///
/// Stands outermost, around whatever turns errors into answers: an error that passes through it is not an
/// response, and says nothing. The error type is the service's, readiness is forwarded, nothing is shared
/// between calls, and dropping the call drops what is inside.
#[derive(Debug, Clone, Copy, Default)]
pub struct ExtractContextLayer {
    settings: Settings,
}

#[derive(Debug, Clone, Copy, Default)]
struct Settings {
    longest: Option<Duration>,
    longest_head: Option<Duration>,
    distrusts: bool,
    rejections: RejectionFormat,
}

impl ExtractContextLayer {
    /// Requests have as long as they say.
    #[must_use]
    pub const fn new() -> ExtractContextLayer {
        let settings = Settings {
            longest: None,
            longest_head: None,
            distrusts: false,
            rejections: RejectionFormat::new(),
        };
        ExtractContextLayer { settings }
    }

    /// Ends answers that take longer than this, body included, whatever their requests bring along: up to the head by a 504,
    /// after it by an error of the body, or gRPC's status 4. A body is ended by the `serve` of this crate; under other servers
    /// the time holds up to the head, unless the body is put into a [`LimitedBody`](super::LimitedBody).
    ///
    /// # Errors
    /// If `longest` is zero or more than a year.
    pub fn longest(mut self, longest: Duration) -> Result<ExtractContextLayer, InvalidConfig> {
        self.settings.longest = Some(check("longest", longest)?);
        Ok(self)
    }

    /// Ends requests by a 504 whose answers do not begin within this time. A body that has begun goes on.
    ///
    /// # Errors
    /// If `longest` is zero or more than a year.
    pub fn longest_head(mut self, longest: Duration) -> Result<ExtractContextLayer, InvalidConfig> {
        self.settings.longest_head = Some(check("longest_head", longest)?);
        Ok(self)
    }

    /// Believes no header: for the edge, where requests come from strangers. Their deadlines, attempts,
    /// traces and baggage begin here.
    #[must_use]
    pub const fn distrust_headers(mut self) -> ExtractContextLayer {
        self.settings.distrusts = true;
        self
    }

    /// How requests are refused whose time is over.
    #[must_use]
    pub const fn rejections(mut self, rejections: RejectionFormat) -> ExtractContextLayer {
        self.settings.rejections = rejections;
        self
    }
}

impl Settings {
    fn context(&self, headers: &HeaderMap) -> Context {
        if self.distrusts { Context::default() } else { Context::read(headers) }
    }

    /// Returns how long the request has up to the head of its response.
    fn timeout(&self, headers: &HeaderMap) -> Option<Duration> {
        let asked = if self.distrusts { None } else { timeout::parse(headers) };
        asked.into_iter().chain(self.longest).chain(self.longest_head).min()
    }

    /// Returns how long it has up to the end of its response.
    fn whole(&self, headers: &HeaderMap) -> Option<Duration> {
        let asked = if self.distrusts { None } else { timeout::parse_call(headers) };
        asked.into_iter().chain(self.longest).min()
    }

    fn too_late<B>(self, asked: Protocol) -> Response<ResponseBody<B>> {
        let rejection = Rejection::new(RejectionKind::DeadlineExceeded, "deadline");
        self.rejections.respond_to(asked, &rejection)
    }
}

fn check(field: &'static str, longest: Duration) -> Result<Duration, InvalidConfig> {
    let refuse = |bound| InvalidConfig::new(field, format_args!("{longest:?}"), bound);
    if longest.is_zero() {
        return Err(refuse("more than zero"));
    }
    if longest > MAX_WAIT {
        return Err(refuse("at most 365 days"));
    }
    Ok(longest)
}

impl<S> Layer<S> for ExtractContextLayer {
    type Service = ExtractContext<S>;

    fn layer(&self, inner: S) -> ExtractContext<S> {
        ExtractContext { inner, settings: self.settings }
    }
}

/// A service that goes by what its requests bring along. Made by [`ExtractContextLayer`].
#[derive(Debug, Clone)]
pub struct ExtractContext<S> {
    inner: S,
    settings: Settings,
}

impl<S> ExtractContext<S> {
    /// The service below.
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

    /// A request whose time is over does not reach the service below.
    fn call(&mut self, request: Request<B>) -> Self::Future {
        let settings = self.settings;
        let asked = Protocol::of(&request);
        let context = settings.context(request.headers());
        let timeout = settings.timeout(request.headers());
        let whole = settings.whole(request.headers());
        let end = whole.map(|whole| CallEnd {
            at: Deadline::after(clock::now(), whole).instant(),
            grpc: asked.grpc,
        });
        let inner = &mut self.inner;
        let state = context.enter(|| match timeout {
            None => State::Unlimited { future: inner.call(request) },
            Some(timeout) => {
                let now = clock::now();
                let deadline = Deadline::after(now, timeout).or_current();
                let limited = within_call(now, deadline, || inner.call(request));
                limited.map_or(State::Over, |future| State::Limited { future })
            }
        });
        ExtractContextFuture { state, context, settings, asked, end }
    }
}

pin_project! {
    /// A request that goes by what it brought along. Dropping it drops what is inside.
    #[derive(Debug)]
    pub struct ExtractContextFuture<F> {
        #[pin]
        state: State<F>,
        context: Context,
        settings: Settings,
        asked: Protocol,
        end: Option<CallEnd>,
    }
}

pin_project! {
    #[derive(Debug)]
    #[project = StateProj]
    enum State<F> {
        /// It was over when it came.
        Over,
        Limited { #[pin] future: Within<F> },
        Unlimited { #[pin] future: F },
        /// Nothing is held (R14).
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
        let (settings, asked) = (*this.settings, *this.asked);
        let context = &*this.context;
        let body = |body| match asked.grpc {
            true => ResponseBody::grpc(body, context.clone()),
            false => ResponseBody::handler(body),
        };
        let mut end = *this.end;
        let state = this.state.as_mut().project();
        let result = ready!(context.enter(|| match state {
            StateProj::Over => {
                // Whoever sent it does not wait, and would be too late again.
                end = None;
                let mut response = settings.too_late(asked);
                tell_not_to_retry(&mut response);
                Poll::Ready(Ok(response))
            }
            StateProj::Limited { future } => future.poll(cx).map(|output| match output {
                Ok(result) => result.map(|response| response.map(body)),
                Err(_) => {
                    // The rejection itself is not ended.
                    end = None;
                    Ok(settings.too_late(asked))
                }
            }),
            StateProj::Unlimited { future } => {
                future.poll(cx).map_ok(|response| response.map(body))
            }
            StateProj::Done => Poll::Pending,
        }));
        this.state.set(State::Done);
        Poll::Ready(result.map(|mut response| {
            if context.retries().gave_up() && failed(&response) {
                tell_not_to_retry(&mut response);
            }
            if let Some(end) = end {
                let extensions = response.extensions_mut();
                // A limit further in may be the shorter one.
                if extensions.get::<CallEnd>().is_none_or(|inner| end.at < inner.at) {
                    extensions.insert(end);
                }
            }
            response
        }))
    }
}

/// Whether a caller might try again. Of gRPC's answers those that failed at once; [others](ResponseBody::grpc) have their
/// status after the body.
fn failed<B>(response: &Response<B>) -> bool {
    let status = response.status();
    let grpc = response.headers().get(GRPC_STATUS).is_some_and(|status| status != "0");
    status.is_server_error()
        || matches!(status, StatusCode::TOO_MANY_REQUESTS | StatusCode::REQUEST_TIMEOUT)
        || status == StatusCode::TOO_EARLY
        || grpc
}

fn tell_not_to_retry<B>(response: &mut Response<B>) {
    let headers = response.headers_mut();
    headers.insert(RETRY, NEVER);
    if headers.contains_key(GRPC_STATUS) {
        headers.insert(GRPC_PUSHBACK, NO_MORE);
    }
}
