//! Cancelled calls: nothing leaks, whatever a manager does and whenever they are dropped.

use std::io;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Waker};
use std::time::Duration;

use deadpool::managed::{Manager, Metrics, RecycleResult};
use proptest::prelude::*;
use rand::rngs::SmallRng;
use rand::{RngExt, SeedableRng};
use resilience_core::breaker::CircuitBreaker;
use resilience_core::pool::{ResilientManager, ResilientPool};
use resilience_core::retry::Backoff;

use crate::fake::{MS, Reply, SECOND, Server};

/// deadpool's five gates: what it calls hooks happens inside of the manager here.
#[derive(Debug, Clone, Copy)]
struct Gates {
    create: Reply,
    post_create: Reply,
    pre_recycle: Reply,
    recycle: Reply,
    post_recycle: Reply,
}

#[derive(Debug)]
struct Gated {
    gates: Gates,
    live: Arc<AtomicUsize>,
}

#[derive(Debug)]
struct Counted(Arc<AtomicUsize>);

impl Drop for Counted {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::SeqCst);
    }
}

impl Manager for Gated {
    type Type = Counted;
    type Error = io::Error;

    async fn create(&self) -> Result<Counted, io::Error> {
        self.gates.create.give().await?;
        self.live.fetch_add(1, Ordering::SeqCst);
        let made = Counted(self.live.clone());
        self.gates.post_create.give().await?;
        Ok(made)
    }

    async fn recycle(&self, _: &mut Counted, _: &Metrics) -> RecycleResult<io::Error> {
        self.gates.pre_recycle.give().await?;
        self.gates.recycle.give().await?;
        Ok(self.gates.post_recycle.give().await?)
    }
}

const REPLIES: [Reply; 4] =
    [Reply::Works, Reply::Fails, Reply::Slow(Duration::from_millis(2)), Reply::Never];

fn combinations() -> impl Iterator<Item = Gates> {
    (0..1024_usize).map(|number| {
        let reply = |digit: u32| REPLIES[number / 4_usize.pow(digit) % 4];
        Gates {
            create: reply(0),
            post_create: reply(1),
            pre_recycle: reply(2),
            recycle: reply(3),
            post_recycle: reply(4),
        }
    })
}

const MAX: usize = 2;
const TASKS: u64 = 8;

/// Each of 1,024 combinations: eight tasks take and return, each giving up whenever it likes.
#[tokio::test(start_paused = true)]
async fn nothing_leaks_in_any_of_a_thousand_combinations() {
    for (number, gates) in combinations().enumerate() {
        let live = Arc::new(AtomicUsize::new(0));
        let manager = Gated { gates, live: live.clone() };
        // A circuit that opens would spare the pool most of the test.
        let breaker = CircuitBreaker::builder().consecutive_failures(65_535).build();
        let backoff = Backoff::full_jitter(MS, MS);
        let manager = ResilientManager::builder(manager)
            .circuit_breaker(breaker)
            .backoff(backoff)
            .create_timeout(20 * MS)
            .recycle_timeout(7 * MS)
            .build();
        let pool = ResilientPool::builder(manager)
            .max_size(2)
            .min_idle(u32::from(number % 2 == 0))
            .wait_at_most(30 * MS)
            .build()
            .unwrap();
        pool.spawn_maintenance();
        let sound = |when: &str| {
            let now = pool.snapshot();
            assert!(now.size <= MAX, "{when}: {now:?} {gates:?}");
            assert!(now.idle <= MAX, "{when}: {now:?} {gates:?}");
            assert!(now.in_use as usize <= MAX, "{when}: {now:?} {gates:?}");
            assert!(live.load(Ordering::SeqCst) <= MAX, "{when}: {now:?} {gates:?}");
        };
        let tasks: Vec<_> = (0..TASKS)
            .map(|task| {
                let pool = pool.clone();
                let mut random = SmallRng::seed_from_u64(number as u64 * TASKS + task);
                tokio::spawn(async move {
                    loop {
                        let patience = MS * random.random_range(0..12);
                        let held = tokio::time::timeout(patience, pool.get()).await;
                        tokio::time::sleep(MS * random.random_range(0..3)).await;
                        if let Ok(Ok(mut held)) = held
                            && random.random_ratio(1, 4)
                        {
                            held.broken();
                        }
                        tokio::task::yield_now().await;
                    }
                })
            })
            .collect();
        for _ in 0..12 {
            tokio::time::sleep(3 * MS).await;
            sound("running");
        }
        for task in &tasks {
            task.abort();
        }
        for task in tasks {
            assert!(task.await.unwrap_err().is_cancelled());
        }
        pool.close();
        // What the maintenance is making.
        tokio::time::sleep(SECOND).await;
        let now = pool.snapshot();
        assert_eq!((now.size, now.idle, now.in_use, now.queued), (0, 0, 0, 0), "{gates:?}");
        assert_eq!(live.load(Ordering::SeqCst), 0, "{gates:?}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// A checkout is dropped after k polls, for every k, with a slow server and a failing
    /// validation in between.
    #[test]
    fn a_call_that_is_dropped_at_any_poll_leaves_the_pool_as_it_was(
        polls in 0_usize..12,
        create_ms in 0_u32..3,
        looks in proptest::collection::vec(0_usize..4, 0..3),
    ) {
        let runtime =
            tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build();
        runtime.unwrap().block_on(async {
            let server = Server::default();
            let pool = server.pool(2).build().unwrap();
            crate::fake::fill(&pool, 2).await;
            server.recycling(looks.iter().map(|&look| REPLIES[look]));
            server.creating([Reply::Slow(create_ms * MS)]);
            {
                let mut call = pin!(pool.get());
                for _ in 0..polls {
                    let context = &mut Context::from_waker(Waker::noop());
                    if call.as_mut().poll(context).is_ready() {
                        break;
                    }
                    tokio::time::advance(MS).await;
                }
            }
            let now = pool.snapshot();
            assert_eq!((now.in_use, now.queued), (0, 0), "{now:?}");
            assert_eq!((now.size, now.idle), (server.live(), server.live()), "{now:?}");
            assert!(now.size <= 2);
            crate::fake::fill(&pool, 2).await;
            assert_eq!(server.live(), 2);
        });
    }
}

/// An object of unknown state is not handed out.
#[tokio::test(start_paused = true)]
async fn a_look_that_is_cancelled_retires_the_object() {
    let server = Server::default();
    let pool = server.pool(1).build().unwrap();
    fill_one(&pool).await;
    server.recycling([Reply::Never]);
    assert!(tokio::time::timeout(MS, pool.get()).await.is_err());
    assert_eq!((server.live(), pool.snapshot().size), (0, 0));
    assert_eq!(pool.get().await.unwrap().id, 1);
}

async fn fill_one(pool: &crate::fake::Pool) {
    crate::fake::fill(pool, 1).await;
}
