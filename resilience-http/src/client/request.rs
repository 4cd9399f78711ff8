//! The traits of requests and bodies that a client can send, and send again.

use bytes::Bytes;
use http::{HeaderMap, Method};
use http_body_util::{Empty, Full};
use resilience_core::retry::Replay;

use super::authority::{self, Authority};
use crate::body::ReplayBody;
use crate::classify::TransportError;
use crate::idempotency::{IDEMPOTENCY_KEY, Idempotency, IdempotencyKey};

/// A request that a [`ResilientService`](super::ResilientService) can send.
pub trait HttpRequest: Sized {
    /// Returns the method.
    fn method(&self) -> &Method;
    /// Returns the headers.
    fn headers_mut(&mut self) -> &mut HeaderMap;
    /// Returns the authority of the address.
    ///
    /// # Errors
    /// If the address has no host.
    fn authority(&self) -> Result<Authority, TransportError>;
    /// Returns the effect of processing the request twice: as declared, or by its headers and
    /// method.
    fn idempotency(&self) -> Idempotency;
    /// Returns a copy, or `None` if the body can be sent only once.
    fn copy(&self) -> Option<Self>;

    /// Returns `true` if this copy can still be sent after an attempt that ended with or without a
    /// response. See [`Replay::is_still_valid`].
    fn is_still_valid(&self, has_response: bool) -> bool {
        let _ = has_response;
        true
    }

    /// Rewrites the address in the form of its [`Authority`], so that the connection pool has one
    /// key for it as well: without user info, which HTTP does not send, and without the default
    /// port. Does nothing by default.
    fn normalize(&mut self) {}
}

/// A request body that can be sent again, or reports that it cannot.
///
/// Bodies in memory are cloned. A stream is sent once, as a [`NonReplayableBody`], or recorded up
/// to a limit while it is sent ([`body::ReplayBody`](ReplayBody)).
pub trait Replayable: Sized {
    /// Returns the same body from its beginning, or `None` for a stream, which is not recorded.
    fn copy(&self) -> Option<Self>;

    /// Returns `true` if this copy can still be sent after an attempt that ended with or without a
    /// response. See [`Replay::is_still_valid`].
    fn is_still_valid(&self, has_response: bool) -> bool {
        let _ = has_response;
        true
    }
}

/// Behaves like [`ReplayRequest`](crate::body::ReplayRequest).
impl<B> Replayable for ReplayBody<B> {
    fn copy(&self) -> Option<Self> {
        self.copy()
    }

    fn is_still_valid(&self, has_response: bool) -> bool {
        self.not_replayable().is_none() && (!has_response || self.is_read())
    }
}

macro_rules! impl_replayable_by_clone {
    ($($body:ty),+) => {$(
        impl Replayable for $body {
            fn copy(&self) -> Option<Self> {
                Some(self.clone())
            }
        }
    )+};
}
impl_replayable_by_clone!((), String, Empty<Bytes>, Full<Bytes>);

/// A body that is sent once: a request with it is not retried after its body was started.
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

    fn is_still_valid(&self, has_response: bool) -> bool {
        self.body().is_still_valid(has_response)
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
        // Only the scheme: the address may contain a password.
        authority().ok_or_else(|| TransportError::no_host(url.scheme()))
    }

    /// Reads the header and the method, since reqwest does not expose the extensions of a request.
    fn idempotency(&self) -> Idempotency {
        Idempotency::of_head(self.method(), self.headers())
    }

    fn copy(&self) -> Option<Self> {
        self.try_clone()
    }

    fn normalize(&mut self) {
        let url = self.url();
        if !url.username().is_empty() || url.password().is_some() {
            // Both setters fail only for an address without a host, which `authority` rejects.
            let _removed = self.url_mut().set_username("");
            let _removed = self.url_mut().set_password(None);
        }
    }
}

/// A request with the effect of processing it twice, for request types that cannot carry it.
///
/// Boxed, since a request is large and is moved from policy to policy.
#[derive(Debug)]
pub struct RequestWithIdempotency<R>(Box<Declared<R>>);

#[derive(Debug)]
struct Declared<R> {
    request: R,
    idempotency: Idempotency,
}

impl<R: HttpRequest> RequestWithIdempotency<R> {
    /// Reads the effect from the request itself.
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

    /// Returns `true` if the request has an `Idempotency-Key` header, also an empty one.
    pub(super) fn has_key(&mut self) -> bool {
        self.0.request.headers_mut().contains_key(IDEMPOTENCY_KEY)
    }

    /// Overrides the effect that the request itself declares.
    #[must_use]
    pub fn declared(mut self, idempotency: Idempotency) -> RequestWithIdempotency<R> {
        self.0.idempotency = idempotency;
        self.keyed()
    }

    /// Adds a new key to a request that is not idempotent and has none. All attempts share the key.
    pub(super) fn with_key_if_needed(self) -> RequestWithIdempotency<R> {
        if self.0.idempotency.may_run_twice() {
            return self;
        }
        self.declared(Idempotency::Keyed(IdempotencyKey::random()))
    }

    /// Writes the key into the header, unless the caller has set one.
    fn keyed(mut self) -> RequestWithIdempotency<R> {
        let Declared { request, idempotency } = &mut *self.0;
        if let Idempotency::Keyed(key) = idempotency {
            let headers = request.headers_mut();
            let present = headers.get(IDEMPOTENCY_KEY).and_then(IdempotencyKey::from_header);
            if present.is_none() {
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

/// Returns the request, for a service of reqwest's requests below a stack of
/// [`RequestWithIdempotency`]s.
#[cfg(feature = "reqwest")]
impl<R: Into<reqwest::Request>> From<RequestWithIdempotency<R>> for reqwest::Request {
    fn from(call: RequestWithIdempotency<R>) -> reqwest::Request {
        call.0.request.into()
    }
}

/// The [`Replay`] implementation for the requests of a client.
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

    fn is_still_valid(&self, copy: &RequestWithIdempotency<R>, has_response: bool) -> bool {
        copy.request().is_still_valid(has_response)
    }

    fn may_run_twice(&self, call: &RequestWithIdempotency<R>) -> bool {
        call.0.idempotency.may_run_twice()
    }
}
