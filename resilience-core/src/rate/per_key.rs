//! A limit for each key, checked by the key.

use super::bucket::line;
use super::limiter::RateLimiter;
use crate::clock::Now;
use crate::keyed::{Key, Keyed};
use crate::rejection::Rejection;

impl RateLimiter {
    /// Takes `cost` tokens of the limit of `key` in the store `limits`, if they are there and no call waits for
    /// them; with one reading of the clock and no handle in between. For calls that are made at once.
    ///
    /// ```
    /// use resilience_core::keyed::{Keyed, KeyedLimits};
    /// use resilience_core::rate::{Quota, RateLimiter};
    ///
    /// let each = RateLimiter::builder().quota(Quota::per_minute(2)).build()?;
    /// let limits = Keyed::new(KeyedLimits::default(), move |_: &&'static str| each.fresh());
    /// assert!(RateLimiter::check_key(&limits, &"a.example", 2).is_ok());
    /// let refused = RateLimiter::check_key(&limits, &"a.example", 1).unwrap_err();
    /// assert_eq!(refused.key(), Some("a.example"));
    /// assert!(RateLimiter::check_key(&limits, &"b.example", 1).is_ok());
    /// # Ok::<_, resilience_core::InvalidConfig>(())
    /// ```
    ///
    /// # Errors
    /// [`RateLimited`](crate::RejectionKind::RateLimited), with the key and when to come back.
    #[inline]
    pub fn check_key<K: Key>(
        limits: &Keyed<K, RateLimiter>,
        key: &K,
        cost: u32,
    ) -> Result<(), Rejection> {
        let mut now = Now::unread();
        let ns = line(now.tick());
        // Under the store's lock it is only looked at; what may call others is asked again outside.
        let refusing = limits.with_known(key, &mut now, |limiter| {
            if limiter.glance(ns, cost, |_| ()) { None } else { Some(limiter.clone()) }
        });
        match refusing {
            None => Ok(()),
            Some(limiter) => limiter.check_of(now.get(), cost, key.name()),
        }
    }
}
