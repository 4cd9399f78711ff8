//! Batches: rows that are written together, and held until the sink has confirmed them.
//!
//! A writer that empties its buffer before the write loses rows with every failure. This one
//! - **holds rows** until the sink has confirmed them: a write that failed or was not answered is
//!   repeated with the same rows under the same numbers;
//! - **splits a batch** that the sink rejects, until the row at fault stands alone and is
//!   quarantined with the reason;
//! - **holds up its callers** when the sink is slow or away, instead of dropping rows: memory is
//!   bounded;
//! - **flushes** at a shutdown, by [`BatchWriter::close`] in a hook.
//!
//! Rows are at least once in the sink, and exactly once if a second write of the same row changes
//! nothing.
//!
//! ```
//! use std::sync::{Arc, Mutex};
//! use resilience_core::flow::StoreFuture;
//! use resilience_core::flow::batch::{Batch, BatchSink, BatchWriter, Written};
//!
//! #[derive(Default)]
//! struct Table(Mutex<Vec<u32>>);
//!
//! impl BatchSink<u32> for Table {
//!     fn write(&self, batch: Batch<u32>) -> StoreFuture<'_, Written> {
//!         Box::pin(async move {
//!             if batch.rows().contains(&13) {
//!                 return Ok(Written::Rejected { why: "13 is no number of a seat".to_owned() });
//!             }
//!             self.0.lock().unwrap().extend_from_slice(batch.rows());
//!             Ok(Written::Confirmed)
//!         })
//!     }
//!
//!     fn quarantine(&self, row: Batch<u32>, why: String) -> StoreFuture<'_, ()> {
//!         Box::pin(async move { Ok(eprintln!("{:?}: {why}", row.rows())) })
//!     }
//! }
//!
//! # #[tokio::main(flavor = "current_thread", start_paused = true)]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let table = Arc::new(Table::default());
//! let writer = BatchWriter::builder(table.clone()).max_rows(4).build()?;
//! for row in 11..=15 {
//!     writer.write(row).await.map_err(|row| format!("closed before {row}"))?;
//! }
//! writer.flush().await?;
//! assert_eq!(*table.0.lock().unwrap(), [11, 12, 14, 15]);
//! # Ok(())
//! # }
//! ```

mod buffer;
mod rows;
mod rules;
mod sink;
mod worker;
mod writer;

pub use buffer::{BatchBuffer, BatchStep, PushError};
pub use rows::Batch;
pub use rules::BatchRules;
pub use sink::{BatchSink, Written};
pub use writer::{BatchWriter, BatchWriterBuilder};
