//! Profiles of `profiles.toml` by job.

use resilience_core::profiles::{Profiles, ProfilesError};

use super::Job;

/// Profile of the job in which connections are counted.
pub(super) const PLAYERS: &str = "players";

/// Returns the names of the profiles that a job uses, one for each upstream.
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

/// Checks that `text` is valid and has a profile for every job.
///
/// # Errors
/// The first error found.
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
    fn every_upstream_has_a_profile() {
        check(TEXT).unwrap();
        assert_eq!(of(Job::Slow).len(), HOSTS);
    }

    #[test]
    fn only_the_profile_of_the_herd_has_warnings() {
        let profiles = Profiles::from_toml(TEXT).unwrap();
        let warned = |name: &String| !profiles.profile(name).unwrap().plan().warnings.is_empty();
        let warned: Vec<_> = profiles.names().into_iter().filter(warned).collect();
        assert_eq!(warned, ["herd"]);
    }

    #[test]
    fn errors_name_the_key_or_profile() {
        let error = check(&TEXT.replace("break_for", "brake_for")).unwrap_err();
        assert!(error.to_string().contains("brake_for"), "{error}");
        let error = check(&TEXT.replace("[odds]", "[evens]")).unwrap_err();
        assert!(error.to_string().contains("odds"), "{error}");
    }
}
