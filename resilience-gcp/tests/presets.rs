//! The numbers of the presets, as their policies carry them out.

use std::time::Duration;

use resilience_core::retry::{RetryPolicyBuilder, StopReason, Verdict};
use resilience_core::{InvalidConfig, Outcome, clock};
use resilience_gcp::presets;

type Preset = fn() -> RetryPolicyBuilder;

const MS: fn(u64) -> Duration = Duration::from_millis;

/// The delays of one call that fails for ever, each at `u` of its interval, and why it ended.
fn run(preset: Preset, u: f64) -> Result<(Vec<Duration>, Option<StopReason>), InvalidConfig> {
    let policy = preset().build()?;
    let mut now = clock::now();
    let mut attempts = policy.start(now);
    let mut delays = Vec::new();
    let mut verdict = attempts.decide(now, None, Outcome::transient(), u);
    while let Verdict::Retry(retry) = verdict {
        now += retry.delay();
        delays.push(retry.delay());
        retry.sent(&mut attempts);
        verdict = attempts.decide(now, None, Outcome::transient(), u);
    }
    Ok((delays, verdict.stop_reason()))
}

/// Where all delays lie, and that the longest end in the time allowed.
fn within(preset: Preset, shortest: u64, longest: u64, elapsed: u64) -> Result<(), InvalidConfig> {
    let ((lowest, _), (highest, reason)) = (run(preset, 0.0)?, run(preset, 1.0)?);
    assert!(lowest.iter().all(|delay| *delay == MS(shortest)), "{lowest:?}");
    assert_eq!(highest.iter().max(), Some(&MS(longest)));
    assert!(highest.iter().sum::<Duration>() <= MS(elapsed), "{highest:?}");
    assert!(matches!(reason, Some(StopReason::OutOfTime { .. })), "{reason:?}");
    Ok(())
}

#[test]
fn bigquery_conflicts_wait_1_to_32_seconds_within_120() -> Result<(), InvalidConfig> {
    within(presets::bigquery_conflict, 1_000, 32_000, 120_000)?;
    let (delays, reason) = run(presets::bigquery_conflict, 0.0)?;
    assert_eq!((delays.len(), reason), (19, Some(StopReason::AttemptsExhausted)));
    Ok(())
}

#[test]
fn bigquery_quotas_wait_2_to_120_seconds_within_600() -> Result<(), InvalidConfig> {
    within(presets::bigquery_quota, 2_000, 120_000, 600_000)
}

#[test]
fn publishing_grows_fourfold_to_a_minute_within_600_seconds() -> Result<(), InvalidConfig> {
    within(presets::pubsub_publish, 0, 60_000, 600_000)?;
    let (delays, _) = run(presets::pubsub_publish, 1.0)?;
    assert_eq!(delays[..7], [100, 400, 1_600, 6_400, 25_600, 60_000, 60_000].map(MS));
    Ok(())
}

#[test]
fn firestore_makes_three_attempts_from_a_second() -> Result<(), InvalidConfig> {
    let expected = [1_000, 2_000].map(MS).to_vec();
    assert_eq!(run(presets::firestore, 1.0)?, (expected, Some(StopReason::AttemptsExhausted)));
    Ok(())
}

#[test]
fn firestore_transactions_make_five_from_half_a_second() -> Result<(), InvalidConfig> {
    let expected = [500, 1_000, 2_000, 4_000].map(MS).to_vec();
    assert_eq!(
        run(presets::firestore_transaction, 1.0)?,
        (expected, Some(StopReason::AttemptsExhausted))
    );
    Ok(())
}

/// Twenty writers with four retries each pass; a budget of a tenth would reject them.
#[test]
fn contention_is_paid_for() -> Result<(), InvalidConfig> {
    let policy = presets::bigquery_conflict().build()?;
    let now = clock::now();
    let mut writers: Vec<_> = (0..20).map(|_| policy.start(now)).collect();
    for retry in 1..=4 {
        for attempts in &mut writers {
            let verdict = attempts.decide(now, None, Outcome::transient(), 0.0);
            let Verdict::Retry(granted) = verdict else {
                panic!("retry {retry}: {:?}", verdict.stop_reason());
            };
            granted.sent(attempts);
        }
    }
    Ok(())
}
