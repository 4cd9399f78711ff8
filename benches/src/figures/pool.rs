//! Checking a working idle object out of a pool, and returning it.

use std::convert::Infallible;
use std::future::Future;
use std::sync::Arc;

use deadpool::managed::{self, Manager, Metrics, RecycleResult};
use resilience_core::pool::{Lifetime, ResilientManager, ResilientPool};
use tower::BoxError;

use super::floor::{Lines, floor};
use super::{Figure, names};
use crate::cost::{Call, Role, Subject};

const SIZE: u32 = 16;

/// A manager that creates numbers and always recycles them.
#[derive(Debug, Clone, Copy)]
struct Numbers;

impl Manager for Numbers {
    type Type = u64;
    type Error = Infallible;

    async fn create(&self) -> Result<u64, Infallible> {
        Ok(1)
    }

    async fn recycle(&self, _: &mut u64, _: &Metrics) -> RecycleResult<Infallible> {
        Ok(())
    }
}

impl bb8::ManageConnection for Numbers {
    type Connection = u64;
    type Error = Infallible;

    async fn connect(&self) -> Result<u64, Infallible> {
        Ok(1)
    }

    async fn is_valid(&self, _: &mut u64) -> Result<(), Infallible> {
        Ok(())
    }

    fn has_broken(&self, _: &mut u64) -> bool {
        false
    }
}

/// A call that uses a pooled object once.
#[derive(Clone)]
struct Use<F>(F);

impl<F, R> Call for Use<F>
where
    F: FnMut(u64) -> R + Clone + Send + 'static,
    R: Future<Output = Result<u64, BoxError>> + Send,
{
    fn call(&mut self, request: u64) -> impl Future<Output = Result<u64, BoxError>> + Send {
        (self.0)(request)
    }
}

/// Increments and decrements a gauge, and reads the clock twice, since objects have an age.
fn least(lines: &Lines) {
    lines.clock();
    lines.gauge(0);
    lines.clock();
}

/// Returns the cost of a checkout and its return.
///
/// # Errors
/// If a configuration is invalid.
pub(super) fn figure() -> Result<Figure, BoxError> {
    let mut subjects = floor(least);
    let theirs = managed::Pool::<Numbers>::builder(Numbers).max_size(SIZE as usize).build()?;
    subjects.push(
        Subject::calls(
            Role::Peer,
            names::DEADPOOL,
            Use(move |request| {
                let pool = theirs.clone();
                async move { Ok(*pool.get().await? + request) }
            }),
        )
        .lacks("a bound on who waits, ages, a circuit and pauses around making objects, a drain"),
    );
    let theirs = Arc::new(bb8());
    subjects.push(
        Subject::calls(
            Role::Peer,
            "bb8 get",
            Use(move |request| {
                let pool = theirs.clone();
                async move { Ok(*pool.get().await? + request) }
            }),
        )
        .lacks("ages here, a bound on who waits, a circuit around making objects, a drain"),
    );
    for (name, lifetime) in
        [(names::OUR_POOL, None), ("our ResilientPool::get, ageless", Some(Lifetime::ENDLESS))]
    {
        let manager = ResilientManager::builder(Numbers);
        let manager = match lifetime {
            Some(lifetime) => manager.lifetime(lifetime),
            None => manager,
        };
        let ours = ResilientPool::builder(manager.build()).max_size(SIZE).build()?;
        subjects.push(Subject::calls(
            Role::Ours,
            name,
            Use(move |request| {
                let pool = ours.clone();
                async move { Ok(*pool.get().await? + request) }
            }),
        ));
    }
    Ok(Figure::new(names::POOL, "two looks at the clock, one gauge up and down", subjects))
}

/// With a look at each object before it is handed out, as ours, which is its default. Without ages,
/// for which it spawns a task where it is built, and there is no runtime here.
fn bb8() -> bb8::Pool<Numbers> {
    bb8::Pool::builder()
        .max_size(SIZE)
        .max_lifetime(None)
        .idle_timeout(None)
        .build_unchecked(Numbers)
}
