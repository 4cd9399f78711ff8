//! Bounds on the phases.

use std::time::Duration;

use crate::config::{self, InvalidConfig};

/// The longest time that each phase of a shutdown takes. Validated by
/// [`check`](ShutdownBounds::check), and by every builder that takes it.
///
/// The times bound waits, not threads. Whatever is not ready is left behind when its time is over;
/// code that blocks the thread on which `Shutdown::run` is polled suspends all of them until it
/// returns. Only `ShutdownBuilder::exit_process_at_total` bounds that, by ending the process.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct ShutdownBounds {
    /// Time between failing health checks and rejecting new work. Set it to what load balancers
    /// need: the period of the readiness probe, times its failure threshold, plus a margin. May be
    /// zero.
    pub grace: Duration,
    /// Time for work in flight to finish.
    pub drain: Duration,
    /// Time for cancelled work to end.
    pub unwind: Duration,
    /// Time for all hooks together.
    pub hooks: Duration,
    /// Upper limit of the sum, for a platform that kills the process: below Kubernetes'
    /// `terminationGracePeriodSeconds` or Cloud Run's ten seconds.
    pub total: Option<Duration>,
}

/// 27 seconds in total, within the 30 that Kubernetes grants by default.
impl Default for ShutdownBounds {
    fn default() -> ShutdownBounds {
        ShutdownBounds {
            grace: Duration::from_secs(5),
            drain: Duration::from_secs(15),
            unwind: Duration::from_secs(2),
            hooks: Duration::from_secs(5),
            total: None,
        }
    }
}

impl ShutdownBounds {
    /// Validates the durations.
    ///
    /// # Errors
    /// Rejects a duration that is zero (except `grace`) or more than a year, and a sum above
    /// `total`.
    pub fn check(self) -> Result<ShutdownBounds, InvalidConfig> {
        config::wait_or_none("grace", self.grace)?;
        config::wait("drain", self.drain)?;
        config::wait("unwind", self.unwind)?;
        config::wait("hooks", self.hooks)?;
        if let Some(total) = self.total {
            config::wait("total", total)?;
            let longest = self.longest();
            if longest > total {
                return Err(InvalidConfig::new(
                    "total",
                    format_args!("{total:?}"),
                    format_args!("at least grace + drain + unwind + hooks, {longest:?}"),
                ));
            }
        }
        Ok(self)
    }

    /// Returns the longest time that a shutdown takes from its beginning, unless its thread is
    /// blocked.
    #[must_use]
    pub const fn longest(&self) -> Duration {
        self.grace.saturating_add(self.drain).saturating_add(self.unwind).saturating_add(self.hooks)
    }
}

#[cfg(test)]
#[cfg(not(resilience_loom))]
mod tests {
    use super::*;

    #[test]
    fn impossible_bounds_are_named() {
        let named = |change: fn(&mut ShutdownBounds)| {
            let mut bounds = ShutdownBounds::default();
            change(&mut bounds);
            bounds.check().map_err(|error| error.field())
        };
        assert_eq!(named(|bounds| bounds.grace = Duration::MAX), Err("grace"));
        assert_eq!(named(|bounds| bounds.drain = Duration::ZERO), Err("drain"));
        assert_eq!(named(|bounds| bounds.unwind = Duration::ZERO), Err("unwind"));
        assert_eq!(named(|bounds| bounds.hooks = Duration::ZERO), Err("hooks"));
        assert_eq!(named(|bounds| bounds.total = Some(Duration::ZERO)), Err("total"));
        assert_eq!(named(|bounds| bounds.total = Some(Duration::from_secs(26))), Err("total"));
        assert!(named(|bounds| bounds.total = Some(Duration::from_secs(27))).is_ok());
        assert!(named(|bounds| bounds.grace = Duration::ZERO).is_ok());
    }
}
