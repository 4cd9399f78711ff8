//! The permits that a response body holds, and the outcome of the call at its end.

use std::fmt;

use http::header::CONNECTION;
use http::{HeaderMap, Version};
use resilience_core::breaker::{Admitted, outcome_of};
use resilience_core::bulkhead::BulkheadPermit;
use resilience_core::stack::CarriedPermits;
use resilience_core::{AnyError, Error, Outcome};

use super::connection_permit::{ConnectionPermit, ConnectionUse};
use super::response::HttpResponse;
use crate::body::Guard;
use crate::classify::{GrpcClassifier, grpc};

/// The permits that a call holds until the body of its response has ended: the admission of the
/// circuit breaker, the connection permit and the bulkhead permit.
pub struct BodyGuard {
    // Fields are dropped in this order: when the bulkhead admits the next call, the outcome is
    // recorded and the connection permit is free.
    circuit: Option<Admitted>,
    connection: ConnectionPermit,
    _permit: Option<BulkheadPermit>,
    // The connection survives the response.
    keep_alive: bool,
    // The gRPC status is in the trailers and not in the head.
    status_in_trailers: bool,
    was_read: bool,
}

impl BodyGuard {
    pub(super) fn new(
        response: &impl HttpResponse,
        is_grpc: bool,
        carried: CarriedPermits,
        connection: ConnectionPermit,
    ) -> BodyGuard {
        let headers = response.headers();
        let keep_alive = is_keep_alive(response.version(), headers);
        let status_in_trailers = is_grpc && !headers.contains_key(grpc::STATUS);
        let (circuit, permit) = carried.into_parts();
        BodyGuard {
            circuit,
            connection,
            _permit: permit,
            keep_alive,
            status_in_trailers,
            was_read: false,
        }
    }

    fn outcome<E>(&self, end: Result<&HeaderMap, &Error<E>>) -> Outcome {
        match end {
            Ok(trailers) if self.status_in_trailers => GrpcClassifier.of_trailers(trailers),
            _ => outcome_of(&AnyError, end),
        }
    }
}

impl<E> Guard<Error<E>> for BodyGuard {
    fn polled(&mut self) {
        self.was_read = true;
    }

    fn ended(mut self, end: Result<&HeaderMap, &Error<E>>) {
        // See docs/decisions/0021-a-calls-holdings-move-to-its-body.md.
        if let Some(admitted) = self.circuit.take() {
            admitted.outcome(self.outcome(end));
        }
        // Only a body that was read to its end leaves the connection in a known state.
        if end.is_ok() && self.keep_alive {
            self.connection.set_use(ConnectionUse::Idle);
        }
    }
}

impl Drop for BodyGuard {
    // A body that was dropped unread is a success: the caller needed only the head, and the head
    // was good. A body that was dropped midway, or before its gRPC status, is an abandoned call.
    fn drop(&mut self) {
        if let Some(admitted) = self.circuit.take()
            && !self.was_read
            && !self.status_in_trailers
        {
            admitted.success();
        }
    }
}

/// Returns `true` if the connection outlives the response (RFC 9112 §9.3).
fn is_keep_alive(version: Version, headers: &HeaderMap) -> bool {
    let mut options = headers.get_all(CONNECTION).iter().filter_map(|value| value.to_str().ok());
    let mut contains = |option: &str| {
        options.any(|value| value.split(',').any(|it| it.trim().eq_ignore_ascii_case(option)))
    };
    let is_http_10 = version <= Version::HTTP_10;
    if is_http_10 { contains("keep-alive") } else { !contains("close") }
}

impl fmt::Debug for BodyGuard {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("BodyGuard")
            .field("circuit", &self.circuit.is_some())
            .finish_non_exhaustive()
    }
}
