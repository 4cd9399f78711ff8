//! Every piece of the user's code panics at its n-th run, for every n, under every layer: nothing
//! leaks.

use std::any::Any;
use std::cell::Cell;
use std::fmt;
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::task::{Context, Poll, Wake, Waker, ready};
use std::time::Duration;

use deadpool::managed::{Manager, Metrics, RecycleResult};
use resilience_core::admission::{Admission, Admit, Permit};
use resilience_core::breaker::{CircuitBreaker, CircuitBreakerLayer, CircuitState};
use resilience_core::bulkhead::{Bulkhead, BulkheadLayer};
use resilience_core::keyed::{Entry, Key, Keyed, KeyedLimits};
use resilience_core::observe::Event;
use resilience_core::pool::{CheckoutLayer, Pooled, ResilientManager, ResilientPool};
use resilience_core::profiles::Profiles;
use resilience_core::rate::{Quota, RateLimitLayer, RateLimiter};
use resilience_core::retry::{
    Backoff, Replay, RetryBudget, RetryLayer, RetryPolicy, RetryScope, previous_attempts,
};
use resilience_core::shutdown::{Shutdown, ShutdownLayer, ShutdownToken};
use resilience_core::stack::{CallLifetime, CarriedPermits, Stack};
use resilience_core::timeout::{DeadlineLayer, TimeoutLayer};
use resilience_core::{
    AsOutcome, CarriesRejection, Classify, Deadline, Error, Name, Outcome, Rejection,
    RejectionKind, clock,
};
use tower::util::BoxCloneSyncService;
use tower::{Layer, Service, ServiceExt};

use crate::every::{BREAK, LAYERS, RESERVE, budget};

/// Between two admissions of the rate limit.
const GAP: Duration = Duration::from_millis(3);
const MS: Duration = Duration::from_millis(1);
const TOKENS: u32 = 10_000;

thread_local! {
    /// Runs of the user's code that are left until it panics.
    static LEFT: Cell<Option<usize>> = const { Cell::new(None) };
    static WHERE: Cell<&'static str> = const { Cell::new("") };
}

/// The user's code runs. Without the panic hook, which would print each of thousands.
fn user(what: &'static str) {
    // A second panic would end the process, whoever's code it is.
    if std::thread::panicking() {
        return;
    }
    let left = LEFT.get();
    LEFT.set(left.and_then(|left| left.checked_sub(1)));
    if left == Some(0) {
        WHERE.set(what);
        resume_unwind(Box::new(what));
    }
}

