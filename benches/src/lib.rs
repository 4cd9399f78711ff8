//! The resilience crates beside their peers, in one run.
//!
//! A claim such as "finishes contended work sooner" or "costs nothing without failures" needs a
//! comparison. This is the only package that depends on the peers; `README.md` describes how each
//! comparison is made, and the features that each peer lacks.

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
