//! A thousand random ends of a process that works off a queue: no message is lost, none is both
//! done and handed back, and none of them takes longer than it may.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use rand::rngs::SmallRng;
use rand::{RngExt, SeedableRng};
use resilience_core::clock;
use resilience_core::retry::{Backoff, RetryPolicy, retry};
use resilience_core::shutdown::{Shutdown, ShutdownReport, ShutdownToken};

use tokio::task::JoinSet;

use crate::MS;

/// The place of a message. A broker sends a message again that is handed back or lost.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fate {
    Waiting,
    /// A worker has it.
    Leased,
    /// Done, and to be acknowledged with the next batch.
    Done,
    Acknowledged,
    HandedBack,
}

#[derive(Debug, Default)]
struct Broker {
    fates: Vec<Fate>,
    waiting: VecDeque<usize>,
}

type Shared = Arc<Mutex<Broker>>;

fn move_on(broker: &Shared, message: usize, from: Fate, to: Fate) {
    let fate = &mut broker.lock().fates[message];
    assert_eq!(*fate, from, "message {message} was to be {to:?}");
    *fate = to;
}

/// Handed back when it is dropped before it was done.
struct Lease {
    broker: Shared,
    message: usize,
    done: bool,
}

impl Lease {
    fn next(broker: &Shared) -> Option<Lease> {
        let message = broker.lock().waiting.pop_front()?;
        move_on(broker, message, Fate::Waiting, Fate::Leased);
        Some(Lease { broker: broker.clone(), message, done: false })
    }

    fn done(mut self) {
        move_on(&self.broker, self.message, Fate::Leased, Fate::Done);
        self.done = true;
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        if !self.done {
            move_on(&self.broker, self.message, Fate::Leased, Fate::HandedBack);
        }
    }
}

fn millis(rng: &mut SmallRng, most: u64) -> Duration {
    MS * u32::try_from(rng.random_range(0..=most)).unwrap()
}

async fn produce(broker: Shared, token: ShutdownToken, mut rng: SmallRng) {
    while !token.is_draining() {
        {
            let mut broker = broker.lock();
            let message = broker.fates.len();
            broker.fates.push(Fate::Waiting);
            broker.waiting.push_back(message);
        }
        tokio::time::sleep(MS + millis(&mut rng, 20)).await;
    }
}

/// Works until draining begins; some messages take long, and some need several attempts.
async fn work(broker: Shared, token: ShutdownToken, mut rng: SmallRng) {
    let backoff = Backoff::constant(MS + millis(&mut rng, 300));
    let policy = RetryPolicy::builder().backoff(backoff).without_budget().build().unwrap();
    while !token.is_draining() {
        let Some(lease) = Lease::next(&broker) else {
            tokio::time::sleep(MS).await;
            continue;
        };
        let most = if rng.random_bool(0.1) { 2_000 } else { 30 };
        let takes = millis(&mut rng, most);
        let failures = if rng.random_bool(0.2) { rng.random_range(1..4) } else { 0 };
        let mut attempts = 0;
        let result = retry(&policy, || {
            attempts += 1;
            let fails = attempts <= failures;
            async move {
                tokio::time::sleep(takes).await;
                if fails { Err(crate::retries::reset()) } else { Ok(()) }
            }
        });
        if result.await.is_ok() {
            lease.done();
        }
    }
}

async fn acknowledge(broker: Shared, takes: Duration) {
    tokio::time::sleep(takes).await;
    let fates = broker.lock().fates.clone();
    for (message, _) in fates.iter().enumerate().filter(|(_, fate)| **fate == Fate::Done) {
        move_on(&broker, message, Fate::Done, Fate::Acknowledged);
    }
}

/// Runs a random shutdown. Returns `true` if work was cut.
async fn one(seed: u64) -> ShutdownReport {
    let mut rng = SmallRng::seed_from_u64(seed);
    let mut shutdown = Shutdown::builder()
        .grace(millis(&mut rng, 200))
        .drain(MS + millis(&mut rng, 3_000))
        .unwind(MS * 100)
        .hooks(MS * 500)
        .build()
        .unwrap();
    let (broker, token) = (Shared::default(), shutdown.token());
    let hangs = rng.random_bool(0.2);
    if hangs {
        shutdown.hook("hangs", std::future::pending::<()>);
    }
    let (batch, takes) = (broker.clone(), millis(&mut rng, 200));
    shutdown.hook("acknowledge", move || acknowledge(batch, takes));
    let mut tasks = JoinSet::new();
    for _ in 0..rng.random_range(1..4) {
        let produce = produce(broker.clone(), token.clone(), SmallRng::seed_from_u64(rng.random()));
        tasks.spawn(token.run("producer", produce));
    }
    for _ in 0..rng.random_range(1..8) {
        let work = work(broker.clone(), token.clone(), SmallRng::seed_from_u64(rng.random()));
        tasks.spawn(token.run("worker", work));
    }
    let longest = shutdown.bounds().longest();
    let running = tokio::spawn(shutdown.run());
    tokio::time::sleep(millis(&mut rng, 1_000)).await;
    let began = clock::now();
    token.begin("first");
    if rng.random_bool(0.3) {
        let (token, wait) = (token.clone(), millis(&mut rng, 500));
        tokio::spawn(async move {
            tokio::time::sleep(wait).await;
            token.begin("second");
        });
    }
    let report = running.await.unwrap();

    // A timer rings up to a millisecond late, once a phase.
    assert!(clock::now() - began <= longest + MS * 4, "seed {seed}: {report}");
    assert!(report.took() <= longest + MS * 4, "seed {seed}: {report}");
    // None of them panicked.
    while let Some(task) = tasks.join_next().await {
        let _cut = task.unwrap();
    }
    let broker = broker.lock();
    let lost = |fate: &Fate| matches!(fate, Fate::Leased | Fate::Done);
    assert_eq!(broker.fates.iter().filter(|fate| lost(fate)).count(), 0, "seed {seed}: {report}");
    assert_eq!(token.in_flight(), 0, "seed {seed}");
    assert_eq!(report.hooks_not_done(), usize::from(hangs), "seed {seed}: {report}");
    for work in &report.work {
        assert_eq!((work.in_flight, work.left), (work.finished + work.cut, 0), "seed {seed}");
    }
    report
}

#[tokio::test(start_paused = true)]
async fn a_thousand_ends_lose_nothing() {
    let (mut cut, mut forced) = (0, 0);
    for seed in 0..1_000 {
        let report = one(seed).await;
        cut += u32::from(report.cut() > 0);
        forced += u32::from(report.forced);
    }
    println!("1,000 ends: something was cut in {cut}, {forced} were forced; nothing was lost");
    assert!(cut > 50 && forced > 100, "{cut} cut, {forced} forced: not much was tried");
}