/// The user's code runs when this is dropped.
#[derive(Debug)]
struct Dropped(&'static str);

impl Drop for Dropped {
    fn drop(&mut self) {
        user(self.0);
    }
}

#[derive(Debug)]
struct Request(u64, #[expect(dead_code, reason = "is dropped")] Dropped);

impl Request {
    fn new(number: u64) -> Request {
        Request(number, Dropped("Request::drop"))
    }
}

impl Clone for Request {
    fn clone(&self) -> Request {
        user("Request::clone");
        Request::new(self.0)
    }
}

#[derive(Debug)]
struct Answer {
    rest: CarriedPermits,
    _dropped: Dropped,
}

#[derive(Debug)]
struct Failure {
    rejection: Option<Rejection>,
    _dropped: Dropped,
}

impl Failure {
    fn new(rejection: Option<Rejection>) -> Failure {
        Failure { rejection, _dropped: Dropped("Failure::drop") }
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        user("Failure::fmt");
        f.write_str("failure")
    }
}

impl std::error::Error for Failure {}

impl From<Rejection> for Failure {
    fn from(rejection: Rejection) -> Failure {
        user("Failure::from");
        Failure::new(Some(rejection))
    }
}

impl From<Error<io::Error>> for Failure {
    fn from(error: Error<io::Error>) -> Failure {
        user("Failure::from");
        Failure::new(error.rejection().cloned())
    }
}

impl CarriesRejection for Failure {
    fn rejection(&self) -> Option<&Rejection> {
        user("Failure::rejection");
        self.rejection.as_ref()
    }
}

impl AsOutcome for Failure {
    fn as_outcome(&self) -> Outcome {
        user("Failure::as_outcome");
        Outcome::transient()
    }
}

/// A key.
#[derive(Debug)]
struct Shard(u64, #[expect(dead_code, reason = "is dropped")] Dropped);

impl Shard {
    fn of(request: &Request) -> Shard {
        user("selector");
        Shard::new(request.0 % 2)
    }

    fn new(number: u64) -> Shard {
        Shard(number, Dropped("Shard::drop"))
    }
}

impl Clone for Shard {
    fn clone(&self) -> Shard {
        user("Shard::clone");
        Shard::new(self.0)
    }
}

impl PartialEq for Shard {
    fn eq(&self, other: &Shard) -> bool {
        user("Shard::eq");
        self.0 == other.0
    }
}

impl Eq for Shard {}

impl std::hash::Hash for Shard {
    fn hash<H: std::hash::Hasher>(&self, state: &mut H) {
        user("Shard::hash");
        self.0.hash(state);
    }
}

impl Key for Shard {
    type Stored = Shard;

    fn name(&self) -> Name {
        user("Shard::name");
        format!("shard {}", self.0).into()
    }

    fn heap_bytes(&self) -> usize {
        user("Shard::heap_bytes");
        0
    }
}

/// Judges results, and copies requests that may run once only.
#[derive(Debug)]
struct User;

impl Clone for User {
    fn clone(&self) -> User {
        user("User::clone");
        User
    }
}

impl Classify<Answer, Failure> for User {
    fn classify(&self, result: Result<&Answer, &Failure>) -> Outcome {
        user("classify");
        result.map_or(Outcome::transient(), |_| Outcome::Success)
    }

    fn may_have_run(&self, _: Result<&Answer, &Failure>) -> bool {
        user("may_have_run");
        false
    }
}

impl Replay<Request> for User {
    fn copy(&self, request: &Request) -> Option<Request> {
        user("copy");
        Some(Request::new(request.0))
    }

    fn may_run_twice(&self, _: &Request) -> bool {
        user("may_run_twice");
        false
    }

    fn is_still_valid(&self, _: &Request, _: bool) -> bool {
        user("is_still_valid");
        true
    }
}

impl CallLifetime<Answer> for User {
    fn carried<'r>(&self, answer: &'r Answer) -> Option<&'r CarriedPermits> {
        user("rest");
        Some(&answer.rest)
    }
}

fn weigh(_: &Request) -> u32 {
    user("weigh");
    1
}

fn listen(_: &Event<'_>) {
    user("listener");
}

/// Requests and attempts that have reached the service below.
#[derive(Debug, Default)]
struct Seen {
    /// Attempts that fail, from the first one on.
    failures: AtomicUsize,
    /// Attempts answer at once, and not after a while.
    is_fast: AtomicBool,
    attempts: AtomicUsize,
    /// A bit for each request.
    requests: AtomicU64,
}

impl Seen {
    fn attempts(&self) -> u32 {
        u32::try_from(self.attempts.load(Ordering::SeqCst)).unwrap()
    }

    fn requests(&self) -> u32 {
        self.requests.load(Ordering::SeqCst).count_ones()
    }
}

/// The service below.
struct Upstream {
    seen: Arc<Seen>,
    _dropped: Dropped,
}

impl Upstream {
    fn new(seen: &Arc<Seen>) -> Upstream {
        Upstream { seen: seen.clone(), _dropped: Dropped("Upstream::drop") }
    }
}

impl Clone for Upstream {
    fn clone(&self) -> Upstream {
        user("Upstream::clone");
        Upstream::new(&self.seen)
    }
}

impl Service<Request> for Upstream {
    type Response = Answer;
    type Error = Failure;
    type Future = Attempt;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Failure>> {
        user("Upstream::poll_ready");
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request) -> Attempt {
        self.seen.requests.fetch_or(1 << request.0, Ordering::SeqCst);
        let number = self.seen.attempts.fetch_add(1, Ordering::SeqCst);
        user("Upstream::call");
        let _dropped = Dropped("Attempt::drop");
        let is_slow = !self.seen.is_fast.load(Ordering::SeqCst);
        let sleep = is_slow.then(|| Box::pin(tokio::time::sleep(MS * 2)));
        Attempt {
            fails: number < self.seen.failures.load(Ordering::SeqCst),
            pending: 1,
            sleep,
            _dropped,
        }
    }
}

struct Attempt {
    fails: bool,
    pending: u32,
    sleep: Option<Pin<Box<tokio::time::Sleep>>>,
    _dropped: Dropped,
}

impl Future for Attempt {
    type Output = Result<Answer, Failure>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        user("Attempt::poll");
        if self.pending > 0 {
            self.pending -= 1;
            cx.waker().wake_by_ref();
            return Poll::Pending;
        }
        if let Some(sleep) = &mut self.sleep {
            ready!(sleep.as_mut().poll(cx));
        }
        Poll::Ready(if self.fails {
            Err(Failure::new(None))
        } else {
            Ok(Answer { rest: CarriedPermits::default(), _dropped: Dropped("Answer::drop") })
        })
    }
}

