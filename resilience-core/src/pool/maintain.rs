//! Background maintenance of a pool.

use std::future::poll_fn;
use std::pin::pin;
use std::sync::{Arc, Weak};
use std::task::Poll;
use std::time::Duration;

use deadpool::managed::Manager;
use tokio::sync::Notify;

use super::handle::{ResilientPool, Shared};
use crate::clock;
use crate::timer::Alarm;

impl<M: Manager> ResilientPool<M> {
    /// Returns the pool's maintenance, to be spawned or polled: retires idle objects that have
    /// expired, and makes new ones until `min_idle` are idle. Without it, ages are checked when an
    /// object is checked out or returned, and none is made ahead of need.
    ///
    /// Runs at an interval, and at once when an object was retired or made for a caller. Ends when
    /// the pool is closed or its last handle and object are gone: it keeps the pool alive only
    /// while it makes an object. Dropping it stops it. A failure to make an object goes to the
    /// listener and the circuit, and is tried again at the next run.
    pub fn maintenance(&self) -> impl Future<Output = ()> + Send + use<M> {
        let pool = Arc::downgrade(&self.0);
        let changed = self.0.core.changed.clone();
        maintain(pool, changed, self.0.settings.maintain_every)
    }

    /// Spawns the [`maintenance`](ResilientPool::maintenance) on the current tokio runtime; panics
    /// outside of one. The task ends with the pool.
    pub fn spawn_maintenance(&self)
    where
        M: 'static,
    {
        drop(tokio::spawn(self.maintenance()));
    }
}

async fn maintain<M: Manager>(pool: Weak<Shared<M>>, changed: Arc<Notify>, every: Duration) {
    loop {
        let Some(pool) = pool.upgrade() else { return };
        if pool.core.is_closed() {
            return;
        }
        pool.reap();
        let due = clock::later(clock::now(), every);
        // The listener was notified of a failure, and the next run tries again.
        let _ = pool.top_up().await;
        // Before the wait, so that this does not keep the pool alive.
        drop(pool);
        let mut changed = pin!(changed.notified());
        let mut alarm = Alarm::at(due);
        poll_fn(|cx| match changed.as_mut().poll(cx) {
            Poll::Ready(()) => Poll::Ready(()),
            Poll::Pending => alarm.poll(cx),
        })
        .await;
    }
}
