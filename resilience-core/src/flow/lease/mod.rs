//! A lease with a fencing token: one holder at a time, and the writes of former holders are
//! refused.
//!
//! A lock that is held by a process can outlive it, or be outlived: a stopped process wakes up and
//! goes on writing while another holds the lock. So a lease
//! - **ends by itself** unless it is renewed, which [`Lease::run`] does at a third of the term;
//! - **carries a token** that only grows. Every write carries it ([`Fence`](super::Fence)), and the
//!   store refuses the write of a former holder in the transaction of the write;
//! - **ends the work** when it is lost, with [`LeaseLost`](crate::RejectionKind::LeaseLost). A
//!   holder that cannot reach the store ends its work a tenth of the term before the lease ends by
//!   its own monotonic clock, counted from when the last renewal was sent;
//! - **is given back** when the work ends, is dropped or panics, and by
//!   [`LeaseKeeper::release_all`] at a shutdown.
//!
//! A lease is free when it was given back, when the store's clock is past its end, or when a
//! contender has seen its state stand still for two terms by its own monotonic clock. The clock of
//! the store judges: clocks of holders and contenders may show anything. A monotonic clock that
//! stops while a machine is suspended ends no work, and then only the store's refusal protects.
//!
//! ```
//! use std::sync::Arc;
//! use std::time::Duration;
//! use resilience_core::flow::lease::LeaseKeeper;
//! use resilience_core::testing::MemoryStore;
//!
//! # #[tokio::main(flavor = "current_thread", start_paused = true)]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let store = Arc::new(MemoryStore::new());
//! let keeper = LeaseKeeper::builder(store).holder("worker-1").term(Duration::from_secs(60)).build()?;
//!
//! let lease = keeper.acquire("grading").await?;
//! let fence = lease.fence().clone();
//! let graded = lease.run(async move {
//!     // Ten minutes of work: renewed every twenty seconds.
//!     tokio::time::sleep(Duration::from_secs(600)).await;
//!     format!("written under {fence}")
//! });
//! assert_eq!(graded.await?, "written under lease `grading`, token 1");
//! # Ok(())
//! # }
//! ```

mod contender;
mod contenders;
mod guard;
mod held_term;
mod keeper;
mod record;
mod store;

pub use contender::Contender;
pub use guard::Lease;
pub use held_term::{HeldTerm, HolderStep};
pub use keeper::{LeaseKeeper, LeaseKeeperBuilder};
pub use record::{Acquisition, LeaseRecord, LeaseRequest, LeaseStatus, LeaseVersion};
pub use store::LeaseStore;