/// Ends at its second poll.
async fn once_pending() {
    let mut polled = false;
    std::future::poll_fn(|cx| {
        cx.waker().wake_by_ref();
        if std::mem::replace(&mut polled, true) { Poll::Ready(()) } else { Poll::Pending }
    })
    .await;
}

/// Makes numbers.
#[derive(Debug)]
struct Numbers;

impl Manager for Numbers {
    type Type = Dropped;
    type Error = io::Error;

    async fn create(&self) -> Result<Dropped, io::Error> {
        user("create");
        once_pending().await;
        user("created");
        Ok(Dropped("object's drop"))
    }

    async fn recycle(&self, _: &mut Dropped, _: &Metrics) -> RecycleResult<io::Error> {
        user("recycle");
        once_pending().await;
        user("recycled");
        Ok(())
    }

    fn detach(&self, _: &mut Dropped) {
        user("detach");
    }
}

/// A gate of the user's own, with a count of the calls that hold its permit.
#[derive(Debug)]
struct Gate(Arc<AtomicUsize>);

struct Pass(Arc<AtomicUsize>);

impl Clone for Gate {
    fn clone(&self) -> Gate {
        user("Gate::clone");
        Gate(self.0.clone())
    }
}

impl Drop for Pass {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::SeqCst);
        user("Pass::drop");
    }
}

impl Admit<Request> for Gate {
    type Waiting = Pin<Box<dyn Future<Output = Result<Pass, Rejection>> + Send + Sync>>;
    type Permit = Pass;

    fn admit(&self, _: &Request) -> Self::Waiting {
        user("admit");
        let passed = self.0.clone();
        Box::pin(async move {
            user("admitting");
            passed.fetch_add(1, Ordering::SeqCst);
            Ok(Pass(passed))
        })
    }
}

impl Permit<Answer, Failure> for Pass {
    fn sent(&mut self) {
        user("Pass::sent");
    }

    fn settle(self, _: Result<&Answer, &Failure>) {
        user("Pass::settle");
    }
}

type Boxed = BoxCloneSyncService<Request, Answer, Failure>;

/// A service under one layer, and handles on the layer's state.
#[derive(Default)]
struct Rig {
    service: Option<Boxed>,
    bulkhead: Option<Bulkhead>,
    limiter: Option<RateLimiter>,
    breaker: Option<CircuitBreaker>,
    budget: Option<RetryBudget>,
    token: Option<ShutdownToken>,
    pool: Option<ResilientPool<Numbers>>,
    passed: Arc<AtomicUsize>,
    is_pinned: Option<Box<dyn Fn() -> bool>>,
}

fn bulkhead() -> Bulkhead {
    Bulkhead::builder().max_concurrent(1).wait().listen(listen).build().unwrap()
}

fn limiter() -> RateLimiter {
    let year = Duration::from_secs(365 * 24 * 60 * 60);
    let quota = Quota::per(TOKENS, year);
    let limiter = RateLimiter::builder().quota(quota).wait().min_gap(GAP);
    limiter.listen(listen).build().unwrap()
}

fn breaker() -> CircuitBreaker {
    let breaker = CircuitBreaker::builder().consecutive_failures(9).break_for(BREAK);
    breaker.break_jitter(0.0).probes(1).listen(listen).build().unwrap()
}

