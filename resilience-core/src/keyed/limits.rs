//! Limits of a store.

use std::fmt;
use std::time::Duration;

use crate::config::{self, InvalidConfig};

/// Limits on the keys, bytes and idle time of a [`Keyed`](super::Keyed) store.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct KeyedLimits {
    max_keys: usize,
    max_bytes: usize,
    idle: Duration,
}

impl KeyedLimits {
    /// The lowest valid `max_bytes`: 16 KiB.
    pub const MIN_BYTES: usize = 16 << 10;

    /// Creates limits.
    ///
    /// - `max_keys`: maximum number of keys; from 1 to 4 billion.
    /// - `max_bytes`: maximum bytes of keys, states, the store's own structures and the allocator's
    ///   rounding together; at least [`MIN_BYTES`](Self::MIN_BYTES).
    /// - `idle`: time without a call after which a key is evicted; more than zero and at most a
    ///   year. A key is never evicted earlier, and not returned later than a hundredth and three
    ///   milliseconds after. A state that [remembers](super::Entry::remembers_until) something
    ///   stays until it does not: an hourly quota holds with any idle time.
    ///
    /// # Errors
    /// Names the limit that is out of its bounds.
    pub fn new(
        max_keys: usize,
        max_bytes: usize,
        idle: Duration,
    ) -> Result<KeyedLimits, InvalidConfig> {
        if max_keys == 0 || u32::try_from(max_keys).is_err() {
            return Err(InvalidConfig::new("max_keys", max_keys, "between 1 and 4294967295"));
        }
        if max_bytes < Self::MIN_BYTES {
            return Err(InvalidConfig::new("max_bytes", max_bytes, "at least 16384"));
        }
        config::wait("idle", idle)?;
        Ok(KeyedLimits { max_keys, max_bytes, idle })
    }

    /// Returns limits with twice the keys and bytes, up to the highest valid ones.
    #[cfg(feature = "profiles")]
    pub(crate) fn twice(self) -> KeyedLimits {
        let max = usize::try_from(u32::MAX).unwrap_or(usize::MAX);
        KeyedLimits {
            max_keys: self.max_keys.saturating_mul(2).min(max),
            max_bytes: self.max_bytes.saturating_mul(2),
            idle: self.idle,
        }
    }

    /// Returns the maximum number of keys.
    #[must_use]
    pub const fn max_keys(&self) -> usize {
        self.max_keys
    }

    /// Returns the maximum number of bytes.
    #[must_use]
    pub const fn max_bytes(&self) -> usize {
        self.max_bytes
    }

    /// Returns the time without a call after which a key is evicted if its state is as good as new.
    #[must_use]
    pub const fn idle(&self) -> Duration {
        self.idle
    }
}

impl fmt::Display for KeyedLimits {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let KeyedLimits { max_keys, max_bytes, idle } = self;
        write!(f, "{max_keys} keys, {max_bytes} bytes, idle for {idle:?}")
    }
}

impl Default for KeyedLimits {
    /// 100,000 keys, 64 MiB, ten minutes.
    fn default() -> KeyedLimits {
        KeyedLimits { max_keys: 100_000, max_bytes: 64 << 20, idle: Duration::from_secs(600) }
    }
}

#[cfg(test)]
#[cfg(not(resilience_loom))]
mod tests {
    use super::*;

    #[test]
    fn bounds_are_named() {
        let second = Duration::from_secs(1);
        let field = |limits: Result<KeyedLimits, InvalidConfig>| limits.unwrap_err().field();
        assert_eq!(field(KeyedLimits::new(0, 1 << 20, second)), "max_keys");
        assert_eq!(field(KeyedLimits::new(usize::MAX, 1 << 20, second)), "max_keys");
        assert_eq!(field(KeyedLimits::new(1, KeyedLimits::MIN_BYTES - 1, second)), "max_bytes");
        assert_eq!(field(KeyedLimits::new(1, 1 << 20, Duration::ZERO)), "idle");
        assert_eq!(field(KeyedLimits::new(1, 1 << 20, Duration::MAX)), "idle");
        assert!(KeyedLimits::new(1, KeyedLimits::MIN_BYTES, second).is_ok());
    }
}
