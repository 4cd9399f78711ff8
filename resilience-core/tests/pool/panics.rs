//! Managers that panic as an object goes: its place and its permit are back.

use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Waker};

use deadpool::managed::{Manager, Metrics, RecycleResult};
use resilience_core::pool::{Lifetime, ResilientManager, ResilientPool};

/// Makes objects that cannot be detached, or dropped, without a panic.
#[derive(Debug, Default)]
struct Fragile {
    detach: AtomicBool,
    drop: AtomicBool,
    /// A manager with a validation that never ends.
    hangs: AtomicBool,
}

#[derive(Debug, Clone, Default)]
struct Server(Arc<Fragile>);

#[derive(Debug)]
struct Object(Server);

fn goes_off(bomb: &AtomicBool) {
    if bomb.swap(false, Ordering::SeqCst) {
        panic!("on purpose");
    }
}

impl Drop for Object {
    fn drop(&mut self) {
        goes_off(&self.0.0.drop);
    }
}

impl Manager for Server {
    type Type = Object;
    type Error = io::Error;

    async fn create(&self) -> Result<Object, io::Error> {
        Ok(Object(self.clone()))
    }

    async fn recycle(&self, _: &mut Object, _: &Metrics) -> RecycleResult<io::Error> {
        if self.0.hangs.load(Ordering::SeqCst) {
            std::future::pending::<()>().await;
        }
        Err(io::Error::from(io::ErrorKind::ConnectionReset).into())
    }

    fn detach(&self, _: &mut Object) {
        goes_off(&self.0.detach);
    }
}

fn pool(server: &Server) -> ResilientPool<Server> {
    let manager = ResilientManager::builder(server.clone()).lifetime(Lifetime::ENDLESS).build();
    ResilientPool::builder(manager).max_size(1).build().unwrap()
}

/// Nothing is out, and there is a place for another.
async fn assert_at_rest(pool: &ResilientPool<Server>, what: &str) {
    let snapshot = pool.snapshot();
    assert_eq!((snapshot.in_use, snapshot.size), (0, snapshot.idle), "{what}");
    drop(pool.get().await.unwrap());
}

fn panics(body: impl FnOnce()) {
    assert!(catch_unwind(AssertUnwindSafe(body)).is_err(), "it panics");
}

#[tokio::test(start_paused = true)]
async fn a_broken_object_gives_up_its_place_though_it_panics() {
    let server = Server::default();
    for bomb in [&server.0.detach, &server.0.drop] {
        let pool = pool(&server);
        let mut object = pool.get().await.unwrap();
        object.broken();
        bomb.store(true, Ordering::SeqCst);
        panics(|| drop(object));
        assert_at_rest(&pool, "broken").await;
    }
}

#[tokio::test(start_paused = true)]
async fn an_object_that_is_taken_gives_up_its_place_though_it_panics() {
    let server = Server::default();
    let pool = pool(&server);
    let object = pool.get().await.unwrap();
    server.0.detach.store(true, Ordering::SeqCst);
    panics(|| drop(object.take()));
    assert_at_rest(&pool, "taken").await;
}

/// Runs in a task, in which panics end.
#[tokio::test(start_paused = true)]
async fn an_object_that_does_not_work_gives_up_its_place_though_it_panics() {
    let server = Server::default();
    for bomb in [&server.0.detach, &server.0.drop] {
        let pool = pool(&server);
        drop(pool.get().await.unwrap());
        bomb.store(true, Ordering::SeqCst);
        let handle = pool.clone();
        let call = tokio::spawn(async move { drop(handle.get().await) });
        assert!(call.await.unwrap_err().is_panic());
        assert_at_rest(&pool, "invalid").await;
    }
}

/// Dropped while it is looked at, an object goes.
#[tokio::test(start_paused = true)]
async fn a_panicking_object_of_a_dropped_call_frees_its_slot() {
    let server = Server::default();
    for bomb in [&server.0.detach, &server.0.drop] {
        let pool = pool(&server);
        drop(pool.get().await.unwrap());
        server.0.hangs.store(true, Ordering::SeqCst);
        let mut call = Box::pin(pool.get());
        assert!(call.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_pending());
        server.0.hangs.store(false, Ordering::SeqCst);
        bomb.store(true, Ordering::SeqCst);
        panics(|| drop(call));
        assert_at_rest(&pool, "dropped").await;
    }
}
