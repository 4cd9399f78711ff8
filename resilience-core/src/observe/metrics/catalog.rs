//! Descriptions of the series.

use ::metrics::{Counter, Gauge, Histogram, Key, Level, Metadata, Recorder, Unit};

use crate::observe::names;

type Description = (&'static str, Unit, &'static str);

const COUNTERS: &[Description] = &[
    (names::RETRIES, Unit::Count, "Retries that were granted."),
    (names::RETRY_STOPS, Unit::Count, "Calls that failed and were not retried, or not again."),
    (names::RETRY_RECOVERIES, Unit::Count, "Calls that succeeded by a retry."),
    (names::REJECTIONS, Unit::Count, "Calls that were rejected."),
    (names::WOULD_REJECT, Unit::Count, "Calls let pass that would have been rejected."),
    (names::CIRCUIT_TRANSITIONS, Unit::Count, "Changes of a circuit's state."),
    (names::UNKNOWN_ERRORS, Unit::Count, "Policies with a failure that no code recognised."),
    (names::RATE_PAUSES, Unit::Count, "Pauses of a rate limit by a server's hint."),
    (names::EVICTIONS, Unit::Count, "Keys that a store evicted."),
    (names::SHUTDOWN_TRANSITIONS, Unit::Count, "Phases of a shutdown that were entered."),
    (names::POOL_CREATE_FAILURES, Unit::Count, "Failures of a pool to create an object."),
    (names::POOL_RETIRED, Unit::Count, "Objects that a pool retired."),
    (names::PROFILE_RELOADS, Unit::Count, "Reloads of profiles, accepted or rejected."),
];

const HISTOGRAMS: &[Description] = &[
    (names::RETRY_DELAY, Unit::Seconds, "The wait before a retry."),
    (names::RATE_PAUSE_DURATION, Unit::Seconds, "The length of a rate limit's pause."),
];

const GAUGES: &[Description] = &[
    (names::CIRCUIT_STATUS, Unit::Count, "1 for the state a circuit is in, 0 for every other."),
    (names::CIRCUITS_OPEN, Unit::Count, "Circuits that are open."),
    (names::CIRCUIT_FAILURE_RATE, Unit::Count, "The share of failures, 0 to 1."),
    (names::CALLS_SUCCESS, Unit::Count, "Calls through a breaker that ended in success."),
    (names::CALLS_TRANSIENT, Unit::Count, "Calls through a breaker that ended in transient."),
    (names::CALLS_TIMED_OUT, Unit::Count, "Calls through a breaker that ended in timed_out."),
    (names::CALLS_THROTTLED, Unit::Count, "Calls through a breaker that ended in throttled."),
    (names::CALLS_PERMANENT, Unit::Count, "Calls through a breaker that ended in permanent."),
    (names::CALLS_UNKNOWN, Unit::Count, "Calls through a breaker that ended in unknown."),
    (names::CALLS_NOT_READY, Unit::Count, "Calls through a breaker that ended in not_ready."),
    (names::CALLS_ABANDONED, Unit::Count, "Calls through a breaker that ended in abandoned."),
    (names::BUDGET_AVAILABLE, Unit::Count, "Tokens of a retry budget."),
    (names::BULKHEAD_IN_USE, Unit::Count, "Permits in use."),
    (names::BULKHEAD_QUEUED, Unit::Count, "Calls that wait for a permit."),
    (names::BULKHEAD_LIMIT, Unit::Count, "Permits in total."),
    (names::RATE_AVAILABLE, Unit::Count, "Calls that a rate limit would admit at once."),
    (names::RATE_QUEUED, Unit::Count, "Calls that wait for a rate limit."),
    (names::SHUTDOWN_IN_FLIGHT, Unit::Count, "Work that a shutdown waits for."),
    (names::POOL_MAX_SIZE, Unit::Count, "The most objects that a pool may have."),
    (names::POOL_SIZE, Unit::Count, "Objects of a pool."),
    (names::POOL_IDLE, Unit::Count, "Idle objects of a pool."),
    (names::POOL_IN_USE, Unit::Count, "Calls that have an object, or acquire one."),
    (names::POOL_QUEUED, Unit::Count, "Calls that wait for an object."),
    (names::KEYED_KEYS, Unit::Count, "Keys in a store."),
    (names::KEYED_BYTES, Unit::Bytes, "Bytes that a store accounts for."),
    (names::SERVER_UNREAD, Unit::Bytes, "Bytes of responses that clients have not taken yet."),
];

static METADATA: Metadata<'static> =
    Metadata::new("resilience", Level::INFO, Some("resilience_core::observe"));

/// A kind of handle.
pub(super) trait Instrument: Clone {
    fn describe_all(recorder: &dyn Recorder);
    fn register(recorder: &dyn Recorder, key: &Key) -> Self;
}

macro_rules! instrument {
    ($handle:ty, $all:ident, $describe:ident, $register:ident) => {
        impl Instrument for $handle {
            fn describe_all(recorder: &dyn Recorder) {
                for &(name, unit, text) in $all {
                    recorder.$describe(name.into(), Some(unit), text.into());
                }
            }

            fn register(recorder: &dyn Recorder, key: &Key) -> Self {
                recorder.$register(key, &METADATA)
            }
        }
    };
}
instrument!(Counter, COUNTERS, describe_counter, register_counter);
instrument!(Histogram, HISTOGRAMS, describe_histogram, register_histogram);
instrument!(Gauge, GAUGES, describe_gauge, register_gauge);
