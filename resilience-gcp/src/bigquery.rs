//! Classification of BigQuery errors for retries.
//!
//! BigQuery's HTTP status is not enough: a write conflict is a 400 with the same reason as a syntax
//! error, and a queue that drains in seconds has the same reason as a daily quota. The reason
//! decides; for those two cases, which share their reasons with others, the message decides.
//!
//! A conflict and a full queue are answers of the *job*: issue it again under a new id.
//!
//! ```
//! use resilience_core::Outcome;
//! use resilience_gcp::BigQueryError;
//!
//! let full = "Too many DML statements outstanding against table p:d.t, limit is 20.";
//! let outcome = BigQueryError::new("resourcesExceeded", full).outcome();
//! assert_eq!(outcome.failure(), Some(resilience_core::FailureClass::Throttled));
//! assert_eq!(BigQueryError::new("resourcesExceeded", "out of memory").outcome(), Outcome::Permanent);
//! ```

use resilience_core::{AsOutcome, Outcome, RetryHint};

/// The message of a statement or a transaction that lost to another writer.
const CONFLICTS: [&str; 2] = ["could not serialize access", "due to concurrent update"];

/// The messages of limits that are free again within seconds, unlike those that share their
/// reasons.
const PASSING_LIMITS: [&str; 4] = [
    "too many dml statements outstanding",
    "total number of dml jobs writing to a table",
    "quota for table dml insert operations",
    "too many api requests",
];

/// An entry of a BigQuery error: from `error.errors` in a response, or a job's `status.errors`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BigQueryError<'a> {
    reason: &'a str,
    message: &'a str,
}

impl<'a> BigQueryError<'a> {
    /// An entry of this reason and message.
    #[must_use]
    pub const fn new(reason: &'a str, message: &'a str) -> BigQueryError<'a> {
        BigQueryError { reason, message }
    }

    /// Returns the outcome of the job or the request.
    #[must_use]
    pub fn outcome(&self) -> Outcome {
        let message = self.message.to_ascii_lowercase();
        let contains_any = |phrases: &[&str]| phrases.iter().any(|phrase| message.contains(phrase));
        if contains_any(&CONFLICTS) {
            return Outcome::transient();
        }
        if contains_any(&PASSING_LIMITS) || says_rate_limit(&message) {
            return Outcome::Throttled(RetryHint::None);
        }
        match self.reason {
            "rateLimitExceeded" | "jobRateLimitExceeded" => Outcome::Throttled(RetryHint::None),
            "backendError" | "internalError" | "badGateway" | "jobBackendError"
            | "jobInternalError" | "tableUnavailable" => Outcome::transient(),
            "accessDenied"
            | "billingNotEnabled"
            | "billingTierLimitExceeded"
            | "blocked"
            | "duplicate"
            | "invalid"
            | "invalidQuery"
            | "invalidUser"
            | "notFound"
            | "notImplemented"
            | "proxyAuthenticationRequired"
            | "quotaExceeded"
            | "resourceInUse"
            | "resourcesExceeded"
            | "responseTooLarge"
            | "stopped"
            | "attributeError"
            | "bytesBilledLimitExceeded" => Outcome::Permanent,
            _ => Outcome::Unknown,
        }
    }
}

/// "Exceeded rate limits: …", "Job exceeded rate limits: …" and their like, by the pattern that
/// Google's Java client looks for: exceed, rate and limit, in this order.
fn says_rate_limit(message: &str) -> bool {
    let mut rest = Some(message);
    for word in ["exceed", "rate", "limit"] {
        rest = rest.and_then(|text| text.split_once(word)).map(|(_, after)| after);
    }
    rest.is_some()
}

impl AsOutcome for BigQueryError<'_> {
    fn as_outcome(&self) -> Outcome {
        self.outcome()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_words_of_a_rate_limit_must_come_in_order() {
        assert!(says_rate_limit("exceeded rate limits: too many table update operations"));
        assert!(!says_rate_limit("the limit on the rate was not exceeded"));
        assert!(!says_rate_limit(""));
    }

    #[test]
    fn case_does_not_matter_in_a_message() {
        let shouted = BigQueryError::new("invalidQuery", "COULD NOT SERIALIZE ACCESS to table t");
        assert_eq!(shouted.outcome(), Outcome::transient());
    }
}
