//! Waiters for a permit or a token: wakes, order and cost.

use std::future::poll_fn;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use parking_lot::Mutex;
use resilience_core::bulkhead::Bulkhead;
use resilience_core::rate::{Quota, RateLimiter};
use tokio::runtime::{Builder, Runtime};
use tokio::sync::Semaphore;
use tower::BoxError;

use super::figure::Figure;
use super::{Group, tenfolds};
use crate::cost::{Spread, cpu_time};
use crate::stats::ratio;

pub(super) const GROUP: Group = Group { names: &[COST, WAKES], measure };

const COST: &str = "admission of a waiter";
const WAKES: &str = "wake-ups of a waiter";
const BULKHEAD: &str = "our Bulkhead";
const LIMITER: &str = "our RateLimiter, 100,000 a second";
const SLOW: &str = "our RateLimiter, 1,000 a second";
const SEMAPHORE: &str = "tokio Semaphore";
const LACKS: &str = "a bound on its queue, a limited wait, weights that change";

/// Counts over the admission of all waiters.
#[derive(Debug, Clone, Copy, Default)]
#[non_exhaustive]
pub struct Admissions {
    /// The number of waiters.
    pub waiters: u64,
    /// Polls after the first poll of each waiter.
    pub wakes: u64,
    /// Waiters that were admitted after a later one.
    pub inversions: u64,
}

type Round = fn(&Runtime, u32) -> Result<Admissions, BoxError>;

/// The name, missing features, most waiters and function of each line.
const LINES: [(&str, &str, u64, Round); 4] = [
    (BULKHEAD, "", u64::MAX, bulkhead),
    (LIMITER, "", u64::MAX, limiter),
    (SLOW, "", 100, slow_limiter),
    (SEMAPHORE, LACKS, u64::MAX, semaphore),
];

fn measure(quick: bool) -> Result<Vec<Figure>, BoxError> {
    let most = if quick { 10_000 } else { 100_000 };
    let mut cost = Figure::new(COST, "waiters", "CPU ns of an admission, its task's included");
    let mut wakes = Figure::new(WAKES, "waiters", "polls after the first, of an admission");
    let runtime = runtime()?;
    let mut overtaken = 0;
    for (name, lacks, worth, round) in LINES {
        let most = most.min(worth);
        for waiters in tenfolds(1, most) {
            let many = u32::try_from(waiters)?;
            let (mut ns, mut all) = (Vec::new(), Admissions::default());
            for _ in 0..(most / waiters).clamp(5, 50) {
                let mut admissions = Admissions::default();
                let took = cpu_time(|| {
                    admissions = round(&runtime, many)?;
                    Ok(())
                })?;
                ns.push(took.as_secs_f64() * 1e9 / f64::from(many));
                all.add(admissions);
            }
            cost.add(name, lacks, waiters, Spread::of(&ns).median);
            wakes.add(name, lacks, waiters, ratio(all.wakes, all.waiters));
            overtaken += if name == SEMAPHORE { 0 } else { all.inversions };
        }
    }
    let grown = |name| Some(cost.at(name, most)? / cost.at(name, 100)?);
    let (permits, tokens) = (grown(BULKHEAD), grown(LIMITER));
    cost.timed("bulkhead: the most waiters / 100", 2.0, permits);
    cost.timed("limiter: the most waiters / 100", 2.0, tokens);
    let woken = wakes.most();
    wakes.exact("polls after the first, of an admission", 2.0, woken);
    wakes.exact("admissions out of order", 0.0, Some(ratio(overtaken, 1)));
    Ok(vec![cost, wakes])
}

impl Admissions {
    fn of(order: &[u32], polls: u64) -> Admissions {
        let waiters = order.len() as u64;
        let mut latest = 0;
        let mut inversions = 0;
        for &number in order {
            inversions += u64::from(number < latest);
            latest = number.max(latest);
        }
        Admissions { waiters, wakes: polls.saturating_sub(waiters), inversions }
    }

