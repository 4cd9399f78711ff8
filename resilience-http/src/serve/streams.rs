//! The tasks of an HTTP/2 connection, one for each stream.

use std::sync::Arc;

use hyper::rt::Executor;
use parking_lot::Mutex;
use tokio::task::JoinSet;

use super::min_rate::MinRate;
use super::reader::MinRateStream;
use super::upgraded::StreamTask;

/// An executor that spawns the tasks of a connection. A task ends when its reader is below the
/// lowest rate, and all end with the connection. Clones share the tasks.
#[derive(Debug, Clone)]
pub(super) struct Streams {
    tasks: Arc<Mutex<JoinSet<()>>>,
    min_rate: MinRate,
}

impl Streams {
    pub(super) fn new(min_rate: MinRate) -> Streams {
        Streams { tasks: Arc::default(), min_rate }
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

    /// Aborts the remaining tasks.
    pub(super) fn end(&self) {
        let left = std::mem::take(&mut *self.tasks.lock());
        // Outside of the lock: dropping a task drops the handler of a request.
        drop(left);
    }
}

impl<F> Executor<F> for Streams
where
    F: Future<Output = ()> + Send + 'static,
{
    fn execute(&self, stream: F) {
        // Declared before the lock, and so dropped after it: dropping a panic payload runs the
        // user's code.
        let mut panics = Vec::new();
        let mut tasks = self.tasks.lock();
        while let Some(ended) = tasks.try_join_next() {
            panics.extend(ended.err());
        }
        tasks.spawn(StreamTask::new(MinRateStream::new(stream, self.min_rate)));
    }
}
