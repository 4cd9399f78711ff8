//! What is done in a pool when nobody calls.

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
    /// The pool's maintenance, to be spawned or polled beside other things: lets go of idle objects that
    /// are too old, and makes new ones until as many are idle as should be. Without it, ages are looked at
    /// when an object is handed out or comes back, and none is made ahead of need.
    ///
    /// It looks every so often, and at once when an object was retired or made for a caller. It ends when
    /// the pool is closed or its last handle and object are gone: it keeps no pool alive, but for the
    /// time that it takes to make an object. To drop it is to stop it. A failure to make one is told to
    /// the listener and the circuit, and tried again at the next look.
    pub fn maintenance(&self) -> impl Future<Output = ()> + Send + use<M> {
        let (pool, news) = (Arc::downgrade(&self.0), self.0.core.news.clone());
        maintain(pool, news, self.0.settings.maintain_every)
    }

    /// Spawns the [`maintenance`](ResilientPool::maintenance) on the runtime that this is called in, which
    /// panics outside of one. It ends with the pool.
    pub fn spawn_maintenance(&self)
    where
        M: 'static,
    {
        drop(tokio::spawn(self.maintenance()));
    }
}

async fn maintain<M: Manager>(pool: Weak<Shared<M>>, news: Arc<Notify>, every: Duration) {
    loop {
        // The handle is dropped before the wait.
        let Some(pool) = pool.upgrade() else { return };
        if pool.core.is_closed() {
            return;
        }
        pool.reap();
        let due = clock::later(clock::now(), every);
        // What failed was told, and is tried again in time.
        let _ = pool.top_up().await;
        drop(pool);
        let mut news = pin!(news.notified());
        let mut alarm = Alarm::at(due);
        std::future::poll_fn(|cx| match news.as_mut().poll(cx) {
            Poll::Ready(()) => Poll::Ready(()),
            Poll::Pending => alarm.poll(cx),
        })
        .await;
    }
}
