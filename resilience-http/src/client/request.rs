//! What a client has to know of a request.

use bytes::Bytes;
use http::{HeaderMap, Method};
use http_body_util::{Empty, Full};
use resilience_core::retry::Replay;

use super::authority::{self, Authority};
use crate::body::ReplayBody;
use crate::classify::TransportError;
use crate::idempotency::{IDEMPOTENCY_KEY, Idempotency, IdempotencyKey};

/// A request that goes to an authority, and of which there may be a copy.
pub trait HttpRequest: Sized {
    /// Its method.
    fn method(&self) -> &Method;
    /// Its headers.
    fn headers_mut(&mut self) -> &mut HeaderMap;
    /// Where it goes.
    ///
    /// # Errors
    /// If its address has no host.
    fn authority(&self) -> Result<Authority, TransportError>;
    /// Whether it may run twice: as declared, or by its headers and method.
    fn idempotency(&self) -> Idempotency;
    /// A copy, or `None` if its body can be sent only once.
    fn copy(&self) -> Option<Self>;

    /// Whether this copy is still good when an attempt has ended, with or without a response. See
    /// [`Replay::is_still_valid`].
    fn is_still_valid(&self, answered: bool) -> bool {
        let _ = answered;
        true
    }

    /// Writes the address as its [`Authority`] is written, so that the pool of connections has one key for it as well:
    /// without user info, which HTTP does not send, and without the port that is the scheme's own. Does nothing by
    /// default.
    fn normalize(&mut self) {}
}

/// A body that can be sent again, or says that it cannot.
///
/// Those that are in memory are cloned. A stream is sent [`NonReplayableBody`], or recorded under a cap while it is sent
/// ([`body::ReplayBody`](ReplayBody)).
pub trait Replayable: Sized {
    /// The same body from its beginning. `None` for a stream: nothing is kept of it, so it is sent once.
    fn copy(&self) -> Option<Self>;

    /// Whether this copy is still good when an attempt has ended, with or without a response. See
    /// [`Replay::is_still_valid`].
    fn is_still_valid(&self, answered: bool) -> bool {
        let _ = answered;
        true
    }
}

/// As [`ReplayRequest`](crate::body::ReplayRequest) has it.
impl<B> Replayable for ReplayBody<B> {
    fn copy(&self) -> Option<Self> {
        self.copy()
    }

    fn is_still_valid(&self, answered: bool) -> bool {
        self.not_replayable().is_none() && (!answered || self.is_read())
    }
}

macro_rules! bodies_that_are_cloned {
    ($($body:ty),+) => {$(
        impl Replayable for $body {
            fn copy(&self) -> Option<Self> {
                Some(self.clone())
            }
        }
    )+};
}
bodies_that_are_cloned!((), String, Empty<Bytes>, Full<Bytes>);

/// A body that is sent once, whatever happens to it.
#[derive(Debug, Clone, Copy, Default)]
pub struct NonReplayableBody<B>(
    /// The body.
    pub B,
);

impl<B> Replayable for NonReplayableBody<B> {
    fn copy(&self) -> Option<Self> {
        None
    }
}

impl<B: http_body::Body + Unpin> http_body::Body for NonReplayableBody<B> {
    type Data = B::Data;
    type Error = B::Error;

    fn poll_frame(
        mut self: std::pin::Pin<&mut Self>,
        cx: &mut std::task::Context<'_>,
    ) -> std::task::Poll<Option<Result<http_body::Frame<B::Data>, B::Error>>> {
        std::pin::Pin::new(&mut self.0).poll_frame(cx)
    }

    fn is_end_stream(&self) -> bool {
        self.0.is_end_stream()
    }

    fn size_hint(&self) -> http_body::SizeHint {
        self.0.size_hint()
    }
}

impl<B: Replayable> HttpRequest for http::Request<B> {
    fn method(&self) -> &Method {
        self.method()
    }

    fn headers_mut(&mut self) -> &mut HeaderMap {
        self.headers_mut()
    }

    fn authority(&self) -> Result<Authority, TransportError> {
        Authority::of(self.uri()).ok_or_else(|| TransportError::no_host(self.uri()))
    }

    fn idempotency(&self) -> Idempotency {
        Idempotency::of(self.method(), self.headers(), self.extensions())
    }

    fn copy(&self) -> Option<Self> {
        let mut copy = http::Request::new(self.body().copy()?);
        copy.method_mut().clone_from(self.method());
        copy.uri_mut().clone_from(self.uri());
        *copy.version_mut() = self.version();
        copy.headers_mut().clone_from(self.headers());
        copy.extensions_mut().clone_from(self.extensions());
        Some(copy)
    }

    fn is_still_valid(&self, answered: bool) -> bool {
        self.body().is_still_valid(answered)
    }

