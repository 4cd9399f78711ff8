//! Pools of objects that are expensive to make and used by one call at a time, such as connections.
//!
//! A slow dependency shows in its pool first: callers queue without bound, a server that is down
//! gets an attempt from every caller, and connections that a firewall dropped are checked out.
//! [`ResilientPool`] takes any deadpool manager and adds what deadpool's own pool leaves to its
//! users:
//!
//! - **Queueing** is bounded, first in, first out, and limited in time and by the
//!   [deadline](crate::Deadline) of the call. The rejection names the limit.
//! - **Creation** has a timeout, a circuit breaker and a backoff that all callers share: while a
//!   server is down one call tries at a time, and none while the circuit is open.
//! - **Age** is limited by a jittered [`Lifetime`] and an idle timeout, on the clock that tests can
//!   pause.
//! - **Validation** has a timeout, and a maximum number of objects per checkout, after which a new
//!   one is made.
//! - **A broken object** is never checked out again: [`Pooled::broken`], a panic, a cancelled call.
//! - **[Maintenance][ResilientPool::maintenance]** makes objects ahead of need and retires expired
//!   ones; [`resize`][ResilientPool::resize], [`drain`][ResilientPool::drain], [`PoolSnapshot`].
//!
//! [`CheckoutLayer`] checks an object out for each call of a Tower service. Clients that multiplex
//! need no pool: [`LeastLoaded`] shares a few of them. [`Lifetime`] and `LeastLoaded` do not need
//! the feature `pool`.
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
mod create_backoff;
#[cfg(feature = "pool")]
mod deferred_return;
#[cfg(feature = "pool")]
mod drain;
#[cfg(feature = "pool")]
mod handle;
#[cfg(feature = "pool")]
mod idle_list;
#[cfg(feature = "pool")]
mod layer;
#[cfg(feature = "pool")]
mod maintain;
#[cfg(feature = "pool")]
mod managed_object;
#[cfg(feature = "pool")]
mod manager;
#[cfg(feature = "pool")]
mod pooled;
#[cfg(feature = "pool")]
mod slot_reservation;
#[cfg(feature = "pool")]
mod snapshot;

pub use crate::observe::words::Retired;
pub use least_loaded::{LeastLoaded, LoadGuard};
pub use lifetime::{Lifetime, LifetimeBuilder};

#[cfg(feature = "pool")]
pub use builder::{ManagerBuilder, PoolBuilder};
#[cfg(feature = "pool")]
pub use drain::Drained;
#[cfg(feature = "pool")]
pub use handle::ResilientPool;
#[cfg(feature = "pool")]
pub use layer::{Checkout, CheckoutFuture, CheckoutLayer};
#[cfg(feature = "pool")]
pub use managed_object::ManagedObject;
#[cfg(feature = "pool")]
pub use manager::ResilientManager;
#[cfg(feature = "pool")]
pub use pooled::Pooled;
#[cfg(feature = "pool")]
pub use snapshot::PoolSnapshot;
