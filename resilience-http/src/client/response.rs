//! The head of a response, and what goes on until its body has ended.

use std::fmt;

use http::{HeaderMap, Response, StatusCode, Version};
use http_body::Body;
use resilience_core::stack::{CallLifetime, CarriedPermits};

use super::body::HeldBody;
use super::body_guard::BodyGuard;
use super::slots::Slot;
use crate::body::StallTimeout;
use crate::classify::grpc;

/// A response whose body can hold what the call does.
pub trait HttpResponse {
    /// The same response, holding it.
    type Held;

    /// Its version.
    fn version(&self) -> Version;
    /// Its status.
    fn status(&self) -> StatusCode;
    /// Its headers.
    fn headers(&self) -> &HeaderMap;
    /// Gives it to the body, which ends when it stalls for too long.
    fn hold(self, hold: BodyGuard, stall: Option<StallTimeout>) -> Self::Held;
}

impl<B: Body> HttpResponse for Response<B> {
    type Held = Response<HeldBody<B>>;

    fn version(&self) -> Version {
        self.version()
    }

    fn status(&self) -> StatusCode {
        self.status()
    }

    fn headers(&self) -> &HeaderMap {
        self.headers()
    }

    fn hold(self, hold: BodyGuard, stall: Option<StallTimeout>) -> Self::Held {
        self.map(|body| HeldBody::new(body, hold, stall))
    }
}

#[cfg(feature = "reqwest")]
impl HttpResponse for reqwest::Response {
    type Held = reqwest::Response;

    fn version(&self) -> Version {
        self.version()
    }

    fn status(&self) -> StatusCode {
        self.status()
    }

    fn headers(&self) -> &HeaderMap {
        self.headers()
    }

    /// Nothing of the response is lost, its address included.
    fn hold(self, hold: BodyGuard, stall: Option<StallTimeout>) -> reqwest::Response {
        use reqwest::ResponseBuilderExt as _;
        let url = self.url().clone();
        let (mut parts, body) = Response::<reqwest::Body>::from(self).into_parts();
        let mut with_url = Response::builder();
        if let Some(extensions) = with_url.extensions_mut() {
            std::mem::swap(extensions, &mut parts.extensions);
        }
        // Nothing in it can be wrong.
        if let Ok(with_url) = with_url.url(url).body(()) {
            parts.extensions = with_url.into_parts().0.extensions;
        }
        let held = reqwest::Body::wrap(HeldBody::new(body, hold, stall));
        Response::from_parts(parts, held).into()
    }
}

/// A response on its way through the policies. Dropped, its connection is given up.
pub struct TransportResponse<A> {
    response: A,
    // Asked by every policy, and a look-up for each.
    is_grpc: bool,
    rest: CarriedPermits,
    slot: Slot,
}

impl<A: HttpResponse> TransportResponse<A> {
    pub(super) fn new(response: A, slot: Slot) -> TransportResponse<A> {
        let is_grpc = grpc::is_grpc(response.headers());
        TransportResponse { response, is_grpc, rest: CarriedPermits::default(), slot }
    }

    /// Returns the response, and whether it is one of gRPC.
    pub(super) const fn head(&self) -> (&A, bool) {
        (&self.response, self.is_grpc)
    }

    /// The response, whose body holds from now on what the call did.
    pub(super) fn hold(self, stall: Option<StallTimeout>) -> A::Held {
        let hold = BodyGuard::new(&self.response, self.is_grpc, self.rest, self.slot);
        self.response.hold(hold, stall)
    }
}

/// A call lasts until the body of its response has ended.
#[derive(Debug, Clone, Copy, Default)]
#[doc(hidden)]
pub struct UntilBodyEnds;

impl<A> CallLifetime<TransportResponse<A>> for UntilBodyEnds {
    fn carried<'r>(&self, answered: &'r TransportResponse<A>) -> Option<&'r CarriedPermits> {
        Some(&answered.rest)
    }
}

impl<A> fmt::Debug for TransportResponse<A> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TransportResponse").finish_non_exhaustive()
    }
}
