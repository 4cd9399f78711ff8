/// The reason why a store evicted a key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum EvictionReason {
    /// The key had no call for longer than the idle time, and held nothing to remember.
    Idle,
    /// Another key needed the room.
    Capacity,
}
