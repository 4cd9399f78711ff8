//! reqwest requests that record a streaming body while it is sent.

use std::task::{Context, Poll};

use http::{HeaderMap, Method};
use reqwest::{Body, Client, Request};
use tower_service::Service;

use super::authority::Authority;
use super::request::{HttpRequest, Replayable};
use crate::body::ReplayBody;
use crate::classify::TransportError;
use crate::idempotency::Idempotency;

/// A reqwest request that records its body while it is sent, so that it can be sent again.
///
/// reqwest can copy bodies in memory, but not streams. Here a stream becomes a [`ReplayBody`], as
/// in an `http::Request`. A stream that is longer than the cap, or whose response arrived before it
/// was read to its end, is sent once.
///
/// ```no_run
/// use http::Method;
/// use reqwest::Body;
/// use resilience_http::client::{RecordedRequest, ResilientClient};
///
/// # async fn example(client: ResilientClient, stream: Body) -> Result<(), Box<dyn std::error::Error>> {
/// let upload = client.request(Method::PUT, "https://store.example/today").body(stream).build()?;
/// client.execute(RecordedRequest::new(upload, 1 << 20)).await?;
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
pub struct RecordedRequest {
    /// The request, without its body if that is a stream.
    request: Request,
    stream: Option<ReplayBody<Body>>,
}

impl RecordedRequest {
    /// Records at most `cap` bytes of a stream. A body in memory is copied whatever its size.
    #[must_use]
    pub fn new(mut request: Request, cap: usize) -> RecordedRequest {
        let stream = request.body_mut().take_if(|body| body.as_bytes().is_none());
        let stream = stream.map(|stream| ReplayBody::streaming(stream, cap));
        RecordedRequest { request, stream }
    }

    /// Does not record: a stream is sent once.
    pub(super) const fn sent_once(request: Request) -> RecordedRequest {
        RecordedRequest { request, stream: None }
    }
}

impl From<RecordedRequest> for Request {
    fn from(recorded: RecordedRequest) -> Request {
        let RecordedRequest { mut request, stream } = recorded;
        if let Some(stream) = stream {
            *request.body_mut() = Some(Body::wrap(stream));
        }
        request
    }
}

impl HttpRequest for RecordedRequest {
    fn method(&self) -> &Method {
        self.request.method()
    }

    fn headers_mut(&mut self) -> &mut HeaderMap {
        self.request.headers_mut()
    }

    fn authority(&self) -> Result<Authority, TransportError> {
        self.request.authority()
    }

    fn idempotency(&self) -> Idempotency {
        self.request.idempotency()
    }

    fn copy(&self) -> Option<RecordedRequest> {
        let stream = match &self.stream {
            Some(stream) => Some(Replayable::copy(stream)?),
            None => None,
        };
        Some(RecordedRequest { request: self.request.copy()?, stream })
    }

    fn is_still_valid(&self, has_response: bool) -> bool {
        self.stream.as_ref().is_none_or(|stream| Replayable::is_still_valid(stream, has_response))
    }

    fn normalize(&mut self) {
        self.request.normalize();
    }
}

/// reqwest's client as a service of every type that converts into a [`Request`],
/// [`RecordedRequest`]s included. A request type of the caller's own is cheap to copy for a retry,
/// and is converted once for each attempt. Clones share the client.
#[derive(Debug, Clone)]
pub struct ReqwestTransport(
    // A wrapper: a second `Service` impl on `reqwest::Client` would make calls of its methods
    // ambiguous.
    Client,
);

impl ReqwestTransport {
    /// Creates a transport that sends requests with this client.
    #[must_use]
    pub const fn new(client: Client) -> ReqwestTransport {
        ReqwestTransport(client)
    }

    /// Returns the client.
    #[must_use]
    pub const fn get_ref(&self) -> &Client {
        &self.0
    }
}

impl<R: Into<Request>> Service<R> for ReqwestTransport {
    type Response = <Client as Service<Request>>::Response;
    type Error = <Client as Service<Request>>::Error;
    type Future = <Client as Service<Request>>::Future;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        self.0.poll_ready(cx)
    }

    fn call(&mut self, request: R) -> Self::Future {
        self.0.call(request.into())
    }
}
