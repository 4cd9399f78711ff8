//! *Before*'s own rate limiter and circuit breaker, as a first version of either is often written.
//!
//! Both are correct while one call is made at a time, which is how they were tested. Written from
//! the measured behaviour of the motivating system, not from its code.

pub(super) mod breaker;
pub(super) mod bucket;
