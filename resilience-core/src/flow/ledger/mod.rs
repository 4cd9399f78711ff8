//! A ledger of runs: each has exactly one end, and a timeline of how it came to it.
//!
//! A run that is not ready, was skipped or was cancelled has not failed, and the ledger keeps them
//! apart ([`RunState`]). The end is set by compare-and-set in the store: the first one stays,
//! whatever is written later. An operator's [`Override`] stands beside the end, with name and
//! reason.
//!
//! ```
//! use std::sync::Arc;
//! use resilience_core::flow::ledger::{Began, Finish, NewRun, Note, RunLedger, RunState};
//! use resilience_core::testing::MemoryStore;
//!
//! # #[tokio::main(flavor = "current_thread", start_paused = true)]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let ledger = RunLedger::new(Arc::new(MemoryStore::new()));
//! let new = NewRun::new("context/2026-01-18", "context");
//! let Began::Run(mut run) = ledger.begin(new.clone()).await? else { return Ok(()) };
//! run.note_at_end(Note::decision("wait for the odds", "1 of 156 rows"));
//! let done = RunState::Done { rows: 156, expected: Some(156), quality: 100 };
//! assert_eq!(run.finish(done).await?, Finish::Recorded);
//!
//! assert!(matches!(ledger.begin(new).await?, Began::Ended(_)));
//! let timeline = ledger.store().timeline("context/2026-01-18".into(), 0, 10).await?;
//! let kinds: Vec<_> = timeline.iter().map(|entry| entry.note.kind.as_str()).collect();
//! assert_eq!(kinds, ["begun", "decision", "ended"]);
//! # Ok(())
//! # }
//! ```

mod entry;
mod handle;
mod record;
mod state;
mod store;

pub use entry::{EntryKind, Note, TimelineEntry};
pub use handle::{Began, Run, RunLedger};
pub use record::{Finish, NewRun, Noted, Override, RunRecord, Start};
pub use state::{RunColumns, RunFailure, RunState};
pub use store::LedgerStore;
