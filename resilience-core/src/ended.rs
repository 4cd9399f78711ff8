//! The end of a call, as policies pass it to their decisions and events.

#[cfg(feature = "tokio")]
use std::any::type_name;
use std::error::Error as StdError;

#[cfg(feature = "tokio")]
use crate::error::CarriesRejection;
#[cfg(feature = "tokio")]
use crate::outcome::Classify;
use crate::outcome::Outcome;

/// The end of a call: the outcome, which policies decide by, and the error, for events.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Ended<'e> {
    pub(crate) outcome: Outcome,
    /// The error, if the classifier knows it as a standard error.
    pub(crate) error: Option<&'e (dyn StdError + 'static)>,
    /// The type of the error, if it is known.
    pub(crate) error_type: Option<&'static str>,
    /// Set if the outcome is "not ready" and yet the request may have run, so that another attempt
    /// may repeat it.
    pub(crate) repeats: bool,
}

impl<'e> Ended<'e> {
    /// A success.
    pub(crate) const SUCCESS: Ended<'static> =
        Ended { outcome: Outcome::Success, error: None, error_type: None, repeats: false };

    #[cfg(feature = "tokio")]
    pub(crate) fn new<T, E>(
        outcome: Outcome,
        classifier: &impl Classify<T, E>,
        result: Result<&T, &'e E>,
    ) -> Ended<'e> {
        let error = result.err().and_then(|error| classifier.as_error(error));
        Ended { outcome, error, error_type: Some(type_name::<E>()), repeats: false }
    }

    /// Like [`new`](Ended::new), but falls back to the error's own
    /// [`CarriesRejection::as_std_error`].
    #[cfg(feature = "tokio")]
    pub(crate) fn carrying<T, E: CarriesRejection>(
        outcome: Outcome,
        classifier: &impl Classify<T, E>,
        result: Result<&T, &'e E>,
    ) -> Ended<'e> {
        let ended = Ended::new(outcome, classifier, result);
        let own = || result.err().and_then(CarriesRejection::as_std_error);
        Ended { error: ended.error.or_else(own), ..ended }
    }
}

impl From<Outcome> for Ended<'_> {
    fn from(outcome: Outcome) -> Self {
        Ended { outcome, ..Ended::SUCCESS }
    }
}
