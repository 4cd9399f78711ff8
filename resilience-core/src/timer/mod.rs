//! Waits that most calls never come to.
//!
//! Nearly every call has a deadline, is not ready at its first poll, and is over long before. A timer of tokio's for each
//! costs a lock of the runtime's to set it and another to take it back, on every core's way at once. So calls that end
//! far off share one for each thread ([`Wait`]): what they need is to be woken *no later* than they must be, and to look
//! again then. Nobody is late by that: the shared timer is set for the time at which the call that sets it is due, or for a
//! [minute](shared::LONGEST) ahead if that is sooner, and whoever joins is due no sooner. It costs that all who share it are polled once more when it rings, at most once in
//! [`FAR`](shared::FAR) for a thread. A call that must be woken sooner has a timer of its own.
//!
//! An [`Alarm`] is for what waits only now and then, and is kept small for those that do not.

mod alarm;
mod shared;
mod wait;

pub(crate) use alarm::Alarm;
pub(crate) use wait::Wait;
