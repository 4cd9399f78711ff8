//! What a subject is, and what it wraps.

/// What a subject is to the comparison.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Role {
    /// What nothing that does the figure's work can go below.
    Floor,
    /// Shown for scale: it does less than the figure asks for.
    Scale,
    /// Somebody else's.
    Peer,
    /// This library's, which promises to allocate nothing.
    Ours,
}

/// What is called at the bottom.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Inner {
    /// It answers at the first poll. So does a plain function.
    Ready,
    /// It wakes itself and answers at the second poll.
    Yields,
}

impl Inner {
    /// As reports have it.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Inner::Ready => "ready",
            Inner::Yields => "yields",
        }
    }
}
