/// The reason why a store evicted a key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum EvictionReason {
    /// It had no call for longer than the idle time, and remembered nothing.
    Idle,
    /// Room was needed for another.
    Capacity,
}
