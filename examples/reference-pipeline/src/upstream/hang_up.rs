//! Ending a connection in the middle.

use std::error::Error;
use std::fmt;

/// How a connection ends before its answer does. Travels to the server as the error of a handler or
/// of a body.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum HangUp {
    /// With a reset: the other side loses what it has not read yet.
    Reset,
    /// With an orderly close, as a proxy does that gives up.
    Close,
}

impl HangUp {
    /// The one that ended a connection, if one did.
    pub(super) fn behind(error: &hyper::Error) -> Option<HangUp> {
        error.source()?.downcast_ref().copied()
    }
}

impl fmt::Display for HangUp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            HangUp::Reset => "hung up with a reset",
            HangUp::Close => "hung up in the middle of a body",
        })
    }
}

impl Error for HangUp {}
