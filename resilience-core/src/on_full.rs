//! The one setting for calls that find no permit, no token and no idle connection.

use std::time::Duration;

use crate::config::{self, InvalidConfig};

/// The treatment of a call that is not admitted at once.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum OnFull {
    /// The call is rejected.
    Reject,
    /// The call waits up to this time, and is rejected after it.
    WaitAtMost(Duration),
    /// The call waits until its deadline, or until it is dropped.
    Wait,
}

impl OnFull {
    /// Returns the setting as it is applied: to wait for no time is to reject.
    ///
    /// # Errors
    /// If the wait is longer than 365 days; the error names `wait_at_most`.
    pub(crate) fn checked(self) -> Result<OnFull, InvalidConfig> {
        let OnFull::WaitAtMost(wait) = self else { return Ok(self) };
        config::wait_or_none("wait_at_most", wait)?;
        Ok(if wait.is_zero() { OnFull::Reject } else { self })
    }

    /// Returns the longest wait; `None` if it has no bound.
    #[cfg(feature = "tower")]
    pub(crate) const fn longest_wait(self) -> Option<Duration> {
        match self {
            OnFull::Reject => Some(Duration::ZERO),
            OnFull::WaitAtMost(wait) => Some(wait),
            OnFull::Wait => None,
        }
    }
}

#[cfg(test)]
#[cfg(not(resilience_loom))]
mod tests {
    use super::*;

    #[test]
    fn to_wait_for_no_time_is_to_reject() {
        let wait = OnFull::WaitAtMost;
        assert_eq!(wait(Duration::ZERO).checked(), Ok(OnFull::Reject));
        for kept in [OnFull::Reject, OnFull::Wait, wait(Duration::from_nanos(1))] {
            assert_eq!(kept.checked(), Ok(kept));
        }
        assert_eq!(wait(Duration::MAX).checked().unwrap_err().field(), "wait_at_most");
    }
}
