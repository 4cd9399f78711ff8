//! *Before*'s own primitives, as they are written for the first time.
//!
//! Each does what it says as long as one call is made at a time, which is how it was tested. They are
//! written from what those of the motivating system were measured to do, not from its code.

pub(super) mod breaker;
pub(super) mod bucket;
