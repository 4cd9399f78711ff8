//! A scripted server of numbered connections.

use std::collections::VecDeque;
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use deadpool::managed::{Manager, Metrics, RecycleResult};
use parking_lot::Mutex;
use resilience_core::pool::{
    Lifetime, ManagerBuilder, PoolBuilder, ResilientManager, ResilientPool,
};

pub(crate) type Pool = ResilientPool<Server>;

/// The response of the server to a request for a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Reply {
    Works,
    Fails,
    FailsAfter(Duration),
    Slow(Duration),
    Never,
}

impl Reply {
    pub(crate) async fn give(self) -> Result<(), io::Error> {
        match self {
            Reply::Works => Ok(()),
            Reply::Fails => Err(io::Error::from(io::ErrorKind::ConnectionRefused)),
            Reply::FailsAfter(time) => {
                tokio::time::sleep(time).await;
                Err(io::Error::from(io::ErrorKind::ConnectionRefused))
            }
            Reply::Slow(time) => {
                tokio::time::sleep(time).await;
                Ok(())
            }
            Reply::Never => std::future::pending().await,
        }
    }
}

/// Clones are the same server.
#[derive(Debug, Clone, Default)]
pub(crate) struct Server(Arc<State>);

#[derive(Debug, Default)]
struct State {
    made: AtomicUsize,
    live: AtomicUsize,
    attempts: AtomicUsize,
    /// The next responses; requests succeed when they are used up.
    creating: Mutex<VecDeque<Reply>>,
    recycling: Mutex<VecDeque<Reply>>,
    detached: Mutex<Vec<usize>>,
    /// The metrics of an object at its last validation.
    metrics: Mutex<Option<Metrics>>,
}

/// Alive until it is dropped.
#[derive(Debug)]
pub(crate) struct Connection {
    pub(crate) id: usize,
    pub(crate) counter: u32,
    server: Server,
}

impl Drop for Connection {
    fn drop(&mut self) {
        self.server.0.live.fetch_sub(1, Ordering::SeqCst);
    }
}

impl Server {
    pub(crate) fn creating(&self, replies: impl IntoIterator<Item = Reply>) {
        self.0.creating.lock().extend(replies);
    }

    pub(crate) fn recycling(&self, replies: impl IntoIterator<Item = Reply>) {
        self.0.recycling.lock().extend(replies);
    }

    /// Connections ever made.
    pub(crate) fn made(&self) -> usize {
        self.0.made.load(Ordering::SeqCst)
    }

    /// Returns the number of requests for a connection.
    pub(crate) fn attempts(&self) -> usize {
        self.0.attempts.load(Ordering::SeqCst)
    }

    /// Connections that are open.
    pub(crate) fn live(&self) -> usize {
        self.0.live.load(Ordering::SeqCst)
    }

    pub(crate) fn detached(&self) -> Vec<usize> {
        self.0.detached.lock().clone()
    }

    pub(crate) fn metrics(&self) -> Option<Metrics> {
        *self.0.metrics.lock()
    }

    /// A manager of this server with objects that do not age.
    pub(crate) fn manager(&self) -> ManagerBuilder<Server> {
        ResilientManager::builder(self.clone()).name("db").lifetime(Lifetime::ENDLESS)
    }

    pub(crate) fn pool(&self, max_size: u32) -> PoolBuilder<Server> {
        ResilientPool::builder(self.manager().build()).max_size(max_size)
    }
}

impl Manager for Server {
    type Type = Connection;
    type Error = io::Error;

    async fn create(&self) -> Result<Connection, io::Error> {
        self.0.attempts.fetch_add(1, Ordering::SeqCst);
        let reply = self.0.creating.lock().pop_front().unwrap_or(Reply::Works);
        reply.give().await?;
        let id = self.0.made.fetch_add(1, Ordering::SeqCst);
        self.0.live.fetch_add(1, Ordering::SeqCst);
        Ok(Connection { id, counter: 0, server: self.clone() })
    }

    async fn recycle(&self, _: &mut Connection, metrics: &Metrics) -> RecycleResult<io::Error> {
        *self.0.metrics.lock() = Some(*metrics);
        let reply = self.0.recycling.lock().pop_front().unwrap_or(Reply::Works);
        Ok(reply.give().await?)
    }

    fn detach(&self, connection: &mut Connection) {
        self.0.detached.lock().push(connection.id);
    }
}

pub(crate) const MS: Duration = Duration::from_millis(1);
pub(crate) const SECOND: Duration = Duration::from_secs(1);

/// Checks out this number of connections at once, and returns all of them.
pub(crate) async fn fill(pool: &Pool, connections: usize) {
    let mut held = Vec::new();
    for _ in 0..connections {
        held.push(pool.get().await.unwrap());
    }
}

/// Lets every other task of a current-thread runtime run until it waits.
pub(crate) async fn settle() {
    for _ in 0..50 {
        tokio::task::yield_now().await;
    }
}
