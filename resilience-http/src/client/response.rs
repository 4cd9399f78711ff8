//! Responses, and the permits that they carry until the body has ended.

use std::fmt;

use http::{HeaderMap, Response, StatusCode, Version};
use http_body::Body;
use resilience_core::stack::{CallLifetime, CarriedPermits};

use super::body::ClientBody;
use super::body_guard::BodyGuard;
use super::connection_permit::ConnectionPermit;
use crate::body::StallTimeout;
use crate::classify::grpc;

/// A response with a body that can hold the permits of the call.
pub trait HttpResponse {
    /// The response with a guarded body.
    type Guarded;

    /// Returns the HTTP version.
    fn version(&self) -> Version;
    /// Returns the status.
    fn status(&self) -> StatusCode;
    /// Returns the headers.
    fn headers(&self) -> &HeaderMap;
    /// Moves the guard into the body. With `stall`, a body that stalls ends in a rejection.
    fn with_guard(self, guard: BodyGuard, stall: Option<StallTimeout>) -> Self::Guarded;
}

impl<B: Body> HttpResponse for Response<B> {
    type Guarded = Response<ClientBody<B>>;

    fn version(&self) -> Version {
        self.version()
    }

    fn status(&self) -> StatusCode {
        self.status()
    }

    fn headers(&self) -> &HeaderMap {
        self.headers()
    }

    fn with_guard(self, guard: BodyGuard, stall: Option<StallTimeout>) -> Self::Guarded {
        self.map(|body| ClientBody::new(body, guard, stall))
    }
}

#[cfg(feature = "reqwest")]
impl HttpResponse for reqwest::Response {
    type Guarded = reqwest::Response;

    fn version(&self) -> Version {
        self.version()
    }

    fn status(&self) -> StatusCode {
        self.status()
    }

    fn headers(&self) -> &HeaderMap {
        self.headers()
    }

    /// Keeps all parts of the response, its address included.
    fn with_guard(self, guard: BodyGuard, stall: Option<StallTimeout>) -> reqwest::Response {
        use reqwest::ResponseBuilderExt as _;
        let url = self.url().clone();
        let (mut parts, body) = Response::<reqwest::Body>::from(self).into_parts();
        let mut with_url = Response::builder();
        if let Some(extensions) = with_url.extensions_mut() {
            std::mem::swap(extensions, &mut parts.extensions);
        }
        // Cannot fail: the builder has only extensions.
        if let Ok(with_url) = with_url.url(url).body(()) {
            parts.extensions = with_url.into_parts().0.extensions;
        }
        let guarded = reqwest::Body::wrap(ClientBody::new(body, guard, stall));
        Response::from_parts(parts, guarded).into()
    }
}

/// A response on its way up through the policies. Dropping it closes its connection.
pub struct TransportResponse<A> {
    response: A,
    // Cached: each policy classifies the response, and each look-up in the headers costs.
    is_grpc: bool,
    carried: CarriedPermits,
    connection: ConnectionPermit,
}

impl<A: HttpResponse> TransportResponse<A> {
    pub(super) fn new(response: A, connection: ConnectionPermit) -> TransportResponse<A> {
        let is_grpc = grpc::is_grpc(response.headers());
        TransportResponse { response, is_grpc, carried: CarriedPermits::default(), connection }
    }

    /// Returns the response, and `true` if it is a gRPC response.
    pub(super) const fn head(&self) -> (&A, bool) {
        (&self.response, self.is_grpc)
    }

    /// Returns the response with a body that holds the permits of the call.
    pub(super) fn into_guarded(self, stall: Option<StallTimeout>) -> A::Guarded {
        let guard = BodyGuard::new(&self.response, self.is_grpc, self.carried, self.connection);
        self.response.with_guard(guard, stall)
    }
}

/// The lifetime of a client's call: until the body of its response has ended.
#[derive(Debug, Clone, Copy, Default)]
#[doc(hidden)]
pub struct UntilBodyEnds;

impl<A> CallLifetime<TransportResponse<A>> for UntilBodyEnds {
    fn carried<'r>(&self, response: &'r TransportResponse<A>) -> Option<&'r CarriedPermits> {
        Some(&response.carried)
    }
}

impl<A> fmt::Debug for TransportResponse<A> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TransportResponse").finish_non_exhaustive()
    }
}
