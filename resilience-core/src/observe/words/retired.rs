//! Why a pool let go of an object.

/// The reason why a pool let go of an object.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
#[repr(u8)]
pub enum Retired {
    /// More than the pool may keep: it was made smaller.
    Surplus,
    /// It was made too long ago.
    TooOld,
    /// It lay unused for too long.
    IdleTooLong,
    /// It was found unfit before it was handed out, or nobody waited for the answer.
    Invalid,
    /// Whoever had it said so, or panicked, or left in the middle of a call.
    Broken,
    /// Whoever had it kept it.
    Taken,
    /// The pool was closed, or dropped.
    Closed,
}

#[cfg(feature = "pool")]
impl Retired {
    /// In the order of their numbers.
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
