//! Acquiring and releasing a permit.

use std::hint::black_box;
use std::sync::Arc;

use resilience_core::bulkhead::{Bulkhead, BulkheadLayer};
use tokio::sync::Semaphore;
use tower::limit::ConcurrencyLimitLayer;
use tower::{BoxError, Layer};

use super::answer::both;
use super::floor::{Lines, floor, floor_of_service};
use super::peers::{PERMITS, tower_resilience};
use super::{Figure, names};
use crate::cost::{Role, Subject};

const FLOOR: &str = "one gauge up and down";

fn least(lines: &Lines) {
    lines.gauge(0);
}

pub(super) fn permit() -> Result<Figure, BoxError> {
    let (semaphore, bulkhead) = (Arc::new(Semaphore::new(PERMITS as usize)), bulkhead()?);
    let mut subjects = floor(least);
    subjects.push(
        Subject::function(Role::Peer, names::SEMAPHORE, move || {
            drop(black_box(semaphore.try_acquire()));
        })
        .lacks(
            "a bound on its queue, a peak, resizing below what is out, a reason when it refuses",
        ),
    );
    subjects.push(Subject::function(Role::Ours, names::TRY_ACQUIRE, move || {
        drop(black_box(bulkhead.try_acquire(1)));
    }));
    Ok(Figure::new(names::PERMIT, FLOOR, subjects))
}

pub(super) fn layer() -> Result<Figure, BoxError> {
    let mut subjects = floor_of_service(least);
    subjects.extend(both(|inner| {
        let theirs = ConcurrencyLimitLayer::new(PERMITS as usize).layer(inner);
        let ours = BulkheadLayer::new(bulkhead()?).layer(inner);
        Ok(vec![
            Subject::service(Role::Ours, "our layer", ours),
            Subject::service(Role::Peer, "tower ConcurrencyLimit", theirs)
                .lacks("a bounded queue, refusals; a clone that is made ready keeps its permit"),
            Subject::service(Role::Peer, "tower-resilience", tower_resilience::bulkhead(inner)?)
                .lacks("weights, resizing; boxes its future, allocates its events"),
        ])
    })?);
    Ok(Figure::new(names::BULKHEAD_LAYER, FLOOR, subjects))
}

fn bulkhead() -> Result<Bulkhead, BoxError> {
    Ok(Bulkhead::builder().max_concurrent(PERMITS).build()?)
}
