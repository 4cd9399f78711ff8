//! The tasks of a connection that has several: one for each stream of HTTP/2.

use std::sync::Arc;

use hyper::rt::Executor;
use parking_lot::Mutex;
use tokio::task::JoinSet;

/// Spawns a connection's tasks, and ends them with it.
#[derive(Debug, Clone, Default)]
pub(super) struct Streams(Arc<Mutex<JoinSet<()>>>);

impl Streams {
    /// Ends those that are left.
    pub(super) fn end(&self) {
        let left = std::mem::take(&mut *self.0.lock());
        // Outside of the lock.
        drop(left);
    }
}

impl<F> Executor<F> for Streams
where
    F: Future<Output = ()> + Send + 'static,
{
    fn execute(&self, stream: F) {
        let mut tasks = self.0.lock();
        while tasks.try_join_next().is_some() {}
        tasks.spawn(stream);
    }
}