fn policy(budget: &RetryBudget) -> RetryPolicy {
    let backoff = Backoff::constant(MS * 10);
    let policy = RetryPolicy::builder().max_attempts(3).backoff(backoff).budget(budget.clone());
    policy.listen(listen).build().unwrap()
}

const PROFILE: &str = r#"
[a]
deadline = "10s"
bulkhead = { max_concurrent = 1, wait_at_most = "5s" }
retry = { max_attempts = 3, backoff = { base = "10ms", cap = "10ms" }, budget = { ratio = "10%", window = "1h", reserve = 20 } }
rate_limit = { count = 10000, period = "1h", burst = 10000, min_gap = "3ms", wait_at_most = "1s" }
circuit_breaker = { consecutive_failures = 9, break_for = "20ms", probes = 1, break_jitter = "0%" }
attempt_timeout = "1s"
"#;

/// The state of the odd requests, and `true` while the state of any key is pinned.
fn of_odd<T: Entry>(store: &Keyed<Shard, T>) -> (T, Box<dyn Fn() -> bool>) {
    let odd = store.get(&Shard::new(1), clock::now());
    let store = store.clone();
    let is_pinned = move || {
        let now = clock::now();
        (0..2).any(|key| store.with(&Shard::new(key), now, |entry| entry.is_pinned(now)))
    };
    (odd, Box::new(is_pinned))
}

const KEYS: fn() -> KeyedLimits = KeyedLimits::default;

