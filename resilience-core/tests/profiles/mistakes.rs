//! Messages for mistakes give the place, the mistake and the allowed values.

use resilience_core::profiles::{Profiles, ProfilesError, ProfilesErrorKind};

fn rejected(text: &str) -> ProfilesError {
    let read = Profiles::from_toml(text);
    read.err().unwrap_or_else(|| panic!("not rejected: {text}"))
}

/// A profile with these lines after its deadline.
fn with(lines: &str) -> ProfilesError {
    rejected(&format!("[a.b]\ndeadline = \"60s\"\n{lines}"))
}

#[test]
fn every_mistake_is_named_with_its_place() {
    use ProfilesErrorKind::{MissingKey, OutOfBounds, UnknownKey, WrongType};
    let retry = "retry = { max_attempts = 3, backoff = { base = \"1s\", cap = \"5s\" }";
    let backoff = "retry = { max_attempts = 3, backoff = { base = \"1s\", cap = \"5s\"";
    let cases = [
        ("retyr = {}".into(), UnknownKey, "retyr", "did you mean `retry`?"),
        (format!("{backoff}, bse = 1 }} }}"), UnknownKey, "retry.backoff.bse", "did you mean `base`?"),
        (
            "attempt_timeout = 5".into(),
            WrongType,
            "attempt_timeout",
            "is an integer, must be a duration",
        ),
        (
            "attempt_timeout = \"5\"".into(),
            OutOfBounds,
            "attempt_timeout",
            "is 5, must be a duration",
        ),
        (
            "attempt_timeout = \"5M\"".into(),
            OutOfBounds,
            "attempt_timeout",
            "is 5M, must be a duration",
        ),
        ("attempt_timeout = \"0s\"".into(), OutOfBounds, "attempt_timeout", "more than zero"),
        (
            "attempt_timeout = \"60s\"".into(),
            OutOfBounds,
            "attempt_timeout",
            "less than `deadline` (60s)",
        ),
        ("bulkhead = 5".into(), WrongType, "bulkhead", "must be a table"),
        ("bulkhead = {}".into(), MissingKey, "bulkhead.max_concurrent", "is missing"),
        (
            "bulkhead = { max_concurrent = 0 }".into(),
            OutOfBounds,
            "bulkhead.max_concurrent",
            "at least 1",
        ),
        (
            "bulkhead = { max_concurrent = -1 }".into(),
            OutOfBounds,
            "bulkhead.max_concurrent",
            "is -1",
        ),
        (
            "bulkhead = { max_concurrent = 99999999999 }".into(),
            OutOfBounds,
            "bulkhead.max_concurrent",
            "from 0 to 4294967295",
        ),
        (
            "bulkhead = { max_concurrent = 1, wait_at_most = \"1m\" }".into(),
            OutOfBounds,
            "bulkhead.wait_at_most",
            "less than `deadline`",
        ),
        (
            "bulkhead = { max_concurrent = 1, max_queued = 9 }".into(),
            OutOfBounds,
            "bulkhead.max_queued",
            "left out where no call waits",
        ),
        (
            "bulkhead = { max_concurrent = 1, order = \"lifo\", wait_at_most = \"1s\" }".into(),
            OutOfBounds,
            "bulkhead.order",
            "\"fifo\" or \"newest_first\"",
        ),
        ("rate_limit = {}".into(), MissingKey, "rate_limit", "has none of `per_second`"),
        (
            "rate_limit = { per_second = 1, per_minute = 1 }".into(),
            OutOfBounds,
            "rate_limit.per_minute",
            "the only one",
        ),
        (
            "rate_limit = { per_second = 0 }".into(),
            OutOfBounds,
            "rate_limit.per_second",
            "is 0, must be at least 1",
        ),
        ("rate_limit = { count = 5 }".into(), MissingKey, "rate_limit.period", "is missing"),
        (
            "rate_limit = { per_second = 5, period = \"1s\" }".into(),
            OutOfBounds,
            "rate_limit.period",
            "used with `count`",
        ),
        ("rate_limit = { per_second = 5, burst = 0 }".into(), OutOfBounds, "rate_limit.burst", "at least 1"),
        (
            "rate_limit = { per_second = 5, wait_at_most = \"2m\" }".into(),
            OutOfBounds,
            "rate_limit.wait_at_most",
            "less than `deadline`",
        ),
        (
            "retry = { backoff = { base = \"1s\", cap = \"1s\" } }".into(),
            MissingKey,
            "retry.max_attempts",
            "is missing",
        ),
        ("retry = { max_attempts = 2, backoff = { base = \"1s\" } }".into(), MissingKey, "retry.backoff.cap", "is missing"),
        (format!("{retry}, budget = {{ ratio = \"-1%\" }} }}"), OutOfBounds, "retry.budget.ratio", "between 0 and 10"),
        (format!("{retry}, budget = {{ ratio = \"nan%\" }} }}"), OutOfBounds, "retry.budget.ratio", "is nan%"),
        (
            format!("{retry}, budget = {{ ratio = 0.1 }} }}"),
            WrongType,
            "retry.budget.ratio",
            "is a float, must be a percentage",
        ),
        (format!("{backoff}, jitter = \"lots\" }} }}"), OutOfBounds, "retry.backoff.jitter", "\"decorrelated\""),
        (format!("{backoff}, jitter = \"300%\" }} }}"), OutOfBounds, "retry.backoff.jitter", "between 0 and 1"),
        (
            format!("{backoff}, factor = nan, jitter = \"full\" }} }}"),
            OutOfBounds,
            "retry.backoff.factor",
            "is NaN",
        ),
        (format!("{backoff}, factor = 2 }} }}"), OutOfBounds, "retry.backoff.factor", "left out"),
        (
            format!("{retry}, without_budget = true, budget = {{}} }}"),
            OutOfBounds,
            "retry.without_budget",
            "left out",
        ),
        (
            format!("{retry}, wait_when_not_ready = \"yes\" }}"),
            WrongType,
            "retry.wait_when_not_ready",
            "true",
        ),
        (
            "retry = { max_attempts = 3, backoff = { base = \"40s\", cap = \"50s\" } }".into(),
            OutOfBounds,
            "retry.max_attempts",
            "at most 2: the shortest waits alone",
        ),
        (
            "circuit_breaker = { failure_rate = 0.5 }".into(),
            WrongType,
            "circuit_breaker.failure_rate",
            "a percentage",
        ),
        ("circuit_breaker = { failure_rate = \"50%\" }".into(), MissingKey, "circuit_breaker.window", "is missing"),
        (
            "circuit_breaker = { minimum_calls = 5 }".into(),
            OutOfBounds,
            "circuit_breaker.minimum_calls",
            "used with",
        ),
        ("circuit_breaker = { growing_break = { factor = 2 } }".into(), MissingKey, "circuit_breaker.growing_break.first", "is missing"),
        ("circuit_breaker = { probes = 0 }".into(), OutOfBounds, "circuit_breaker.probes", "between 1 and 1000"),
        (
            "circuit_breaker = { failure_rate = \"50%\", window = { time = \"10s\" }, minimum_calls = 20 }\n\
             rate_limit = { per_minute = 6, burst = 1 }"
                .into(),
            OutOfBounds,
            "circuit_breaker.minimum_calls",
            "at most 2, what the rate limit admits in 10s",
        ),
    ];
    for (lines, kind, field, says) in cases {
        let error = with(&lines);
        let message = error.to_string();
        assert_eq!((error.kind(), error.field()), (kind, Some(field)), "{lines}: {message}");
        assert!(message.contains(says), "{lines}: {message}");
        assert_eq!(error.profile(), Some("a.b"), "{lines}");
        assert_eq!(error.line(), Some(3), "{lines}: {message}");
    }
}

