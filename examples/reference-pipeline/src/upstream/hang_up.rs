//! Connections that the server ends in the middle of a response.

use std::error::Error;
use std::fmt;

/// The way in which a connection ends before its response does. Handlers and bodies return it as
/// their error.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum HangUp {
    /// With a reset: the client loses what it has not read yet.
    Reset,
    /// With an orderly close, like that of a proxy that gives up.
    Close,
}

impl HangUp {
    /// Returns the `HangUp` that caused `error`, if one did.
    pub(super) fn behind(error: &hyper::Error) -> Option<HangUp> {
        error.source()?.downcast_ref().copied()
    }
}

impl fmt::Display for HangUp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            HangUp::Reset => "connection reset by the upstream",
            HangUp::Close => "connection closed in the middle of a body",
        })
    }
}

impl Error for HangUp {}
