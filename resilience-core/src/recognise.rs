//! The outcomes of errors of std and tokio, and of errors that wrap one.

use std::error::Error as StdError;
use std::io;

use crate::outcome::{AsOutcome, Outcome};
use crate::rejection::{Rejection, chain};

/// Reads an error of the operating system by its [kind](io::ErrorKind).
///
/// | kinds | outcome |
/// |---|---|
/// | `TimedOut` | timed out |
/// | connections (`ConnectionRefused`, `ConnectionReset`, `BrokenPipe`, `UnexpectedEof`, …), networks and hosts (`HostUnreachable`, …), and what is used up for now (`AddrInUse`, `AddrNotAvailable`, `StorageFull`, `ResourceBusy`, …) | transient |
/// | the request (`InvalidInput`, `InvalidData`, `Unsupported`, …), rights (`PermissionDenied`, `ReadOnlyFilesystem`) and files (`NotFound`, `AlreadyExists`, `IsADirectory`, …) | permanent |
/// | `Other`, and kinds that std adds later or keeps to itself, such as a name that does not resolve | the outcome of the error it wraps, if that is recognised; else unknown |
impl AsOutcome for io::Error {
    fn as_outcome(&self) -> Outcome {
        let wrapped = || self.get_ref().and_then(|wrapped| recognised(wrapped));
        of_kind(self.kind()).or_else(wrapped).unwrap_or(Outcome::Unknown)
    }

    /// Returns `false` for a connection that was refused: nothing was sent.
    fn may_have_run(&self) -> bool {
        self.kind() != io::ErrorKind::ConnectionRefused
    }

    fn as_error(&self) -> Option<&(dyn StdError + 'static)> {
        Some(self)
    }
}

/// Returns the outcome of a kind; `None` if it depends on the error that is wrapped.
fn of_kind(kind: io::ErrorKind) -> Option<Outcome> {
    use io::ErrorKind as K;
    match kind {
        K::TimedOut => Some(Outcome::TimedOut),
        K::AddrInUse
        | K::AddrNotAvailable
        | K::BrokenPipe
        | K::ConnectionAborted
        | K::ConnectionRefused
        | K::ConnectionReset
        | K::Deadlock
        | K::HostUnreachable
        | K::Interrupted
        | K::NetworkDown
        | K::NetworkUnreachable
        | K::NotConnected
        | K::OutOfMemory
        | K::QuotaExceeded
        | K::ResourceBusy
        | K::StaleNetworkFileHandle
        | K::StorageFull
        | K::UnexpectedEof
        | K::WouldBlock
        | K::WriteZero => Some(Outcome::transient()),
        K::AlreadyExists
        | K::ArgumentListTooLong
        | K::DirectoryNotEmpty
        | K::ExecutableFileBusy
        | K::FileTooLarge
        | K::InvalidData
        | K::InvalidInput
        | K::IsADirectory
        | K::NotADirectory
        | K::NotFound
        | K::NotSeekable
        | K::PermissionDenied
        | K::ReadOnlyFilesystem
        | K::TooManyLinks
        | K::Unsupported => Some(Outcome::Permanent),
        _ => None,
    }
}

/// A [`tokio::time::timeout`] that elapsed: [`Outcome::TimedOut`].
#[cfg(feature = "tokio")]
impl AsOutcome for tokio::time::error::Elapsed {
    fn as_outcome(&self) -> Outcome {
        Outcome::TimedOut
    }

    fn as_error(&self) -> Option<&(dyn StdError + 'static)> {
        Some(self)
    }
}

/// Returns the first error with a known outcome in the chain of `error`: a [`Rejection`], an
/// [`io::Error`], tokio's `Elapsed`.
pub(crate) fn known<'e>(error: &'e (dyn StdError + 'static)) -> Option<&'e dyn AsOutcome> {
    chain(error).find_map(|cause| {
        let rejection = cause.downcast_ref::<Rejection>().map(|it| it as &dyn AsOutcome);
        let io = || {
            let io = cause.downcast_ref::<io::Error>();
            io.filter(|io| of_kind(io.kind()).is_some()).map(|it| it as &dyn AsOutcome)
        };
        let known = rejection.or_else(io);
        #[cfg(feature = "tokio")]
        let known = known.or_else(|| {
            cause.downcast_ref::<tokio::time::error::Elapsed>().map(|it| it as &dyn AsOutcome)
        });
        known
    })
}

/// Returns the outcome of the first error in the chain of `error` that is recognised.
fn recognised(error: &(dyn StdError + 'static)) -> Option<Outcome> {
    known(error).map(AsOutcome::as_outcome)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::outcome::{Classify, Standard};

    #[test]
    fn the_standard_classifier_reads_the_error() {
        let refused = io::Error::from(io::ErrorKind::ConnectionRefused);
        let missing = io::Error::from(io::ErrorKind::NotFound);
        let late = io::Error::from(io::ErrorKind::TimedOut);
        let classify = |error| Standard.classify(Result::<&(), _>::Err(error));
        assert_eq!(classify(&refused), Outcome::transient());
        assert_eq!(classify(&missing), Outcome::Permanent);
        assert_eq!(classify(&late), Outcome::TimedOut);
        assert_eq!(Classify::<_, io::Error>::classify(&Standard, Ok(&())), Outcome::Success);
    }

    #[test]
    fn only_a_kind_that_is_listed_is_permanent() {
        use io::ErrorKind as K;
        for (error, expected) in [
            (io::Error::other("too many open files"), Outcome::Unknown),
            (io::Error::from(K::Other), Outcome::Unknown),
            // EMFILE has no kind of its own.
            (io::Error::from_raw_os_error(24), Outcome::Unknown),
            (io::Error::from(K::AddrNotAvailable), Outcome::transient()),
            (io::Error::from(K::StorageFull), Outcome::transient()),
            (io::Error::from(K::InvalidData), Outcome::Permanent),
            (io::Error::other(io::Error::from(K::ConnectionReset)), Outcome::transient()),
            (io::Error::other(io::Error::other(io::Error::from(K::NotFound))), Outcome::Permanent),
            (io::Error::other(io::Error::other("deep")), Outcome::Unknown),
        ] {
            assert_eq!(error.as_outcome(), expected, "{error:?}");
        }
    }
}
