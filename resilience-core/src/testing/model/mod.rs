//! Each engine beside a reference that is too simple to be wrong.
//!
//! A function here turns bytes into a configuration and a run of operations, makes them on the engine
//! and on the model, and panics where the two differ or a promise is broken. The crate's property
//! tests feed it random bytes, its fuzz targets mutated ones, and the corpus replay those that once
//! found something.

mod backfill;
mod backoff;
mod batch;
mod breaker;
mod budget;
mod bulkhead;
mod config;
mod health;
mod idempotency;
mod keyed;
mod lease;
mod ledger;
mod limiter;
mod policy;
mod rate;
mod shutdown;

use arbitrary::{Arbitrary, Unstructured};

pub use backfill::backfill;
pub use backoff::backoff;
pub use batch::batch;
pub use breaker::breaker;
pub use budget::budget;
pub use bulkhead::bulkhead;
pub use config::config;
pub use health::health;
pub use idempotency::idempotency;
pub use keyed::keyed;
pub use lease::lease;
pub use ledger::ledger;
pub use limiter::limiter;
pub use policy::policy;
pub use rate::rate;
pub use shutdown::shutdown;

/// A name, and what drives the model of that name.
pub type Model = (&'static str, fn(&[u8]));

/// Every model there is, by the name of its fuzz target.
pub const ALL: [Model; 16] = [
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
    ("policy", policy),
    ("rate", rate),
    ("shutdown", shutdown),
];

/// Bytes that do not make a whole input are no input. The last field, a list of operations, takes all
/// there are: drawn like the others it would end, by chance, after two.
fn parse<'a, T: Arbitrary<'a>>(bytes: &'a [u8]) -> Option<T> {
    T::arbitrary_take_rest(Unstructured::new(bytes)).ok()
}

/// Operations of a run: as many as the rest of the bytes makes. A `Vec`, which reads a flag before each element, ends by chance after
/// two.
#[derive(Debug)]
struct Rest<T>(Vec<T>);

impl<'a, T: Arbitrary<'a>> Arbitrary<'a> for Rest<T> {
    fn arbitrary(u: &mut Unstructured<'a>) -> arbitrary::Result<Rest<T>> {
        let mut rest = Vec::new();
        while !u.is_empty() {
            rest.push(T::arbitrary(u)?);
        }
        Ok(Rest(rest))
    }
}

#[expect(clippy::panic, reason = "a model that rejects its own input is a bug in the model")]
fn unreachable_input(input: &impl std::fmt::Debug) -> ! {
    panic!("the model made a configuration that is refused: {input:?}")
}
