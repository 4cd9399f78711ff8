//! What a body holds, and how the call ends with it.

use std::fmt;

use http::header::CONNECTION;
use http::{HeaderMap, Version};
use resilience_core::breaker::{Admitted, outcome_of};
use resilience_core::bulkhead::BulkheadPermit;
use resilience_core::stack::CarriedPermits;
use resilience_core::{AnyError, Error, Outcome};

use super::response::HttpResponse;
use super::slots::{Slot, Use};
use crate::body::Guard;
use crate::classify::{GrpcClassifier, grpc};

/// What a call holds until the body of its response has ended: the circuit's admission, a place on the wire, and
/// the bulkhead's permit.
pub struct BodyGuard {
    // In this order, and so dropped in it: who is let in next finds the circuit told and the connection free.
    circuit: Option<Admitted>,
    slot: Slot,
    _permit: Option<BulkheadPermit>,
    // The server keeps the connection open.
    kept: bool,
    // How a call of gRPC ended is said behind its body.
    says_at_the_end: bool,
    was_read: bool,
}

impl BodyGuard {
    pub(super) fn new(
        response: &impl HttpResponse,
        is_grpc: bool,
        rest: CarriedPermits,
        slot: Slot,
    ) -> BodyGuard {
        let headers = response.headers();
        let kept = keeps_open(response.version(), headers);
        let says_at_the_end = is_grpc && !headers.contains_key(grpc::STATUS);
        let (circuit, permit) = rest.into_parts();
        BodyGuard { circuit, slot, _permit: permit, kept, says_at_the_end, was_read: false }
    }

    fn outcome<E>(&self, end: Result<&HeaderMap, &Error<E>>) -> Outcome {
        match end {
            Ok(trailers) if self.says_at_the_end => GrpcClassifier.of_trailers(trailers),
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
        if end.is_ok() && self.kept {
            self.slot.set(Use::Free);
        }
    }
}

/// Who never began to read wanted no more than the head, and that was good. Who left midway has abandoned the
/// call.
impl Drop for BodyGuard {
    fn drop(&mut self) {
        if let Some(admitted) = self.circuit.take()
            && !self.was_read
            && !self.says_at_the_end
        {
            admitted.success();
        }
    }
}

/// Whether the connection outlives the response (RFC 9112 §9.3).
fn keeps_open(version: Version, headers: &HeaderMap) -> bool {
    let mut options = headers.get_all(CONNECTION).iter().filter_map(|value| value.to_str().ok());
    let mut says = |option: &str| {
        options.any(|value| value.split(',').any(|it| it.trim().eq_ignore_ascii_case(option)))
    };
    let is_old = version <= Version::HTTP_10;
    if is_old { says("keep-alive") } else { !says("close") }
}

impl fmt::Debug for BodyGuard {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("BodyGuard")
            .field("circuit", &self.circuit.is_some())
            .finish_non_exhaustive()
    }
}
