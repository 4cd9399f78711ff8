//! The compared figures. A figure is a question, a floor for its cost, and subjects that answer it.
//!
//! **To add one**: a file with a function that returns a [`Figure`], and a line in [`all`]. Tables,
//! charts, JSON, criterion, the allocation test and instruction counts follow the list.

mod answer;
mod breaker;
mod budget;
mod bulkhead;
mod floor;
pub(crate) mod keys;
mod limiter;
pub(crate) mod lookup;
pub(crate) mod names;
mod peers;
mod pick;
mod pool;
mod primitives;
mod retry;
pub(crate) mod stack;
mod telemetry;
mod timeout;

use tower::BoxError;

pub(crate) use answer::Answer;
pub(crate) use peers::{maps, tower as plain};

use crate::cost::{Role, Subject};

/// A question and its subjects.
#[derive(Debug)]
#[non_exhaustive]
pub struct Figure {
    /// A unique name, also used in names of files.
    pub name: &'static str,
    /// The operations that the floor consists of.
    pub floor: &'static str,
    /// All rows, including the floor.
    pub subjects: Vec<Subject>,
}

impl Figure {
    fn new(name: &'static str, floor: &'static str, subjects: Vec<Subject>) -> Figure {
        Figure { name, floor, subjects }
    }

    /// Returns the compared subjects, without the floor and the rows for scale.
    pub fn compared(&self) -> impl Iterator<Item = &Subject> {
        self.subjects.iter().filter(|subject| matches!(subject.role, Role::Peer | Role::Ours))
    }
}

/// Returns all figures, in the order of the report.
///
/// # Errors
/// If a configuration is invalid.
pub fn all() -> Result<Vec<Figure>, BoxError> {
    Ok(vec![
        stack::figure()?,
        telemetry::figure()?,
        breaker::handle()?,
        breaker::layer()?,
        breaker::refusal()?,
        bulkhead::permit()?,
        bulkhead::layer()?,
        limiter::check()?,
        limiter::layer()?,
        limiter::keyed()?,
        lookup::figure(),
        retry::plain()?,
        retry::budgeted()?,
        budget::figure()?,
        timeout::figure()?,
        pool::figure()?,
        pick::figure()?,
        primitives::figure(),
    ])
}