impl Rig {
    fn new(name: &str, upstream: Upstream) -> Rig {
        let budget = budget();
        let mut rig = Rig::default();
        let service = match name {
            "timeout" => Boxed::new(
                TimeoutLayer::new(Duration::from_secs(1)).unwrap().listen(listen).layer(upstream),
            ),
            "deadline" => Boxed::new(
                DeadlineLayer::new(Duration::from_secs(10)).unwrap().listen(listen).layer(upstream),
            ),
            "retry" => {
                rig.budget = Some(budget.clone());
                let policy = policy(&budget).with_classifier(User);
                Boxed::new(RetryLayer::new(policy).replayed_by(User).layer(upstream))
            }
            "retry, budgets per key" => {
                let policy = policy(&budget).with_classifier(User);
                let layer = RetryLayer::new(policy).replayed_by(User);
                let layer = layer.budget_per_key(&budget, KEYS(), Shard::of);
                let service = Boxed::new(layer.clone().layer(upstream));
                rig.budget = Some(of_odd(layer.selector().store()).0);
                service
            }
            "breaker" => {
                let breaker = rig.breaker.insert(breaker()).clone();
                Boxed::new(CircuitBreakerLayer::new(breaker).classifier(User).layer(upstream))
            }
            "breaker per key" => {
                let layer = CircuitBreakerLayer::per_key(breaker(), KEYS(), Shard::of);
                let (breaker, is_pinned) = of_odd(layer.selector().store());
                (rig.breaker, rig.is_pinned) = (Some(breaker), Some(is_pinned));
                Boxed::new(layer.classifier(User).layer(upstream))
            }
            "bulkhead" => {
                let bulkhead = rig.bulkhead.insert(bulkhead()).clone();
                Boxed::new(BulkheadLayer::new(bulkhead).weigh(weigh).layer(upstream))
            }
            "bulkhead per key" => {
                let layer = BulkheadLayer::per_key(bulkhead(), KEYS(), Shard::of).weigh(weigh);
                rig.bulkhead = Some(of_odd(layer.selector().store()).0);
                Boxed::new(layer.layer(upstream))
            }
            "rate" => {
                let limiter = rig.limiter.insert(limiter()).clone();
                let layer = RateLimitLayer::new(limiter).classifier(User).weigh(weigh);
                Boxed::new(layer.layer(upstream))
            }
            "rate per key" => {
                let layer = RateLimitLayer::per_key(limiter(), KEYS(), Shard::of);
                rig.limiter = Some(of_odd(layer.selector().store()).0);
                Boxed::new(layer.classifier(User).weigh(weigh).layer(upstream))
            }
            "stack" => {
                let stack = Stack::builder()
                    .classifier(User)
                    .deadline(Duration::from_secs(10))
                    .bulkhead(bulkhead())
                    .retry(policy(&budget))
                    .replayed_by(User)
                    .rate_limit(limiter())
                    .circuit_breaker(breaker())
                    .attempt_timeout(Duration::from_secs(1))
                    .build()
                    .unwrap();
                rig.bulkhead = stack.bulkhead().cloned();
                rig.limiter = stack.rate_limit().cloned();
                rig.breaker = stack.circuit_breaker().cloned();
                rig.budget = Some(budget);
                Boxed::new(stack.layer(upstream))
            }
            "stack per key" => {
                let stack = Stack::builder()
                    .deadline(Duration::from_secs(10))
                    .bulkhead_per_key(bulkhead(), KEYS(), Shard::of)
                    .retry(policy(&budget))
                    .rate_limit_per_key(limiter(), KEYS(), Shard::of)
                    .circuit_breaker_per_key(breaker(), KEYS(), Shard::of)
                    .attempt_timeout(Duration::from_secs(1))
                    .build()
                    .unwrap();
                rig.bulkhead = Some(of_odd(stack.bulkhead_layer().selector().store()).0);
                rig.limiter = Some(of_odd(stack.rate_limit_layer().selector().store()).0);
                rig.breaker = Some(of_odd(stack.circuit_breaker_layer().selector().store()).0);
                rig.budget = Some(budget);
                Boxed::new(stack.layer(upstream))
            }
            PROFILED => {
                let profiles = Profiles::builder().listen(listen).from_toml(PROFILE).unwrap();
                let profile = profiles.profile("a").unwrap();
                rig.bulkhead = profile.bulkhead();
                rig.limiter = profile.rate_limit();
                rig.breaker = profile.circuit_breaker();
                rig.budget = profile.budget();
                let layer = profile.layer_with(User).replayed_by(User).lasting(User);
                Boxed::new(layer.layer(upstream))
            }
            "shutdown" => {
                let token = Shutdown::builder().listen(listen).build().unwrap().token();
                rig.token = Some(token.clone());
                Boxed::new(ShutdownLayer::new(&token).layer(upstream))
            }
            "checkout" => {
                let manager = ResilientManager::builder(Numbers).listen(listen).build();
                let pool = ResilientPool::builder(manager).max_size(1).wait().build().unwrap();
                rig.pool = Some(pool.clone());
                let takes = |(request, _): (Request, Pooled<Numbers>)| request;
                let classify = |result: Result<&Answer, &Failure>| User.classify(result);
                let layer = CheckoutLayer::new(pool).classify(classify);
                Boxed::new(layer.layer(upstream.map_request(takes)))
            }
            ADMISSION => Boxed::new(Admission::new(upstream, Gate(rig.passed.clone()))),
            other => panic!("no layer is called {other}"),
        };
        rig.service = Some(service);
        rig
    }

    /// Asserts that all that was taken is back, and that nothing ambient is left.
    fn assert_at_rest(&self, what: &str) {
        if let Some(bulkhead) = self.bulkhead.as_ref().map(Bulkhead::snapshot) {
            assert_eq!((bulkhead.in_use, bulkhead.queued), (0, 0), "{what}");
        }
        if let Some(limiter) = self.limiter.as_ref().map(RateLimiter::snapshot) {
            assert_eq!(limiter.queued, 0, "{what}");
        }
        if let Some(breaker) = self.breaker.as_ref().map(CircuitBreaker::snapshot) {
            assert_eq!(breaker.probes, 0, "{what}");
        }
        if let Some(token) = &self.token {
            assert_eq!(token.in_flight(), 0, "{what}");
        }
        if let Some(pool) = self.pool.as_ref().map(ResilientPool::snapshot) {
            assert_eq!((pool.in_use, pool.queued, pool.size), (0, 0, pool.idle), "{what}");
        }
        assert_eq!(self.passed.load(Ordering::SeqCst), 0, "{what}");
        assert_eq!(Deadline::current(), None, "{what}");
        assert!(RetryScope::current().is_none() && previous_attempts() == 0, "{what}");
        assert!(ShutdownToken::current().is_none(), "{what}");
    }
}

