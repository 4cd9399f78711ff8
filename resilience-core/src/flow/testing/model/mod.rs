//! Each engine of durable work beside a reference that is too simple to be wrong.

mod backfill;
mod batch;
mod idempotency;
mod lease;
mod ledger;
mod outbox;

pub use backfill::backfill;
pub use batch::batch;
pub use idempotency::idempotency;
pub use lease::lease;
pub use ledger::ledger;
pub use outbox::outbox;
