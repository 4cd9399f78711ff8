//! Which of a service's errors are rejections.

use std::convert::Infallible;
use std::error::Error as StdError;

use resilience_core::{CarriesRejection, Error, Rejection};

/// An error type in which rejections and other errors can be told apart for good.
///
/// What is left when the rejections have become answers is [`Foreign`](SplitRejection::Foreign): nothing at
/// all for `Error<Infallible>`, which is what a router's routes have below the layers.
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot carry a `Rejection` that can be told apart from other errors",
    label = "the errors of this service have to implement `CarriesRejection` and `SplitRejection`",
    note = "put the service's own errors into `resilience_core::Error` below the layers: `.map_err(resilience_core::Error::Service)`"
)]
pub trait SplitRejection: CarriesRejection {
    /// What is not a rejection.
    type Foreign;

    /// The rejection, or what else it is.
    ///
    /// # Errors
    /// What else it is.
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

/// Rejections deep in the chain of sources included.
impl SplitRejection for Box<dyn StdError + Send + Sync> {
    type Foreign = Box<dyn StdError + Send + Sync>;

    fn split(self) -> Result<Rejection, Self::Foreign> {
        match self.rejection() {
            Some(rejection) => Ok(rejection.clone()),
            None => Err(self),
        }
    }
}
