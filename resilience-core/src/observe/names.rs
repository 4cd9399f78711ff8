//! The names of series and attributes.
//!
//! OpenTelemetry's rules: lower case, dots between namespaces, underscores between words, no unit
//! and no `_total` in a name
//! ([naming](https://opentelemetry.io/docs/specs/semconv/general/naming/),
//! [metrics](https://opentelemetry.io/docs/specs/semconv/general/metrics/)). Exporters for
//! Prometheus make underscores of the dots. The book's page on observability explains each.
//!
//! ```
//! use resilience_core::observe::names;
//!
//! assert_eq!(names::RETRIES.replace('.', "_"), "resilience_retries");
//! ```

macro_rules! names {
    ($($(#[$doc:meta])+ $constant:ident = $name:literal;)+) => {
        $($(#[$doc])+ pub const $constant: &str = $name;)+
    };
}

// Attributes.
names! {
    /// The name of the layer, policy or store.
    LAYER = "resilience.layer.name";
    /// The key of the state: a host, a tenant, a shard. As a label it is bounded by
    /// `KeyLabels`.
    KEY = "resilience.key";
    /// The outcome of an attempt: the words of [`Outcome::as_str`](crate::Outcome::as_str).
    OUTCOME = "resilience.outcome";
    /// The reason for which no retry followed: the words of
    /// [`StopReason::as_str`](super::words::StopReason::as_str).
    STOP_REASON = "resilience.retry.stop_reason";
    /// The reason of a rejection: the words of
    /// [`RejectionKind::as_str`](crate::RejectionKind::as_str).
    REJECTION_KIND = "resilience.rejection.kind";
    /// A circuit's state: the words of
    /// [`CircuitState::as_str`](super::words::CircuitState::as_str).
    CIRCUIT_STATE = "resilience.circuit.state";
    /// The former state of a circuit: the words of `CIRCUIT_STATE`.
    CIRCUIT_PREVIOUS_STATE = "resilience.circuit.previous_state";
    /// The reason of a change of state: the words of
    /// [`TransitionReason::as_str`](super::words::TransitionReason::as_str).
    CIRCUIT_REASON = "resilience.circuit.reason";
    /// The reason of an eviction: the words of
    /// [`EvictionReason::as_str`](super::words::EvictionReason::as_str).
    EVICTION_REASON = "resilience.eviction.reason";
    /// A phase of a shutdown: the words of [`Phase::as_str`](super::words::Phase::as_str).
    SHUTDOWN_PHASE = "resilience.shutdown.phase";
    /// The reason for which a pool retired an object: the words of
    /// [`Retired::as_str`](super::words::Retired::as_str).
    POOL_REASON = "resilience.pool.reason";
    /// The result of a reload: `accepted` or `rejected`.
    RELOAD_RESULT = "resilience.profile.result";
}

// Counters.
names! {
    /// Retries that were granted.
    RETRIES = "resilience.retries";
    /// Calls that failed and were not retried (again).
    RETRY_STOPS = "resilience.retry.stops";
    /// Calls that succeeded by a retry.
    RETRY_RECOVERIES = "resilience.retry.recoveries";
    /// Rejected calls.
    REJECTIONS = "resilience.rejections";
    /// Calls that an observing layer let pass and would have rejected.
    WOULD_REJECT = "resilience.would_reject";
    /// Changes of a circuit's state.
    CIRCUIT_TRANSITIONS = "resilience.circuit.transitions";
    /// Policies with a failure that no code recognised, counted once for each policy.
    UNKNOWN_ERRORS = "resilience.unknown_errors";
    /// Pauses of rate limits by a server's hint.
    RATE_PAUSES = "resilience.rate.pauses";
    /// Keys that a store evicted.
    EVICTIONS = "resilience.evictions";
    /// Phases of a shutdown that were entered.
    SHUTDOWN_TRANSITIONS = "resilience.shutdown.transitions";
    /// Failures of a pool to create an object.
    POOL_CREATE_FAILURES = "resilience.pool.create_failures";
    /// Objects that a pool retired.
    POOL_RETIRED = "resilience.pool.retired";
    /// Reloads of profiles.
    PROFILE_RELOADS = "resilience.profile.reloads";
}

// Histograms, in seconds.
names! {
    /// The wait before a retry.
    RETRY_DELAY = "resilience.retry.delay";
    /// The length of a rate limit's pause.
    RATE_PAUSE_DURATION = "resilience.rate.pause_duration";
}

// Gauges.
names! {
    /// 1 for the current state of a circuit, 0 for every other. Set by events, not polled.
    CIRCUIT_STATUS = "resilience.circuit.status";
    /// Open circuits: 0 or 1 for a single circuit, a count for a store with one for each key.
    CIRCUITS_OPEN = "resilience.circuit.open";
    /// The share of failures in a circuit's window, 0 to 1.
    CIRCUIT_FAILURE_RATE = "resilience.circuit.failure_rate";
    /// Calls through a breaker that ended in [`Outcome::Success`](crate::Outcome::Success). This
    /// gauge and the seven below never decrease.
    CALLS_SUCCESS = "resilience.circuit.calls.success";
    /// Calls through a breaker that ended in [`Outcome::Transient`](crate::Outcome::Transient).
    CALLS_TRANSIENT = "resilience.circuit.calls.transient";
    /// Calls through a breaker that ended in [`Outcome::TimedOut`](crate::Outcome::TimedOut).
    CALLS_TIMED_OUT = "resilience.circuit.calls.timed_out";
    /// Calls through a breaker that ended in [`Outcome::Throttled`](crate::Outcome::Throttled).
    CALLS_THROTTLED = "resilience.circuit.calls.throttled";
    /// Calls through a breaker that ended in [`Outcome::Permanent`](crate::Outcome::Permanent).
    CALLS_PERMANENT = "resilience.circuit.calls.permanent";
    /// Calls through a breaker that ended in [`Outcome::Unknown`](crate::Outcome::Unknown).
    CALLS_UNKNOWN = "resilience.circuit.calls.unknown";
    /// Calls through a breaker that ended in [`Outcome::NotReady`](crate::Outcome::NotReady).
    CALLS_NOT_READY = "resilience.circuit.calls.not_ready";
    /// Calls through a breaker that ended in [`Outcome::Abandoned`](crate::Outcome::Abandoned).
    CALLS_ABANDONED = "resilience.circuit.calls.abandoned";
    /// Tokens of a retry budget.
    BUDGET_AVAILABLE = "resilience.budget.available";
    /// Permits in use.
    BULKHEAD_IN_USE = "resilience.bulkhead.in_use";
    /// Calls that wait for a permit.
    BULKHEAD_QUEUED = "resilience.bulkhead.queued";
    /// Permits in total.
    BULKHEAD_LIMIT = "resilience.bulkhead.limit";
    /// Calls that a rate limit would admit at once.
    RATE_AVAILABLE = "resilience.rate.available";
    /// Calls that wait for a rate limit.
    RATE_QUEUED = "resilience.rate.queued";
    /// Work that a shutdown waits for, or would wait for.
    SHUTDOWN_IN_FLIGHT = "resilience.shutdown.in_flight";
    /// The most objects that a pool may have.
    POOL_MAX_SIZE = "resilience.pool.max_size";
    /// Objects of a pool.
    POOL_SIZE = "resilience.pool.size";
    /// Idle objects of a pool.
    POOL_IDLE = "resilience.pool.idle";
    /// Calls that have an object of a pool, or acquire one.
    POOL_IN_USE = "resilience.pool.in_use";
    /// Calls that wait for an object.
    POOL_QUEUED = "resilience.pool.queued";
    /// Keys in a store.
    KEYED_KEYS = "resilience.keyed.keys";
    /// Bytes that a store accounts for.
    KEYED_BYTES = "resilience.keyed.bytes";
    /// Bytes of responses that the clients of a server have not taken yet.
    SERVER_UNREAD = "resilience.server.unread";
}
