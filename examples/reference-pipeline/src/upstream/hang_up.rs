//! The abrupt end of a connection.

use std::error::Error;
use std::fmt;

/// The end of a connection before its response. Passed to the server as the error of a handler or
/// of a body.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum HangUp {
    /// A reset, which discards the bytes that the other side has not read yet.
    Reset,
    /// An orderly close, as by a proxy that gives up.
    Close,
}

impl HangUp {
    /// Returns the hang-up that ended a connection, if one did.
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
