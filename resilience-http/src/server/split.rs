//! Separation of rejections from the other errors of a service.

use std::convert::Infallible;
use std::error::Error as StdError;

use resilience_core::{CarriesRejection, Error, Rejection};

/// An error type that can be split into a rejection or any other error.
///
/// [`Foreign`](SplitRejection::Foreign) is the error type that is left once rejections have become
/// responses: `Infallible` for `Error<Infallible>`, which is the error type of a router's routes
/// below the layers.
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot be split into a `Rejection` and other errors",
    label = "the errors of this service have to implement `CarriesRejection` and `SplitRejection`",
    note = "put the service's own errors into `resilience_core::Error` below the layers: `.map_err(resilience_core::Error::Service)`"
)]
pub trait SplitRejection: CarriesRejection {
    /// Type of the errors that are not rejections.
    type Foreign;

    /// Returns the rejection.
    ///
    /// # Errors
    /// Any other error, unchanged.
    fn split(self) -> Result<Rejection, Self::Foreign>;
}

impl SplitRejection for Rejection {
    type Foreign = Infallible;

    fn split(self) -> Result<Rejection, Infallible> {
        Ok(self)
    }
}

impl<E> SplitRejection for Error<E> {
    type Foreign = E;

    fn split(self) -> Result<Rejection, E> {
        match self {
            Error::Rejected(rejection) => Ok(rejection),
            Error::Service(error) => Err(error),
        }
    }
}

/// Finds a rejection anywhere in the chain of sources.
impl SplitRejection for Box<dyn StdError + Send + Sync> {
    type Foreign = Box<dyn StdError + Send + Sync>;

    fn split(self) -> Result<Rejection, Self::Foreign> {
        match self.rejection() {
            Some(rejection) => Ok(rejection.clone()),
            None => Err(self),
        }
    }
}
