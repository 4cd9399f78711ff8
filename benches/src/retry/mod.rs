//! Retries, time limits and budgets.

mod peers;
mod subjects;

pub use subjects::subjects;