    fn add(&mut self, other: Admissions) {
        self.waiters += other.waiters;
        self.wakes += other.wakes;
        self.inversions += other.inversions;
    }
}

/// Creates the runtime of the waiters: one thread, and timers.
///
/// # Errors
/// If no runtime can be created.
pub fn runtime() -> Result<Runtime, BoxError> {
    Ok(Builder::new_current_thread().enable_time().build()?)
}

/// Passes one permit from waiter to waiter.
///
/// # Errors
/// If a waiter is rejected.
pub fn bulkhead(runtime: &Runtime, waiters: u32) -> Result<Admissions, BoxError> {
    let bulkhead = Bulkhead::builder().max_concurrent(1).wait().max_queued(waiters).build()?;
    let held = bulkhead.try_acquire_owned(1)?;
    runtime.block_on(admit(waiters, || bulkhead.acquire_owned(1), || drop(held)))
}

/// Admits a waiter every ten microseconds. Timers fire every millisecond, with about 100 waiters
/// due at once.
///
/// # Errors
/// If a waiter is rejected.
pub fn limiter(runtime: &Runtime, waiters: u32) -> Result<Admissions, BoxError> {
    tokens(runtime, waiters, Quota::per_second(100_000)?.with_burst(1_000)?)
}

/// Admits a waiter every millisecond, each with a timer of its own.
///
/// # Errors
/// If a waiter is rejected.
pub fn slow_limiter(runtime: &Runtime, waiters: u32) -> Result<Admissions, BoxError> {
    tokens(runtime, waiters, Quota::per_second(1_000)?.with_burst(1)?)
}

fn tokens(runtime: &Runtime, waiters: u32, quota: Quota) -> Result<Admissions, BoxError> {
    let limiter = RateLimiter::builder().quota(quota).wait().max_queued(waiters).build()?;
    limiter.check(quota.burst())?;
    runtime.block_on(admit(waiters, || limiter.acquire(1), || ()))
}

fn semaphore(runtime: &Runtime, waiters: u32) -> Result<Admissions, BoxError> {
    let semaphore = Arc::new(Semaphore::new(0));
    let acquire = || semaphore.clone().acquire_owned();
    runtime.block_on(admit(waiters, acquire, || semaphore.add_permits(1)))
}

/// Starts waiting tasks in order, and admits them after `open`.
async fn admit<F, P, E>(
    waiters: u32,
    acquire: impl Fn() -> F,
    open: impl FnOnce(),
) -> Result<Admissions, BoxError>
where
    F: Future<Output = Result<P, E>> + Send + 'static,
    P: Send,
    E: Into<BoxError> + Send,
{
    let polls = Arc::new(AtomicU64::new(0));
    let order = Arc::new(Mutex::new(Vec::with_capacity(waiters as usize)));
    let tasks: Vec<_> = (0..waiters)
        .map(|number| {
            let (polls, order, acquire) = (polls.clone(), order.clone(), acquire());
            tokio::spawn(async move {
                let permit = counted(acquire, &polls).await;
                order.lock().push(number);
                permit.map(drop).map_err(Into::into)
            })
        })
        .collect();
    // Each waiter is polled once before `open`: it is queued or already admitted.
    while polls.load(Ordering::Relaxed) < waiters.into() {
        tokio::task::yield_now().await;
    }
    open();
    for task in tasks {
        task.await??;
    }
    let order = order.lock();
    Ok(Admissions::of(&order, polls.load(Ordering::Relaxed)))
}

/// Counts the polls of `future` in `polls`.
async fn counted<F: Future>(future: F, polls: &AtomicU64) -> F::Output {
    let mut future = pin!(future);
    poll_fn(|context| {
        polls.fetch_add(1, Ordering::Relaxed);
        future.as_mut().poll(context)
    })
    .await
}
