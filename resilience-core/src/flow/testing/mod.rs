//! Test kit of durable work: a store in memory, conformance suites of stores, and a model of each
//! engine.
//!
//! The module `testing` re-exports all of it, beside the test doubles of calls.

pub mod conformance;
mod memory_store;
pub(crate) mod model;

pub use memory_store::MemoryStore;
