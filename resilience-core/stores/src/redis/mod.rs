//! Leases and idempotency keys in Redis, for more than one machine.
//!
//! Each operation is one script, which decides by the server's clock. Connections come from a
//! [`ResilientPool`](resilience_core::pool::ResilientPool), whose manager pings a connection before
//! it is used again. All keys begin with `{flow}:`, hence are on one node of a cluster.
//!
//! **What is lost**: Redis acknowledges a write before it is on a disk, unless `appendfsync` is
//! `always`. After a failover or a restart without the last writes, **fencing tokens may be given
//! again**, and a lease or a completed key may be gone: two holders may then write under the same
//! token. Where that matters, use PostgreSQL. Tested by killed clients and a restarted server with
//! `appendfsync always`, not by power loss.
//!
//! A server that evicts keys would forget leases and completed keys: any `maxmemory-policy` other
//! than `noeviction` is rejected when the store is opened. The policy can be changed while the
//! server runs: [`maintenance`](RedisStore::maintenance) checks it again, and leases and claims are
//! rejected until a check finds `noeviction`.
//!
//! An effect in the same Redis is exactly one if the script that completes its key makes it:
//!
//! ```no_run
//! use resilience_core::flow::idempotency::{Completion, IdempotencyStore, KeyRequest};
//! use resilience_stores::fingerprint;
//! use resilience_stores::redis::RedisStore;
//!
//! # async fn example() -> Result<(), Box<dyn std::error::Error>> {
//! let store = RedisStore::open("redis://127.0.0.1").await?;
//! let request = KeyRequest::new("message-7", fingerprint(b"payload"));
//! if let Ok(claim) = store.claim(request).await? {
//!     let effect = vec![b"RPUSH".to_vec(), b"{flow}:effects".to_vec(), b"message-7".to_vec()];
//!     store.complete_with(&claim, &Completion::of(1, "pushed"), &[effect]).await?;
//! }
//! # Ok(())
//! # }
//! ```

mod error;
mod keys;
mod leases;
mod store;

pub use error::driver_error;
pub use store::{RedisBuilder, RedisStore};
