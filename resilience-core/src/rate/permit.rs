use super::limiter::RateLimiter;
use super::meter::Grant;

/// Tokens that were taken for one call. Dropping it spends them: the call was made.
#[derive(Debug)]
pub struct RatePermit {
    limiter: RateLimiter,
    /// None, if the limiter only observes and would have refused.
    grant: Option<Grant>,
}

impl RatePermit {
    pub(super) const fn new(limiter: RateLimiter, grant: Option<Grant>) -> RatePermit {
        RatePermit { limiter, grant }
    }

    /// The call was never made: gives back as much as can be without any window holding too much. See
    /// [`TokenBucket::give_back`](super::TokenBucket::give_back).
    pub fn refund(mut self) {
        self.give_back();
    }

    pub(super) fn give_back(&mut self) {
        if let Some(grant) = self.grant.take() {
            self.limiter.refund(grant);
        }
    }
}