const PROFILED: &str = "profile, with answers that last";
const ADMISSION: &str = "admission";

/// A task: is polled when it was woken.
#[derive(Debug, Default)]
struct Woken(AtomicBool);

impl Wake for Woken {
    fn wake(self: Arc<Self>) {
        self.0.store(true, Ordering::SeqCst);
    }
}

type Call = Pin<Box<dyn Future<Output = Result<Answer, Failure>>>>;

struct Task {
    woken: Arc<Woken>,
    call: Option<Call>,
    result: Option<Result<(), Option<RejectionKind>>>,
    panicked: bool,
    cancelled: bool,
}

impl Task {
    /// Makes a call, which ends as its answer does: well.
    fn new(service: &Boxed, number: u64) -> Task {
        let woken = Arc::new(Woken(AtomicBool::new(true)));
        let mut task = Task { woken, call: None, result: None, panicked: false, cancelled: false };
        task.run(|task| {
            let mut service = service.clone();
            let cx = &mut Context::from_waker(Waker::noop());
            match service.poll_ready(cx) {
                Poll::Ready(Ok(())) => {
                    task.call = Some(Box::pin(service.call(Request::new(number))))
                }
                other => panic!("{other:?}"),
            }
        });
        task
    }

    fn run(&mut self, body: impl FnOnce(&mut Task)) {
        if let Err(payload) = catch_unwind(AssertUnwindSafe(|| body(self))) {
            rethrow_assertions(payload);
            self.panicked = true;
            // Once is all that it panics.
            drop(self.call.take());
        }
    }

    fn poll(&mut self) {
        while self.woken.0.swap(false, Ordering::SeqCst) {
            self.run(|task| {
                let Some(call) = &mut task.call else { return };
                let waker = Waker::from(task.woken.clone());
                let Poll::Ready(result) = call.as_mut().poll(&mut Context::from_waker(&waker))
                else {
                    return;
                };
                let ended = match result {
                    Ok(answer) => {
                        let (circuit, permit) = answer.rest.into_parts();
                        if let Some(circuit) = circuit {
                            circuit.success();
                        }
                        drop(permit);
                        Ok(())
                    }
                    Err(failure) => Err(failure.rejection.as_ref().map(Rejection::kind)),
                };
                task.result = Some(ended);
                drop(task.call.take());
            });
        }
    }

    fn cancel(&mut self) {
        self.run(|task| {
            task.cancelled = true;
            drop(task.call.take());
        });
    }

    fn is_over(&self) -> bool {
        self.panicked || self.cancelled || self.result.is_some()
    }
}

/// Panics again with a panic that was not asked for.
fn rethrow_assertions(payload: Box<dyn Any + Send>) {
    if payload.downcast_ref::<&'static str>() != Some(&WHERE.get()) {
        resume_unwind(payload);
    }
}

