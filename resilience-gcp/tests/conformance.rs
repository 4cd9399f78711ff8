//! Google's error tables as data. Sources: `google/rpc/code.proto`, AIP-194, BigQuery's error
//! table, python-bigquery and java-bigquery; gax.

use std::time::Duration;

use resilience_core::retry::{RetryPolicy, StopReason};
use resilience_core::{AsOutcome, FailureClass, Outcome, RetryHint, clock};
use resilience_gcp::{BigQueryError, Code, Status, retry_info};

const TRANSIENT: Outcome = Outcome::transient();
const THROTTLED: Outcome = Outcome::Throttled(RetryHint::None);

#[test]
fn grpc_codes() {
    let table = [
        (0, Outcome::Success),
        (1, Outcome::Abandoned),
        (2, TRANSIENT),
        (3, Outcome::Permanent),
        (4, Outcome::TimedOut),
        (5, Outcome::Permanent),
        (6, Outcome::Permanent),
        (7, Outcome::Permanent),
        (8, THROTTLED),
        (9, Outcome::Permanent),
        (10, TRANSIENT),
        (11, Outcome::Permanent),
        (12, Outcome::Permanent),
        (13, TRANSIENT),
        (14, TRANSIENT),
        (15, Outcome::Permanent),
        (16, Outcome::Permanent),
    ];
    for (number, expected) in table {
        let code = Code::from_i32(number);
        assert_eq!(Status::new(code, "").as_outcome(), expected, "{number} {code:?}");
    }
}

#[test]
fn bigquery_reasons() {
    let table = [
        ("rateLimitExceeded", "", THROTTLED),
        ("jobRateLimitExceeded", "", THROTTLED),
        ("backendError", "", TRANSIENT),
        ("internalError", "", TRANSIENT),
        ("badGateway", "", TRANSIENT),
        ("jobBackendError", "", TRANSIENT),
        ("jobInternalError", "", TRANSIENT),
        ("tableUnavailable", "", TRANSIENT),
        ("quotaExceeded", "Quota exceeded: load jobs per table per day", Outcome::Permanent),
        (
            "quotaExceeded",
            "Your table exceeded quota for total number of dml jobs writing to a table, pending + running",
            THROTTLED,
        ),
        (
            "jobRateLimitExceeded",
            "Your table exceeded quota for table dml insert operations",
            THROTTLED,
        ),
        (
            "resourcesExceeded",
            "Too many DML statements outstanding against table p:d.t, limit is 20.",
            THROTTLED,
        ),
        ("resourcesExceeded", "Resources exceeded during query execution", Outcome::Permanent),
        (
            "rateLimitExceeded",
            "Exceeded rate limits: too many table update operations for this table",
            THROTTLED,
        ),
        ("invalid", "Job exceeded rate limits: Your table exceeded quota", THROTTLED),
        (
            "invalidQuery",
            "Could not serialize access to table p:d.t due to concurrent update",
            TRANSIENT,
        ),
        (
            "invalidQuery",
            "Transaction is aborted due to concurrent update against table p:d.t",
            TRANSIENT,
        ),
        ("invalidQuery", "Syntax error: Unexpected keyword WHERE at [1:9]", Outcome::Permanent),
        ("accessDenied", "", Outcome::Permanent),
        ("billingTierLimitExceeded", "", Outcome::Permanent),
        ("blocked", "", Outcome::Permanent),
        ("duplicate", "Already Exists: Table p:d.t", Outcome::Permanent),
        ("invalid", "", Outcome::Permanent),
        ("notFound", "", Outcome::Permanent),
        ("responseTooLarge", "", Outcome::Permanent),
        ("stopped", "", Outcome::Permanent),
        ("", "", Outcome::Unknown),
        ("aReasonOfNextYear", "", Outcome::Unknown),
    ];
    for (reason, message, expected) in table {
        assert_eq!(
            BigQueryError::new(reason, message).as_outcome(),
            expected,
            "{reason}: {message}"
        );
    }
}

/// BigQuery sends a conflict as a 400 with the reason of a syntax error.
#[test]
fn a_conflict_in_a_response() {
    let body = r#"{"error":{"code":400,"status":"INVALID_ARGUMENT",
        "message":"Could not serialize access to table p:d.t due to concurrent update",
        "errors":[{"domain":"global","location":"q","locationType":"parameter","reason":"invalidQuery",
        "message":"Could not serialize access to table p:d.t due to concurrent update"}]}}"#;
    let body: serde_json::Value = serde_json::from_str(body).unwrap();
    let entry = &body["error"]["errors"][0];
    let error =
        BigQueryError::new(entry["reason"].as_str().unwrap(), entry["message"].as_str().unwrap());
    assert_eq!(error.as_outcome().failure(), Some(FailureClass::Transient));
}

/// The official client parses RetryInfo and waits 0.26 s where the server requests 2 s.
#[test]
fn a_retry_info_is_a_floor() {
    let status = Status::new(Code::ResourceExhausted, "").with_retry_hint(retry_info::hint(2, 0));
    let policy = RetryPolicy::builder().build().unwrap();
    let now = clock::now();
    for u in [0.0, 0.5, 0.999] {
        let verdict = policy.start(now).decide(now, None, status.as_outcome(), u);
        let resilience_core::retry::Verdict::Retry(retry) = verdict else { panic!("a retry") };
        assert!(retry.delay() >= Duration::from_secs(2), "{:?}", retry.delay());
    }
}

/// gax: when less time remains than the next delay takes, stop now.
#[test]
fn e19_no_wait_that_cannot_end_in_time() {
    let ten_minutes = Status::new(Code::Unavailable, "").with_retry_hint(retry_info::hint(600, 0));
    let policy = RetryPolicy::builder().max_elapsed(Duration::from_secs(60)).build().unwrap();
    let now = clock::now();
    let verdict = policy.start(now).decide(now, None, ten_minutes.as_outcome(), 0.5);
    assert!(matches!(verdict.stop_reason(), Some(StopReason::OutOfTime { .. })));
}
