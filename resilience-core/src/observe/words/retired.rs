//! The reasons why a pool let go of an object.

/// The reason why a pool let go of an object.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
#[repr(u8)]
pub enum Retired {
    /// More than the pool may keep: it was made smaller.
    Surplus,
    /// The object is older than its lifetime.
    TooOld,
    /// The object was idle for too long.
    IdleTooLong,
    /// The object failed its check before a checkout, or the check was cancelled.
    Invalid,
    /// The holder marked the object as broken, panicked, or was dropped in the middle of a call.
    Broken,
    /// The holder kept the object.
    Taken,
    /// The pool was closed, or dropped.
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
