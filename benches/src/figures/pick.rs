//! Picking the least loaded of a few shared handles.

use std::hint::black_box;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

use resilience_core::pool::LeastLoaded;
use tower::BoxError;

use super::floor::{Lines, each, floor};
use super::{Figure, names};
use crate::cost::{Role, Subject};

const HANDLES: u64 = 8;

/// Increments a count at the pick, and decrements it at the return.
fn least(lines: &Lines) {
    lines.gauge(0);
}

/// Returns the cost of a pick and its return.
///
/// # Errors
/// If a configuration is invalid.
pub(super) fn figure() -> Result<Figure, BoxError> {
    let mut subjects = floor(least);
    subjects.push(each(Role::Scale, names::ADD, |lines| lines.add(0)));
    let (counts, next) = (counts(), Arc::new(AtomicUsize::new(0)));
    subjects.push(
        Subject::function(Role::Scale, "round robin, counted", move || {
            let count = &counts[next.fetch_add(1, Ordering::Relaxed) % counts.len()];
            count.fetch_add(1, Ordering::Relaxed);
            black_box(count);
            count.fetch_sub(1, Ordering::Relaxed);
        })
        .lacks("a look at what is under way"),
    );
    let handles = LeastLoaded::new(0..HANDLES)?;
    subjects.push(Subject::function(Role::Ours, names::OUR_PICK, move || {
        drop(black_box(handles.pick()));
    }));
    let handles = LeastLoaded::new(0..HANDLES)?;
    subjects.push(Subject::function_each(
        Role::Ours,
        "our LeastLoaded::pick, all busy",
        move || {
            let handles = handles.clone();
            let busy = handles.clone();
            // Leaked guards: each handle has a call in flight until the process ends.
            (0..HANDLES).for_each(|_| std::mem::forget(busy.pick()));
            move || drop(black_box(handles.pick()))
        },
    ));
    Ok(Figure::new(names::PICK, "one gauge up and down", subjects))
}

fn counts() -> Arc<[AtomicU64]> {
    (0..HANDLES).map(|_| AtomicU64::new(0)).collect()
}
