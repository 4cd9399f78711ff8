//! Streams in the requests of reqwest, recorded while they are sent.

use std::task::{Context, Poll};

use http::{HeaderMap, Method};
use reqwest::{Body, Client, Request};
use tower_service::Service;

use super::authority::Authority;
use super::request::{HttpRequest, Replayable};
use crate::body::ReplayBody;
use crate::classify::TransportError;
use crate::idempotency::Idempotency;

/// A request of reqwest's whose body is recorded while it is sent, so that it can be sent again.
///
/// reqwest copies bodies that are in memory, and no streams. Here a stream is a [`ReplayBody`], as it can be in an
/// `http::Request`: no more is kept than its cap, and what is larger, or was answered before it was read, is sent once.
///
/// ```no_run
/// use http::Method;
/// use reqwest::Body;
/// use resilience_http::client::{Recorded, ResilientClient};
///
/// # async fn example(client: ResilientClient, stream: Body) -> Result<(), Box<dyn std::error::Error>> {
/// let upload = client.request(Method::PUT, "https://store.example/today").body(stream).build()?;
/// client.execute(Recorded::new(upload, 1 << 20)).await?;
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
pub struct Recorded {
    /// Without its body, if that is a stream.
    request: Request,
    stream: Option<ReplayBody<Body>>,
}

impl Recorded {
    /// Records at most `cap` bytes. A body that is in memory is copied as ever, however large it is.
    #[must_use]
    pub fn new(mut request: Request, cap: usize) -> Recorded {
        let stream = request.body_mut().take_if(|body| body.as_bytes().is_none());
        let stream = stream.map(|stream| ReplayBody::streaming(stream, cap));
        Recorded { request, stream }
    }

    /// Records nothing: a stream is sent once.
    pub(super) const fn sent_once(request: Request) -> Recorded {
        Recorded { request, stream: None }
    }
}

impl From<Recorded> for Request {
    fn from(recorded: Recorded) -> Request {
        let Recorded { mut request, stream } = recorded;
        if let Some(stream) = stream {
            *request.body_mut() = Some(Body::wrap(stream));
        }
        request
    }
}

impl HttpRequest for Recorded {
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

    fn copy(&self) -> Option<Recorded> {
        let stream = match &self.stream {
            Some(stream) => Some(Replayable::copy(stream)?),
            None => None,
        };
        Some(Recorded { request: self.request.copy()?, stream })
    }

    fn is_still_valid(&self, answered: bool) -> bool {
        self.stream.as_ref().is_none_or(|stream| Replayable::is_still_valid(stream, answered))
    }

    fn normalize(&mut self) {
        self.request.normalize();
    }
}

/// reqwest's client, that sends [`Recorded`] requests as well, and whatever else is made into one of reqwest's: a type of the caller's
/// own is small to copy for a retry, and is made into a request for each attempt. Clones share it.
#[derive(Debug, Clone)]
pub struct ReqwestTransport(
    // Its own impl for `Recorded` would be another `Service` of reqwest's type, and whoever uses that as one had to say which.
    Client,
);

impl ReqwestTransport {
    /// Sends by this client.
    #[must_use]
    pub const fn new(client: Client) -> ReqwestTransport {
        ReqwestTransport(client)
    }

    /// The client.
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
