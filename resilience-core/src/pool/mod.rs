//! Objects that are dear to make and that one call at a time may use: connections.
//!
//! A pool is where a slow dependency is felt first, and where it does most harm: callers queue without an
//! end, a server that is down is hammered by everybody who needs a connection, and a connection that a
//! firewall dropped an hour ago is handed out. [`ResilientPool`] takes any manager that is written for
//! deadpool, and does what deadpool's own pool leaves to its users:
//!
//! - **Who waits** does so in a bounded queue, first come, first served, for a limited time and no longer
//!   than the [deadline](crate::Deadline) of the call. The refusal names the limit.
//! - **Making an object** has a time limit, a circuit breaker and pauses between failures that all callers
//!   share: while a server is down one of them tries, and while the circuit is open nobody does.
//! - **Age.** A jittered [`Lifetime`], and a limit on idleness, on the clock that tests can pause.
//! - **Looking at an object** before it is handed out has a time limit, and so many looks are enough: a new
//!   one is made then.
//! - **A broken object** is never handed out again: [`Pooled::broken`], a panic, a dropped call.
//! - **[Maintenance][ResilientPool::maintenance]** keeps objects ready ahead of need and lets go of old ones;
//!   [`resize`][ResilientPool::resize], [`drain`][ResilientPool::drain], [`PoolSnapshot`].
//!
//! [`CheckoutLayer`] takes an object for each call of a Tower service. Clients that multiplex need no pool:
//! [`LeastLoaded`] shares a few of them. [`Lifetime`] and `LeastLoaded` are there without the feature
//! `pool`.
//!
// Links to items of features that are off lead to the page of the crate, which lists the features.
#![cfg_attr(
    not(feature = "pool"),
    doc = "
[`ResilientPool`]: crate
[`Pooled::broken`]: crate
[ResilientPool::maintenance]: crate
[ResilientPool::resize]: crate
[ResilientPool::drain]: crate
[`PoolSnapshot`]: crate
[`CheckoutLayer`]: crate"
)]
#![cfg_attr(
    feature = "pool",
    doc = r#"
```
use std::io;
use std::time::Duration;
use deadpool::managed::{Manager, Metrics, RecycleResult};
use resilience_core::pool::{Lifetime, ResilientManager, ResilientPool};

struct Connect;
impl Manager for Connect {
    type Type = u64; // a TcpStream
    type Error = io::Error;
    async fn create(&self) -> Result<u64, io::Error> {
        Ok(7)
    }
    async fn recycle(&self, _: &mut u64, _: &Metrics) -> RecycleResult<io::Error> {
        Ok(())
    }
}

# #[tokio::main(flavor = "current_thread", start_paused = true)]
# async fn main() -> Result<(), Box<dyn std::error::Error>> {
let manager = ResilientManager::builder(Connect)
    .name("db")
    .lifetime(Lifetime::new().max_age(Duration::from_secs(600)).build())
    .build();
let pool = ResilientPool::builder(manager).max_size(1).reject().build()?;
let connection = pool.get().await?;
assert_eq!(pool.get().await.unwrap_err().to_string(), "db: bulkhead full (1 permit, limit 1)");
drop(connection);
assert_eq!((pool.snapshot().idle, pool.snapshot().created), (1, 1));
# Ok(())
# }
```
"#
)]

mod least_loaded;
mod lifetime;

#[cfg(feature = "pool")]
mod builder;
#[cfg(feature = "pool")]
mod core;
#[cfg(feature = "pool")]
mod drain;
#[cfg(feature = "pool")]
mod escort;
#[cfg(feature = "pool")]
mod handle;
#[cfg(feature = "pool")]
mod layer;
#[cfg(feature = "pool")]
mod maintain;
#[cfg(feature = "pool")]
mod manager;
#[cfg(feature = "pool")]
mod pace;
#[cfg(feature = "pool")]
mod place;
#[cfg(feature = "pool")]
mod pooled;
#[cfg(feature = "pool")]
mod shelf;
#[cfg(feature = "pool")]
mod slot;
#[cfg(feature = "pool")]
mod snapshot;
#[cfg(feature = "pool")]
mod tally;

pub use crate::observe::words::Retired;
pub use least_loaded::{Lease, LeastLoaded};
pub use lifetime::{Lifetime, LifetimeBuilder, Verdict};

#[cfg(feature = "pool")]
pub use builder::{ManagerBuilder, PoolBuilder};
#[cfg(feature = "pool")]
pub use drain::Drained;
#[cfg(feature = "pool")]
pub use handle::ResilientPool;
#[cfg(feature = "pool")]
pub use layer::{Checkout, CheckoutFuture, CheckoutLayer};
#[cfg(feature = "pool")]
pub use manager::ResilientManager;
#[cfg(feature = "pool")]
pub use pooled::Pooled;
#[cfg(feature = "pool")]
pub use slot::Slot;
#[cfg(feature = "pool")]
pub use snapshot::PoolSnapshot;
