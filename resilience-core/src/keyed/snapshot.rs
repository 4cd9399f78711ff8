//! What a store says of itself.

/// What a [`Keyed`](super::Keyed) store holds, and what it did since it was made.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct KeyedSnapshot {
    /// Keys that are there.
    pub keys: u64,
    /// The most there may be.
    pub max_keys: u64,
    /// Bytes that they and the store take.
    pub bytes: u64,
    /// The most they may take.
    pub max_bytes: u64,
    /// Calls for a key that was there.
    pub hits: u64,
    /// Calls for a key that was not, or had been idle.
    pub misses: u64,
    /// Calls for a key that was not there, and found no room: they got the overflow state.
    pub overflowed: u64,
    /// Keys evicted because they had no call for the idle time, and remembered nothing.
    pub evicted_idle: u64,
    /// Keys let go of because there was no room.
    pub evicted_capacity: u64,
}
