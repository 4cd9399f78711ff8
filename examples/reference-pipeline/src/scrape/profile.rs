//! What each job's calls are worth: one set of limits for each upstream that is called.

use std::time::Duration;

use resilience_core::InvalidConfig;
use resilience_core::retry::{Backoff, RetryBudget, RetryPolicy};
use resilience_http::StatusClassifier;

use super::Job;

/// The limits of one kind of call.
pub(super) struct Profile {
    /// The caller's patience, retries and waits included.
    pub(super) total: Duration,
    /// One attempt.
    pub(super) attempt: Duration,
    pub(super) retry: RetryPolicy<StatusClassifier>,
}

const MS: fn(u64) -> Duration = Duration::from_millis;
const SECONDS: fn(u64) -> Duration = Duration::from_secs;

impl Profile {
    pub(super) fn of(job: Job) -> Result<Profile, InvalidConfig> {
        match job {
            Job::Season => season(),
            Job::Herd => herd(),
            Job::Dead => dead(),
        }
    }
}

/// Every second request of the season fails by plan, which no real upstream survives for long and a
/// budget of 10 % must not pay for. So the budget here is a ceiling of three attempts a day on
/// average, over as long as a season takes; [`dead`] shows the 10 %.
fn season() -> Result<Profile, InvalidConfig> {
    let budget = RetryBudget::builder().ratio(2.0).window(SECONDS(60)).reserve(50).build()?;
    let retry = RetryPolicy::builder()
        .name("season")
        .max_attempts(8)
        .backoff(Backoff::decorrelated_jitter(MS(100), SECONDS(2)))
        .budget(budget)
        .classifier(StatusClassifier)
        .build()?;
    Ok(Profile { total: SECONDS(30), attempt: SECONDS(1), retry })
}

/// Five hundred clients with a call each. In life they are five hundred processes, none of which
/// knows of the others, so there is no budget to share. What keeps them apart is the base alone: the
/// first retries are spread over twice its length.
fn herd() -> Result<Profile, InvalidConfig> {
    let retry = RetryPolicy::builder()
        .name("herd")
        .max_attempts(8)
        .backoff(Backoff::decorrelated_jitter(SECONDS(1), SECONDS(5)))
        .without_budget()
        .classifier(StatusClassifier)
        .build()?;
    Ok(Profile { total: SECONDS(30), attempt: SECONDS(10), retry })
}

/// The default share of the traffic, by name: at most 110 calls on the wire for 100 calls made, and
/// ten on top. The attempts would allow four hundred.
fn dead() -> Result<Profile, InvalidConfig> {
    let retry = RetryPolicy::builder()
        .name("dead")
        .max_attempts(4)
        .backoff(Backoff::decorrelated_jitter(MS(50), MS(500)))
        .budget(RetryBudget::percent(10.0)?)
        .classifier(StatusClassifier)
        .build()?;
    Ok(Profile { total: SECONDS(10), attempt: SECONDS(1), retry })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_job_has_limits_that_hold_together() {
        for job in [Job::Season, Job::Herd, Job::Dead] {
            let profile = Profile::of(job).unwrap();
            assert!(profile.attempt < profile.total, "{job}");
            assert_eq!(profile.retry.name(), job.to_string());
        }
    }
}
