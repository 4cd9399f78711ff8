//! Reasons for which a pool retires an object.

/// Reason for which a pool retired an object.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
#[repr(u8)]
pub enum Retired {
    /// The pool was made smaller.
    Surplus,
    /// The object was older than `max_age`.
    TooOld,
    /// The object was idle for `max_idle`.
    IdleTooLong,
    /// Validation failed before a checkout, or was cancelled.
    Invalid,
    /// The object was marked as broken, or its call panicked or was cancelled.
    Broken,
    /// The object was taken out of the pool.
    Taken,
    /// The pool was closed or dropped.
    Closed,
}

#[cfg(feature = "pool")]
impl Retired {
    /// All reasons, in the order of their numbers.
    pub(crate) const ALL: [Retired; 7] = [
        Retired::Surplus,
        Retired::TooOld,
        Retired::IdleTooLong,
        Retired::Invalid,
        Retired::Broken,
        Retired::Taken,
        Retired::Closed,
    ];
}
