//! Each event as a `tracing` event: level, target, name, fields, values.

use resilience_core::observe::{Event, Listen, Tracing};
use resilience_core::testing::each_event;
use resilience_core::{Rejection, RejectionKind};
use tracing::Level;

use crate::subscriber::Log;

fn log_of_each(up_to: Level) -> Vec<String> {
    let log = Log::new(up_to);
    log.during(|| each_event(|event| Tracing::new().event(event)));
    log.take()
}

const EVERY_LINE: &[&str] = &[
    "DEBUG resilience::retry resilience.retry_scheduled: resilience.layer.name=\"layer\" \
     resilience.retry.attempts=1 resilience.outcome=\"timed_out\" error.type=\"timed_out\" \
     resilience.retry.delay=1.5",
    "DEBUG resilience::retry resilience.retry_stopped: resilience.layer.name=\"layer\" \
     resilience.key=\"key\" resilience.retry.attempts=2 resilience.outcome=\"transient\" error.type=\"transient\" \
     error.message=a sample of an error resilience.retry.stop_reason=\"out_of_time\" resilience.retry.needed=1.5 \
     resilience.retry.remaining=0.0",
    "DEBUG resilience::retry resilience.retry_succeeded: resilience.layer.name=\"layer\" \
     resilience.key=\"key\" resilience.retry.attempts=2",
    "DEBUG resilience::rejection resilience.rejected: resilience.layer.name=\"layer\" \
     resilience.key=\"key\" resilience.rejection.kind=\"rate_limited\" error.type=\"rate_limited\" \
     resilience.rejection.limit=30.0 resilience.rejection.observed=31.0 \
     resilience.rejection.retry_after=1.5",
    "DEBUG resilience::rejection resilience.would_reject: resilience.layer.name=\"layer\" \
     resilience.key=\"key\" resilience.rejection.kind=\"rate_limited\" \
     resilience.rejection.limit=30.0 resilience.rejection.observed=31.0 \
     resilience.rejection.retry_after=1.5",
    "WARN resilience::breaker resilience.circuit_changed: resilience.layer.name=\"layer\" \
     resilience.circuit.sequence=1 resilience.circuit.state=\"open\" \
     resilience.circuit.previous_state=\"closed\" \
     resilience.circuit.reason=\"consecutive_failures\" resilience.circuit.retry_after=1.5 \
     error.message=a sample of an error",
    "INFO resilience::breaker resilience.circuit_changed: resilience.layer.name=\"layer\" \
     resilience.circuit.sequence=2 resilience.circuit.state=\"half_open\" \
     resilience.circuit.previous_state=\"open\" resilience.circuit.reason=\"break_over\"",
    "WARN resilience::breaker resilience.circuit_changed: resilience.layer.name=\"layer\" \
     resilience.key=\"key\" resilience.circuit.sequence=3 resilience.circuit.state=\"open\" \
     resilience.circuit.previous_state=\"closed\" resilience.circuit.reason=\"hint\" \
     resilience.circuit.retry_after=1.5 error.message=a sample of an error",
    "WARN resilience::outcome resilience.unknown_error: resilience.layer.name=\"layer\" \
     error.type=\"Sample\" error.message=a sample of an error",
    "WARN resilience::rate resilience.rate_paused: resilience.layer.name=\"layer\" \
     resilience.key=\"key\" resilience.rate.pause=1.5",
    "DEBUG resilience::keyed resilience.key_evicted: resilience.layer.name=\"layer\" \
     resilience.key=\"key\" resilience.eviction.reason=\"capacity\"",
    "WARN resilience::shutdown resilience.shutdown_changed: resilience.layer.name=\"layer\" \
     resilience.shutdown.phase=\"forced\" resilience.shutdown.previous_phase=\"draining\" \
     resilience.shutdown.in_flight=2 resilience.shutdown.reason=\"SIGTERM\"",
    "WARN resilience::pool resilience.pool_create_failed: resilience.layer.name=\"layer\" \
     resilience.pool.failures=3 resilience.pool.pause=1.5 error.message=a sample of an error",
    "DEBUG resilience::pool resilience.pool_retired: resilience.layer.name=\"layer\" \
     resilience.pool.reason=\"broken\"",
    "INFO resilience::profile resilience.profiles_reloaded: resilience.profile.result=\"accepted\"",
    "WARN resilience::profile resilience.profiles_reloaded: resilience.profile.result=\"rejected\" \
     error.type=\"invalid_config\" resilience.profile.error=\"`limit` is 0\"",
];

#[test]
fn every_event_with_its_fields() {
    assert_eq!(log_of_each(Level::TRACE), EVERY_LINE);
}

#[test]
fn a_log_without_debug_has_the_changes_of_state_only() {
    let changes: Vec<_> = EVERY_LINE.iter().filter(|line| !line.starts_with("DEBUG")).collect();
    assert_eq!(log_of_each(Level::INFO), changes.into_iter().copied().collect::<Vec<_>>());
}

#[test]
fn names_are_those_of_the_events() {
    let mut names = Vec::new();
    each_event(|event| names.push(format!("resilience.{}", event.name())));
    let lines = log_of_each(Level::TRACE);
    let told: Vec<_> = lines
        .iter()
        .map(|line| line.split(' ').nth(2).unwrap().trim_end_matches(':').to_owned())
        .collect();
    assert_eq!(told, names);
}

#[test]
fn a_permanent_rejection_has_no_retry_after() {
    let never = Rejection::new(RejectionKind::BulkheadFull, "b").never();
    let log = Log::new(Level::DEBUG);
    log.during(|| Tracing::new().event(&Event::Rejected(&never)));
    let line = log.take().remove(0);
    assert!(line.ends_with("resilience.rejection.never=true"), "{line}");
    assert!(!line.contains("retry_after") && !line.contains("resilience.key"), "{line}");
}

/// Neither without a subscriber nor with one that does not want them.
#[test]
fn what_is_not_wanted_costs_no_allocation() {
    let quiet = Log::new(Level::ERROR);
    quiet.during(|| {
        let count = allocation_counter::measure(|| each_event(|event| Tracing::new().event(event)));
        let samples = allocation_counter::measure(|| each_event(|_| {}));
        assert_eq!(count.count_total, samples.count_total);
    });
    assert_eq!(quiet.take(), Vec::<String>::new());
}
