//! The tasks of a connection that has several: one for each stream of HTTP/2.

use std::sync::Arc;

use hyper::rt::Executor;
use parking_lot::Mutex;
use tokio::task::JoinSet;

use super::pace::Pace;
use super::reader::Read;
use super::upgraded::Holding;

/// Spawns a connection's tasks, ends them with it, and each when its reader does not keep up the pace.
#[derive(Debug, Clone)]
pub(super) struct Streams {
    tasks: Arc<Mutex<JoinSet<()>>>,
    pace: Pace,
}

impl Streams {
    pub(super) fn new(pace: Pace) -> Streams {
        Streams { tasks: Arc::default(), pace }
    }

    /// Returns `true` if any task has not ended.
    pub(super) fn are_busy(&self) -> bool {
        // Declared before the lock, as in `execute`.
        let mut panics = Vec::new();
        let mut tasks = self.tasks.lock();
        while let Some(ended) = tasks.try_join_next() {
            panics.extend(ended.err());
        }
        !tasks.is_empty()
    }

    /// Ends those that are left.
    pub(super) fn end(&self) {
        let left = std::mem::take(&mut *self.tasks.lock());
        // Outside of the lock.
        drop(left);
    }
}

impl<F> Executor<F> for Streams
where
    F: Future<Output = ()> + Send + 'static,
{
    fn execute(&self, stream: F) {
        // Declared before the lock, and so dropped after it: what a handler panicked with is the user's.
        let mut panics = Vec::new();
        let mut tasks = self.tasks.lock();
        while let Some(ended) = tasks.try_join_next() {
            panics.extend(ended.err());
        }
        tasks.spawn(Holding::new(Read::new(stream, self.pace)));
    }
}
