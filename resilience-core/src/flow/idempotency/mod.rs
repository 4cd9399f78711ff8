//! Idempotency keys: exactly one effect, however often a message is delivered.
//!
//! A key is free, in progress or done. It carries the [`Fingerprint`] of its payload: the same key
//! with another payload is a [`Conflict`](Taken::Conflict), not a repetition. Work that wrote
//! nothing leaves the key free ([`Completion::Empty`]), since an empty success that blocks the real
//! load is worse than a second look; complete emptiness is recorded as such
//! ([`Completion::CompleteAndEmpty`]).
//!
//! | where the effect is | what is guaranteed |
//! |---|---|
//! | in the store, completed inside the same transaction | exactly one effect |
//! | elsewhere, by [`Idempotency::once`] | never two at once; at most one repetition for each process that is killed in between, under the same key |
//!
//! ```
//! use std::sync::Arc;
//! use resilience_core::flow::idempotency::{Completion, Fingerprint, Idempotency, KeyRequest, Once, Taken};
//! use resilience_core::testing::MemoryStore;
//!
//! # #[tokio::main(flavor = "current_thread", start_paused = true)]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let keys = Idempotency::new(Arc::new(MemoryStore::new()));
//! let request = KeyRequest::new("message-7", Fingerprint::new([7; 32]));
//! let load = async |_claim| Ok::<_, std::io::Error>(Completion::of(156, "loaded"));
//! assert!(matches!(keys.once(request.clone(), load).await?, Once::Completed(_)));
//! match keys.once(request, load).await? {
//!     Once::Taken(Taken::Done { rows, result }) => assert_eq!((rows, &*result), (156, &b"loaded"[..])),
//!     other => panic!("{other:?}"),
//! }
//! # Ok(())
//! # }
//! ```

mod handle;
mod record;
mod store;

pub use handle::{Idempotency, Once};
pub use record::{Claim, Completion, Fingerprint, KeyRecord, KeyRequest, Taken};
pub use store::{IdempotencyStore, RowHash};
