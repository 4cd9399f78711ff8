//! Role of a subject in a comparison, and its inner service.

/// Role of a subject in a comparison.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Role {
    /// The minimum: work that every subject of the figure must do.
    Floor,
    /// Shown for scale only, because the subject does less than the figure requires.
    Scale,
    /// Another library's subject.
    Peer,
    /// This library's subject, which must not allocate.
    Ours,
}

/// Innermost service of a subject.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Inner {
    /// Ready at the first poll. Plain functions count as this.
    Ready,
    /// Wakes its own task, and is ready at the second poll.
    Yields,
}

impl Inner {
    /// Returns the name of the inner service in reports.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Inner::Ready => "ready",
            Inner::Yields => "yields",
        }
    }
}
