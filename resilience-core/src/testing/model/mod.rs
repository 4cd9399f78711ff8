//! Each engine beside a reference that is too simple to be wrong.
//!
//! A function here turns bytes into a configuration and a run of operations, makes them on the
//! engine and on the model, and panics where the two differ or a promise is broken. The crate's
//! property tests feed it random bytes, its fuzz targets mutated ones, and the corpus replay those
//! that once found something.

mod backoff;
mod breaker;
mod budget;
mod bulkhead;
mod config;
mod health;
mod keyed;
mod limiter;
mod policy;
mod rate;
mod shutdown;

pub use crate::flow::testing::model::{idempotency, lease, ledger};
pub use backoff::backoff;
pub use breaker::breaker;
pub use budget::budget;
pub use bulkhead::bulkhead;
pub use config::config;
pub use health::health;
pub use keyed::keyed;
pub use limiter::limiter;
pub use policy::policy;
pub use rate::rate;
pub use shutdown::shutdown;

/// A name, and what drives the model of that name.
pub type Model = (&'static str, fn(&[u8]));

/// Every model there is, by the name of its fuzz target.
pub const ALL: [Model; 14] = [
    ("backoff", backoff),
    ("breaker", breaker),
    ("budget", budget),
    ("bulkhead", bulkhead),
    ("config", config),
    ("health", health),
    ("idempotency", idempotency),
    ("keyed", keyed),
    ("lease", lease),
    ("ledger", ledger),
    ("limiter", limiter),
    ("policy", policy),
    ("rate", rate),
    ("shutdown", shutdown),
];

#[expect(clippy::panic, reason = "a model that rejects its own input is a bug in the model")]
fn unreachable_input(input: &impl std::fmt::Debug) -> ! {
    panic!("the model made a configuration that is refused: {input:?}")
}
