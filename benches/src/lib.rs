//! The resilience crates beside their peers, in one run.
//!
//! A claim such as "finishes contended work sooner" or "costs nothing when nothing fails" is worth
//! what it is compared with. This is the only package that depends on the peers; `README.md` says
//! how each comparison is made, and what each peer does not do.

pub mod admission;
pub mod contention;
pub mod cost;
pub mod options;
mod output;
pub mod retry;
mod stats;

/// Everything whose cost per call is measured.
///
/// # Errors
/// If a configuration is refused.
pub fn subjects() -> Result<Vec<cost::Subject>, tower::BoxError> {
    Ok(retry::subjects()?.into_iter().chain(admission::subjects()?).collect())
}
