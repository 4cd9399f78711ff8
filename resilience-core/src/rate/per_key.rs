//! A limit for each key, asked for by the key.

use super::bucket::line;
use super::limiter::RateLimiter;
use crate::clock::Now;
use crate::keyed::{Key, Keyed};
use crate::rejection::Rejection;

impl<K: Key> Keyed<K, RateLimiter> {
    /// Takes so many tokens of this key's limit, if nobody waits for it and they are there; with one look
    /// at the clock, and no handle in between. For calls that are made at once.
    ///
    /// ```
    /// use resilience_core::keyed::{Keyed, KeyedLimits};
    /// use resilience_core::rate::{Quota, RateLimiter};
    ///
    /// let each = RateLimiter::builder().quota(Quota::per_minute(2)).build()?;
    /// let limits = Keyed::new(KeyedLimits::default(), move |_: &&'static str| each.fresh());
    /// assert!(limits.check(&"a.example", 2).is_ok());
    /// let refused = limits.check(&"a.example", 1).unwrap_err();
    /// assert_eq!(refused.key(), Some("a.example"));
    /// assert!(limits.check(&"b.example", 1).is_ok());
    /// # Ok::<_, resilience_core::InvalidConfig>(())
    /// ```
    ///
    /// # Errors
    /// [`RateLimited`](crate::RejectionKind::RateLimited), with the key and when to come back.
    #[inline]
    pub fn check(&self, key: &K, cost: u32) -> Result<(), Rejection> {
        let mut now = Now::unread();
        let ns = line(now.tick());
        // Under the store's lock it is only looked at; what may call others is asked again outside.
        let refusing = self.with_known(key, &mut now, |limiter| {
            if limiter.take_fast(ns, cost).is_some() { None } else { Some(limiter.clone()) }
        });
        match refusing {
            None => Ok(()),
            Some(limiter) => limiter.check_of(now.get(), cost, key.name()),
        }
    }
}