    fn normalize(&mut self) {
        if let Some(uri) = authority::normalized(self.uri()) {
            *self.uri_mut() = uri;
        }
    }
}

#[cfg(feature = "reqwest")]
impl HttpRequest for reqwest::Request {
    fn method(&self) -> &Method {
        self.method()
    }

    fn headers_mut(&mut self) -> &mut HeaderMap {
        self.headers_mut()
    }

    fn authority(&self) -> Result<Authority, TransportError> {
        let url = self.url();
        let authority = || Authority::new(url.scheme(), url.host_str()?, url.port());
        // Not the whole of it: there may be a password in it.
        authority().ok_or_else(|| TransportError::no_host(url.scheme()))
    }

    /// By header and method: reqwest keeps the extensions of its requests to itself.
    fn idempotency(&self) -> Idempotency {
        Idempotency::of_head(self.method(), self.headers())
    }

    fn copy(&self) -> Option<Self> {
        self.try_clone()
    }

    fn normalize(&mut self) {
        let url = self.url();
        if !url.username().is_empty() || url.password().is_some() {
            // An address without a host has none to remove, and is refused elsewhere.
            let _removed = self.url_mut().set_username("");
            let _removed = self.url_mut().set_password(None);
        }
    }
}

/// A request, and whether it may run twice: for request types that have nowhere to say so.
///
/// In a box, since a request is large and is handed from policy to policy.
#[derive(Debug)]
pub struct RequestWithIdempotency<R>(Box<Declared<R>>);

#[derive(Debug)]
struct Declared<R> {
    request: R,
    idempotency: Idempotency,
}

impl<R: HttpRequest> RequestWithIdempotency<R> {
    /// By what the request itself says.
    pub fn new(request: R) -> RequestWithIdempotency<R> {
        let idempotency = request.idempotency();
        RequestWithIdempotency(Box::new(Declared { request, idempotency })).keyed()
    }

    pub(super) fn request(&self) -> &R {
        &self.0.request
    }

    pub(super) fn normalize(&mut self) {
        self.0.request.normalize();
    }

    pub(super) fn into_request(self) -> R {
        self.0.request
    }

    /// Returns `true` if the request has an `Idempotency-Key`, whatever it is.
    pub(super) fn has_key(&mut self) -> bool {
        self.0.request.headers_mut().contains_key(IDEMPOTENCY_KEY)
    }

    /// By what the caller knows.
    #[must_use]
    pub fn declared(mut self, idempotency: Idempotency) -> RequestWithIdempotency<R> {
        self.0.idempotency = idempotency;
        self.keyed()
    }

    /// With a new key, if it is not safe or idempotent by itself, nor has a key: once for all its attempts.
    pub(super) fn with_key_if_needed(self) -> RequestWithIdempotency<R> {
        if self.0.idempotency.may_run_twice() {
            return self;
        }
        self.declared(Idempotency::Keyed(IdempotencyKey::random()))
    }

    /// Its key stands in its header; one that stands there already is the caller's.
    fn keyed(mut self) -> RequestWithIdempotency<R> {
        let Declared { request, idempotency } = &mut *self.0;
        if let Idempotency::Keyed(key) = idempotency {
            let headers = request.headers_mut();
            let there = headers.get(IDEMPOTENCY_KEY).and_then(IdempotencyKey::from_header);
            if there.is_none() {
                headers.insert(IDEMPOTENCY_KEY, key.header_value().clone());
            }
        }
        self
    }
}

impl<R: HttpRequest> From<R> for RequestWithIdempotency<R> {
    fn from(request: R) -> RequestWithIdempotency<R> {
        RequestWithIdempotency::new(request)
    }
}

/// Returns the request, for a service of reqwest's requests below a stack of [`RequestWithIdempotency`]s.
#[cfg(feature = "reqwest")]
impl<R: Into<reqwest::Request>> From<RequestWithIdempotency<R>> for reqwest::Request {
    fn from(call: RequestWithIdempotency<R>) -> reqwest::Request {
        call.0.request.into()
    }
}

/// How the requests of a client are copied.
#[derive(Debug, Clone, Copy)]
pub struct CloneCall;

impl<R: HttpRequest> Replay<RequestWithIdempotency<R>> for CloneCall {
    fn copy(&self, call: &RequestWithIdempotency<R>) -> Option<RequestWithIdempotency<R>> {
        let request = call.request().copy()?;
        Some(RequestWithIdempotency(Box::new(Declared {
            request,
            idempotency: call.0.idempotency.clone(),
        })))
    }

    fn is_still_valid(&self, copy: &RequestWithIdempotency<R>, answered: bool) -> bool {
        copy.request().is_still_valid(answered)
    }

    fn may_run_twice(&self, call: &RequestWithIdempotency<R>) -> bool {
        call.0.idempotency.may_run_twice()
    }
}
