//! Each engine of durable work beside a reference that is too simple to be wrong.

mod idempotency;
mod lease;
mod ledger;

pub use idempotency::idempotency;
pub use lease::lease;
pub use ledger::ledger;
