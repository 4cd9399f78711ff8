//! The process's listener.

use std::error::Error as StdError;
use std::fmt;
use std::sync::OnceLock;

use super::event::Event;
use super::listener::{Listen, Listener};

static DEFAULT: OnceLock<Box<dyn Listen>> = OnceLock::new();

/// Sets the listener of all policies without a listener of their own, also of those made before.
///
/// For applications, once, at their start: the default listener also receives the events of
/// policies inside of libraries. A library must not set it. A policy with the listener
/// `|_: &Event<'_>| {}` notifies no other.
///
/// # Errors
/// If there is one already, which stays.
///
/// ```
/// use resilience_core::observe::{self, Event};
///
/// observe::set_default(|event: &Event<'_>| eprintln!("{event:?}"))?;
/// assert!(observe::set_default(|_: &Event<'_>| {}).is_err());
/// # Ok::<_, observe::AlreadySet>(())
/// ```
pub fn set_default(listener: impl Listen) -> Result<(), AlreadySet> {
    // See docs/decisions/0006-telemetry-is-an-event-or-a-gauge.md.
    DEFAULT.set(Box::new(listener)).map_err(|_| AlreadySet(()))
}

/// Notifies the process's listener, if there is one, of an event of a policy that has no listener
/// of its own. A panic of the listener ends here.
///
/// ```
/// use resilience_core::observe::{self, Event};
/// use resilience_core::{Rejection, RejectionKind};
///
/// let rejection = Rejection::new(RejectionKind::Shed, "mine");
/// observe::notify(&Event::Rejected(&rejection));
/// ```
pub fn notify(event: &Event<'_>) {
    Listener::default().notify(|| *event);
}

pub(super) fn get() -> Option<&'static dyn Listen> {
    DEFAULT.get().map(|listener| &**listener)
}

/// The process has a default listener already.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AlreadySet(());

impl fmt::Display for AlreadySet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("there is a default listener already")
    }
}

impl StdError for AlreadySet {}
