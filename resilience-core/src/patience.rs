//! For how long a call waits for its turn.

use std::time::Duration;

/// What a call does that does not get in at once.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Patience {
    /// It is refused.
    None,
    AtMost(Duration),
    /// As long as its caller does.
    Endless,
}
