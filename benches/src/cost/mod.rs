//! Measurement of the cost that a layer adds to a call that succeeds.
//!
//! Nearly every call succeeds, so this is the cost of the layer. All subjects take turns within
//! each round, so that load on the machine affects all of them, and costs are in CPU time of the
//! calling threads. Each number is a median over the rounds, and each ratio is the median of the
//! ratios within each round.

mod call;
mod cpu;
mod lane;
mod measure;
mod pool;
mod role;
mod subject;
mod together;

pub use crate::stats::Spread;
pub(crate) use call::Call;
pub use cpu::cpu_time;
pub use lane::Mode;
pub use measure::{Effort, Measured, all, allocations};
pub use role::{Inner, Role};
pub use subject::{Batch, Subject};
