//! What does a layer cost a call that succeeds?
//!
//! Nearly every call does, so this is the price of the layer. Whatever is compared is called in turn
//! within each round, on one thread's CPU clock: a machine that is busy for a while is busy for all.
//! Each number is a median over the rounds, and each ratio is the median of the rounds' own ratios.

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