#[test]
fn a_profile_without_a_deadline_is_rejected() {
    let error = rejected(
        "[a]\n[a.b]\nretry = { max_attempts = 1, backoff = { base = \"1s\", cap = \"1s\" } }",
    );
    assert_eq!(error.to_string(), "line 2: profile `a.b`: `deadline` is missing");
    assert_eq!(rejected("[empty]").field(), Some("deadline"));
}

#[test]
fn what_is_no_table_is_no_profile() {
    let error = rejected("name = 5");
    assert_eq!(error.to_string(), "line 1: `name` is an integer, must be a profile: a table");
    let unnamed = rejected("['']\ndeadline = \"1s\"");
    assert_eq!(
        unnamed.to_string(),
        "line 1: `\"\"` is \"\", must be a name of at least one character"
    );
    assert_eq!(rejected("[[a]]\ndeadline = \"1s\"").kind(), ProfilesErrorKind::UnknownKey);
}

#[test]
fn a_table_within_a_profile_is_no_profile() {
    let error = rejected("[a]\ndeadline = \"1s\"\n[a.b]\ndeadline = \"1s\"");
    assert_eq!((error.profile(), error.field(), error.line()), (Some("a"), Some("b"), Some(3)));
}

#[test]
fn syntax_is_rejected_with_the_line() {
    let error = rejected("[a]\ndeadline = \"1s\"\ndeadline = \"2s\"");
    assert_eq!((error.kind(), error.line()), (ProfilesErrorKind::Syntax, Some(3)));
    assert_eq!(rejected("[a\n").kind(), ProfilesErrorKind::Syntax);
}

#[test]
fn a_file_that_is_not_there_is_named() {
    let error = Profiles::load("/no/such/file.toml").unwrap_err();
    assert_eq!(error.kind(), ProfilesErrorKind::Unreadable);
    assert!(error.to_string().starts_with("/no/such/file.toml: "), "{error}");
}