/// Makes two calls of one key, the second of which may wait for the first, while the user's
/// code panics at its run of this number. Drops the first call after this number of steps if it
/// is `cancelled`. Returns `true` if there was a panic.
async fn panics_at(run: usize, name: &str, half_open: bool, cancelled: Option<usize>) -> bool {
    let seen = Arc::<Seen>::default();
    seen.failures.store(usize::from(!half_open), Ordering::SeqCst);
    let mut rig = Rig::new(name, Upstream::new(&seen));
    let service = &rig.service.clone().unwrap();
    if half_open && let Some(breaker) = &rig.breaker {
        breaker.open();
        // Half-open when the first call is admitted, who then tells of it.
        tokio::time::advance(BREAK + MS * 2).await;
    }
    let mut front = rig.bulkhead.as_ref().map(|bulkhead| bulkhead.try_acquire_owned(1).unwrap());
    let gap = rig.limiter.as_ref().map(|limiter| limiter.try_acquire(1).unwrap());

    WHERE.set("");
    LEFT.set(Some(run));
    let mut tasks = [1, 3].map(|number| Task::new(service, number));
    for step in 0..2_000 {
        tasks.iter_mut().for_each(Task::poll);
        if cancelled == Some(step) && !tasks[0].is_over() {
            tasks[0].cancel();
        }
        if step == 1 {
            front = None;
        }
        if step > 1 && tasks.iter().all(Task::is_over) {
            break;
        }
        tokio::time::advance(MS).await;
    }
    drop(front);
    let panicked = LEFT.take().is_none();
    let place = if panicked { WHERE.get() } else { "nothing" };
    let what = &format!("{name}, half-open: {half_open}, {cancelled:?}, panic {run} in {place}");
    for task in &tasks {
        assert!(task.is_over(), "{what}: a call waits for ever");
        let result = task.result.as_ref();
        // A second probe is one too many, and a call without a retry fails as the service does.
        let refused = half_open && name.starts_with("breaker");
        let fails = !half_open && !retries(name);
        assert!(result.is_none_or(|it| it.is_ok() || refused || fails), "{what}: {result:?}");
    }
    assert!(tasks.iter().filter(|task| task.panicked).count() <= usize::from(panicked), "{what}");
    drop((tasks, gap));
    rig.assert_at_rest(what);
    // Nothing is available in a gap.
    tokio::time::advance(GAP).await;
    if let Some(limiter) = rig.limiter.as_ref().map(RateLimiter::snapshot) {
        // Those of the requests that reached the service, and of who was in front.
        assert_eq!(limiter.available, TOKENS - seen.attempts() - 1, "{what}");
    }
    if let Some(budget) = &rig.budget {
        let retries = f64::from(seen.attempts() - seen.requests());
        let deposits = budget.available(clock::now()) + retries - f64::from(RESERVE);
        assert!((-1e-9..0.2 + 1e-9).contains(&deposits), "{what}: {deposits}");
    }

    seen.failures.store(0, Ordering::SeqCst);
    seen.is_fast.store(true, Ordering::SeqCst);
    // The next call passes at once, and closes the circuit.
    tokio::time::advance(BREAK * 3).await;
    let mut next = Task::new(service, 5);
    next.poll();
    assert_eq!(next.result, Some(Ok(())), "{what}");
    if let Some(breaker) = &rig.breaker {
        assert_eq!(breaker.state(), CircuitState::Closed, "{what}");
    }
    drop(next);
    rig.assert_at_rest(what);
    rig.breaker = None;
    let is_pinned = rig.is_pinned.as_ref().is_some_and(|is_pinned| is_pinned());
    assert!(!is_pinned, "{what}");
    panicked
}

fn retries(name: &str) -> bool {
    name.starts_with("retry") || name.starts_with("stack") || name == PROFILED
}

/// Returns all that leaks, and not only the first.
fn at_every_run(half_open: bool, cancelled: Option<usize>) -> Vec<Option<String>> {
    let mut leaks = Vec::new();
    for name in LAYERS.into_iter().chain([PROFILED, ADMISSION]) {
        for run in 0.. {
            let mut runtime = tokio::runtime::Builder::new_current_thread();
            let runtime = runtime.enable_time().start_paused(true).build().unwrap();
            let panics = || runtime.block_on(panics_at(run, name, half_open, cancelled));
            match catch_unwind(AssertUnwindSafe(panics)) {
                Ok(true) => {}
                Ok(false) => {
                    assert!(run > 8, "{name}: only {run} pieces of the user's code ran");
                    break;
                }
                Err(payload) => {
                    LEFT.set(None);
                    leaks.push(payload.downcast_ref::<String>().cloned());
                    if WHERE.get().is_empty() {
                        break;
                    }
                }
            }
        }
    }
    leaks
}

#[test]
fn every_layer_panicked_in_at_every_run_of_the_users_code() {
    assert_eq!(at_every_run(false, None), []);
}

#[test]
fn every_layer_panicked_in_at_every_run_of_the_users_code_in_a_probe() {
    assert_eq!(at_every_run(true, None), []);
}

/// Dropped in its queue, in its backoff, and while the service below works.
#[test]
fn every_layer_panicked_in_at_every_run_of_the_users_code_in_a_call_that_is_dropped() {
    let leaks: Vec<_> = (0..20).flat_map(|it| at_every_run(it % 2 == 1, Some(it / 2))).collect();
    assert_eq!(leaks, []);
}
