//! Models: each engine beside a reference that is too simple to be wrong.
//!
//! A function here reads a configuration and operations out of bytes, applies them to the engine
//! and to the reference, and panics where the two differ or a promise is broken. The crate's
//! property tests use random bytes, the fuzz targets mutated bytes, and the corpus replay bytes
//! that found a fault once.

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

pub use crate::flow::testing::model::{backfill, batch, idempotency, lease, ledger, outbox};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::Wake;

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

/// A name, and the function that drives the model of that name.
pub type Model = (&'static str, fn(&[u8]));

/// All models, by the names of their fuzz targets.
pub const ALL: [Model; 17] = [
    ("backfill", backfill),
    ("backoff", backoff),
    ("batch", batch),
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
    ("outbox", outbox),
    ("policy", policy),
    ("rate", rate),
    ("shutdown", shutdown),
];

#[expect(clippy::panic, reason = "a difference is the failure of a model")]
fn differ(engine: &impl std::fmt::Debug, model: &impl std::fmt::Debug) -> ! {
    panic!("the engine returns {engine:?}, the model {model:?}")
}

/// A waker that records that it was woken.
#[derive(Default)]
struct Woken(AtomicBool);

impl Wake for Woken {
    fn wake(self: Arc<Self>) {
        self.0.store(true, Ordering::SeqCst);
    }
}
