//! Backfills: every item of a job once, over any number of runs.
//!
//! A checkpoint that keeps the last item that was reached resumes *after* the item that failed.
//! This one keeps the **set of ended items**, each recorded atomically under the fencing token of
//! the run:
//! - **holes stay holes**: an item that was not ended is begun by the next run;
//! - **failed items** are tried again by the next run, and quarantined with their reason after a
//!   permanent failure or a number of failed runs;
//! - **a second starter** is rejected by the lease, and the late record of a former one by its
//!   token;
//! - **a checkpoint of another job** is rejected by the digest of the definition.
//!
//! [`BackfillPlan`] decides which item is begun, [`CheckpointStore`] keeps the checkpoint.
//!
//! ```
//! use resilience_core::clock;
//! use resilience_core::flow::FencingToken;
//! use resilience_core::flow::backfill::{BackfillPlan, BackfillStep, CheckpointStore, ItemEnd, JobRequest, Opened, Recorded};
//! use resilience_core::flow::idempotency::Fingerprint;
//! use resilience_core::testing::MemoryStore;
//!
//! # #[tokio::main(flavor = "current_thread", start_paused = true)]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let store = MemoryStore::new();
//! let (job, fence) = ("context".to_owned(), FencingToken::new(1)); // the token of a lease
//! let definition = Fingerprint::new([7; 32]);
//! let opened = store.open(JobRequest { job: job.clone(), definition, fence }).await?;
//! assert_eq!(opened, Opened::New);
//!
//! let mut plan = BackfillPlan::new(["2026-01-17", "2026-01-18"].map(str::to_owned), 1)?;
//! for (item, state) in store.items(job.clone(), String::new(), 10_000).await? {
//!     plan.resume(&item, state)?;
//! }
//! while let BackfillStep::Begin(item) = plan.step(clock::now()) {
//!     let end = ItemEnd::Done { rows: 156 };
//!     let state = match store.record_item(job.clone(), fence, item.clone(), end, 3).await? {
//!         Recorded::Recorded(state) | Recorded::Settled(state) => Some(state),
//!         Recorded::Fenced(_) | Recorded::NotFound => None,
//!     };
//!     plan.ended(&item, state);
//! }
//! assert_eq!(plan.progress(clock::now()).to_string(), "2 of 2 done, 0 failed, 0 quarantined");
//! # Ok(())
//! # }
//! ```

mod item;
mod job;
mod plan;
mod progress;
mod store;

pub use item::{ItemEnd, ItemState};
pub use job::{JobRecord, JobRequest, Opened, Recorded};
pub use plan::{BackfillPlan, BackfillStep};
pub use progress::Progress;
pub use store::CheckpointStore;
