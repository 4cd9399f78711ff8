//! Breakers, bulkheads, rate limits, and what is kept for each key.

mod keys;
mod maps;
mod ours;
mod peers;
mod subjects;

pub use subjects::subjects;
