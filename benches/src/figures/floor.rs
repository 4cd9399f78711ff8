//! The floor of a figure: the primitive operations that its work needs, executed together.

use std::hint::black_box;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use parking_lot::Mutex;
use resilience_core::clock;
use tower::BoxError;

use super::answer::Answer;
use crate::cost::{Call, Role, Subject};

/// A counter alone on its cache line and on the adjacent line, which is prefetched with it.
#[derive(Debug, Default)]
#[repr(align(128))]
struct Line(AtomicU64);

/// Memory of a floor: as many cache lines as the largest floor needs.
#[derive(Debug, Clone, Default)]
pub(super) struct Lines(Arc<[Line; 5]>, Arc<Mutex<u64>>);

impl Lines {
    pub(super) fn clock(&self) {
        black_box(clock::now());
    }

    /// Executes one read-modify-write.
    pub(super) fn add(&self, line: usize) {
        self.0[line].0.fetch_add(1, Ordering::Relaxed);
    }

    /// Increments and decrements a gauge: two read-modify-writes.
    pub(super) fn gauge(&self, line: usize) {
        self.add(line);
        black_box(&self.0[line]);
        self.0[line].0.fetch_sub(1, Ordering::Relaxed);
    }

    /// Reads a word, then repeats a compare-and-swap until it succeeds.
    pub(super) fn swap(&self, line: usize) {
        let line = &self.0[line].0;
        let mut seen = line.load(Ordering::Relaxed);
        let order = Ordering::Relaxed;
        while let Err(now) = line.compare_exchange_weak(seen, seen.wrapping_add(1), order, order) {
            seen = now;
        }
    }

    pub(super) fn lock(&self) {
        *self.1.lock() += 1;
    }

    pub(super) fn clone_and_drop(&self) {
        drop(black_box(self.0.clone()));
    }
}

/// A floor's rows. At two threads the floor's lines are each thread's own: that no line is shared
/// is the best there could be. The row for scale shares them.
pub(super) fn floor(work: impl Fn(&Lines) + Copy + Send + 'static) -> Vec<Subject> {
    let shared = Lines::default();
    vec![
        each(Role::Floor, "floor", work),
        Subject::function(Role::Scale, "floor, threads share its lines", move || work(&shared)),
    ]
}

/// Returns the floor, and the floor of a service that yields.
pub(super) fn floor_of_service(work: impl Fn(&Lines) + Copy + Send + 'static) -> Vec<Subject> {
    let yields = super::answer::both(|inner| {
        let floored = Floored { work, lines: Lines::default(), inner };
        Ok(vec![Subject::calls(Role::Floor, "floor", floored)])
    });
    let mut rows = floor(work);
    rows.extend(yields.into_iter().flatten().filter(|row| row.inner == crate::cost::Inner::Yields));
    rows
}

/// Creates a subject with cache lines of its own in each thread.
pub(super) fn each(
    role: Role,
    name: &'static str,
    work: impl Fn(&Lines) + Copy + Send + 'static,
) -> Subject {
    Subject::function_each(role, name, move || {
        let lines = Lines::default();
        move || work(&lines)
    })
}

/// A call that executes the work of a floor, then calls the service.
struct Floored<F> {
    work: F,
    lines: Lines,
    inner: Answer,
}

/// Clones have new lines: each thread calls a clone of its own, and shares no cache line.
impl<F: Copy> Clone for Floored<F> {
    fn clone(&self) -> Self {
        Floored { lines: Lines::default(), ..*self }
    }
}

impl<F: Fn(&Lines) + Send + 'static> Call for Floored<F> {
    fn call(&mut self, request: u64) -> impl Future<Output = Result<u64, BoxError>> + Send {
        (self.work)(&self.lines);
        self.inner.answer(request)
    }
}
