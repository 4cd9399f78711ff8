//! The standard stack without a listener, and with one.
//!
//! The cost of compiled-in telemetry without a listener takes two programs: build this one with
//! `--features telemetry`, and compare its instruction counts with the baseline.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use resilience_core::observe::Event;
use resilience_core::stack::Stack;
use tower::BoxError;

use super::answer::both;
use super::floor::floor_of_service;
use super::stack::{least, standard};
use super::{Figure, names};
use crate::cost::{Role, Subject};

pub(super) fn figure() -> Result<Figure, BoxError> {
    let mut subjects = floor_of_service(least);
    subjects.extend(both(|inner| {
        let told = Arc::new(AtomicU64::new(0));
        let counts = Stack::builder().listen(move |_: &Event<'_>| {
            told.fetch_add(1, Ordering::Relaxed);
        });
        let deaf = Stack::builder().listen(|_: &Event<'_>| {});
        Ok(vec![
            Subject::service(Role::Ours, names::OURS, standard(Stack::builder(), inner)?),
            Subject::service(Role::Ours, "ours, an empty listener", standard(deaf, inner)?),
            Subject::service(Role::Ours, names::LISTENER, standard(counts, inner)?),
        ])
    })?);
    Ok(Figure::new(names::TELEMETRY, "that of the standard stack", subjects))
}
