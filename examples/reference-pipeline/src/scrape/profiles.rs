//! Which profile of `profiles.toml` is for which job.

use resilience_core::profiles::{Profiles, ProfilesError};

use super::Job;

/// Where connections are counted.
pub(super) const PLAYERS: &str = "players";

/// The upstreams that a job calls, by the names of their profiles.
pub(super) fn of(job: Job) -> &'static [&'static str] {
    match job {
        Job::Season => &["season"],
        Job::Herd => &["herd"],
        Job::Dead => &["dead"],
        Job::HalfOpen => &["half-open"],
        Job::Odds => &["odds"],
        Job::Slow => &["host.stats", "host.injuries", "host.reference"],
        Job::Connections => &[PLAYERS],
        Job::Keys => &[],
    }
}

/// Whether this text has a profile for every job, and nothing wrong in any of them.
///
/// # Errors
/// What is wrong first.
pub fn check(text: &str) -> Result<(), ProfilesError> {
    let profiles = Profiles::from_toml(text)?;
    for job in Job::ALL {
        for name in of(job) {
            profiles.profile(name)?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::upstream::hosts::HOSTS;

    const TEXT: &str = include_str!("../../profiles.toml");

    #[test]
    fn there_is_one_for_every_upstream() {
        check(TEXT).unwrap();
        assert_eq!(of(Job::Slow).len(), HOSTS);
    }

    #[test]
    fn only_the_herd_is_limited_by_little() {
        let profiles = Profiles::from_toml(TEXT).unwrap();
        let warned = |name: &String| !profiles.profile(name).unwrap().plan().warnings.is_empty();
        let warned: Vec<_> = profiles.names().into_iter().filter(warned).collect();
        assert_eq!(warned, ["herd"]);
    }

    #[test]
    fn what_is_wrong_is_named() {
        let error = check(&TEXT.replace("break_for", "brake_for")).unwrap_err();
        assert!(error.to_string().contains("brake_for"), "{error}");
        let error = check(&TEXT.replace("[odds]", "[evens]")).unwrap_err();
        assert!(error.to_string().contains("odds"), "{error}");
    }
}
