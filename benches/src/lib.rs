//! The resilience crates beside their peers, in one run.
//!
//! A claim such as "finishes contended work sooner" or "costs nothing when nothing fails" is worth
//! what it is compared with. This is the only package that depends on the peers; `README.md` says
//! how each comparison is made, and what each peer does not do.

mod calls;
pub mod compare;
pub mod contention;
pub mod cost;
pub mod figures;
mod flow;
pub mod functions;
pub mod instructions;
pub mod options;
mod output;
pub mod scale;
mod stats;
mod svg;
pub mod target;
