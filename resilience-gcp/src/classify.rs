//! Classification of gRPC statuses for retries.
//!
//! AIP-194 lets a client retry one code, UNAVAILABLE. The services' own configurations retry more,
//! each a different set. Common to all is the question that this module decides: *may this failure
//! pass?* Only the caller knows if the request may be sent twice.
//!
//! | code | outcome | because |
//! |---|---|---|
//! | UNAVAILABLE | transient | AIP-194 |
//! | RESOURCE_EXHAUSTED | throttled | a quota; RetryInfo says for how long |
//! | ABORTED | transient | a conflict: repeat the whole read-modify-write, not the call |
//! | DEADLINE_EXCEEDED | timed out | it may still be running |
//! | INTERNAL, UNKNOWN | transient | Pub/Sub publish and BigQuery retry both; the codes do not describe the request |
//! | CANCELLED | abandoned | the caller gave up; tonic's client time-out has this code too, and is recognised |
//! | UNAUTHENTICATED | permanent | the same token is refused again |
//! | all others | permanent | the request is what is wrong |
//!
//! ```
//! use resilience_core::{Classify, Outcome};
//! use resilience_gcp::{Code, Status};
//!
//! struct Failed { code: i32, message: String } // tonic::Status, for one
//!
//! let by_status = |result: Result<&(), &Failed>| match result {
//!     Ok(()) => Outcome::Success,
//!     Err(error) => Status::new(Code::from_i32(error.code), &error.message).outcome(),
//! };
//! let unavailable = Failed { code: 14, message: "tcp connect error".into() };
//! assert_eq!(by_status.classify(Err(&unavailable)), Outcome::transient());
//! ```

use resilience_core::{AsOutcome, Outcome, RetryHint};

/// A canonical status code of `google.rpc.Code`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[expect(clippy::exhaustive_enums, reason = "gRPC fixed the set: an unknown number is UNKNOWN")]
pub enum Code {
    /// 0: not an error.
    Ok,
    /// 1: the operation was given up, usually by the caller.
    Cancelled,
    /// 2: an error without a known cause.
    Unknown,
    /// 3: the request is wrong, whatever the state of the system.
    InvalidArgument,
    /// 4: no response came in time.
    DeadlineExceeded,
    /// 5: there is no such thing.
    NotFound,
    /// 6: there is such a thing already.
    AlreadyExists,
    /// 7: the caller may not.
    PermissionDenied,
    /// 8: a quota or a resource is used up.
    ResourceExhausted,
    /// 9: the system is not in a state for this.
    FailedPrecondition,
    /// 10: a conflict with others, such as a lost transaction.
    Aborted,
    /// 11: past the end of what there is.
    OutOfRange,
    /// 12: not supported.
    Unimplemented,
    /// 13: something is broken inside.
    Internal,
    /// 14: not now.
    Unavailable,
    /// 15: data is lost for good.
    DataLoss,
    /// 16: no valid credentials.
    Unauthenticated,
}

impl Code {
    /// The code of this number; of one that gRPC does not know, [`Code::Unknown`].
    #[must_use]
    pub const fn from_i32(number: i32) -> Code {
        match number {
            0 => Code::Ok,
            1 => Code::Cancelled,
            3 => Code::InvalidArgument,
            4 => Code::DeadlineExceeded,
            5 => Code::NotFound,
            6 => Code::AlreadyExists,
            7 => Code::PermissionDenied,
            8 => Code::ResourceExhausted,
            9 => Code::FailedPrecondition,
            10 => Code::Aborted,
            11 => Code::OutOfRange,
            12 => Code::Unimplemented,
            13 => Code::Internal,
            14 => Code::Unavailable,
            15 => Code::DataLoss,
            16 => Code::Unauthenticated,
            _ => Code::Unknown,
        }
    }
}

/// Message of tonic's own client time-out, which has the code CANCELLED.
const TONIC_TIMEOUT: &str = "Timeout expired";

/// The parts of a gRPC status that matter for trying again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Status<'a> {
    code: Code,
    message: &'a str,
    hint: RetryHint,
}

impl<'a> Status<'a> {
    /// A status without details.
    #[must_use]
    pub const fn new(code: Code, message: &'a str) -> Status<'a> {
        Status { code, message, hint: RetryHint::None }
    }

    /// Adds the delay of its `RetryInfo` (see [`retry_info::hint`](crate::retry_info::hint)). The
    /// delay is used only if the failure may pass.
    #[must_use]
    pub const fn with_retry_hint(mut self, hint: RetryHint) -> Status<'a> {
        self.hint = hint;
        self
    }

    /// Returns the outcome of the call.
    #[must_use]
    pub fn outcome(&self) -> Outcome {
        match self.code {
            Code::Ok => Outcome::Success,
            Code::Unavailable | Code::Aborted | Code::Internal | Code::Unknown => {
                Outcome::Transient(self.hint)
            }
            Code::ResourceExhausted => Outcome::Throttled(self.hint),
            Code::DeadlineExceeded => Outcome::TimedOut,
            Code::Cancelled if self.message.contains(TONIC_TIMEOUT) => Outcome::TimedOut,
            Code::Cancelled => Outcome::Abandoned,
            Code::InvalidArgument
            | Code::NotFound
            | Code::AlreadyExists
            | Code::PermissionDenied
            | Code::FailedPrecondition
            | Code::OutOfRange
            | Code::Unimplemented
            | Code::DataLoss
            | Code::Unauthenticated => Outcome::Permanent,
        }
    }
}

impl AsOutcome for Status<'_> {
    fn as_outcome(&self) -> Outcome {
        self.outcome()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[test]
    fn a_number_nobody_defined_is_unknown() {
        for number in [-1, 2, 17, i32::MIN, i32::MAX] {
            assert_eq!(Code::from_i32(number), Code::Unknown);
        }
    }

    #[test]
    fn a_hint_does_not_make_a_permanent_failure_pass() {
        let hint = RetryHint::After(Duration::from_secs(1));
        let with = |code| Status::new(code, "").with_retry_hint(hint).outcome();
        assert_eq!(with(Code::Unavailable), Outcome::Transient(hint));
        assert_eq!(with(Code::ResourceExhausted), Outcome::Throttled(hint));
        assert_eq!(with(Code::InvalidArgument), Outcome::Permanent);
    }

    #[test]
    fn a_client_time_out_of_tonic_is_a_time_out() {
        assert_eq!(Status::new(Code::Cancelled, "Timeout expired").outcome(), Outcome::TimedOut);
        assert_eq!(Status::new(Code::Cancelled, "cancelled").outcome(), Outcome::Abandoned);
    }
}
