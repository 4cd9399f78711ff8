//! The bound on attempts holds for services that fail to become ready, and for layers that reject
//! on the way.

use std::collections::HashMap;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use parking_lot::Mutex;
use proptest::prelude::*;
use rand::rngs::SmallRng;
use rand::{RngExt, SeedableRng};
use resilience_core::Outcome;
use resilience_core::breaker::CircuitBreaker;
use resilience_core::bulkhead::Bulkhead;
use resilience_core::rate::{Quota, RateLimiter};
use resilience_core::retry::{Backoff, RetryBudget, RetryPolicy, RetryPolicyBuilder};
use resilience_core::stack::Stack;
use tokio::time::Sleep;
use tower::util::BoxCloneSyncService;
use tower::{BoxError, Service, ServiceBuilder, ServiceExt as _};

const MS: Duration = Duration::from_millis(1);

/// Rates of a service in thousandths: failures and hangs of `poll_ready`, and of calls.
#[derive(Debug, Clone, Copy)]
struct Manners {
    ready_fails: u32,
    ready_waits: u32,
    call_fails: u32,
    call_hangs: u32,
}

impl Manners {
    const DEAD: Manners =
        Manners { ready_fails: 0, ready_waits: 0, call_fails: 1_000, call_hangs: 0 };
}

/// A service of bad manners. Every failed `poll_ready` and every call is a contact with the server
/// behind it.
struct Server {
    manners: Manners,
    shared: Arc<Mutex<Shared>>,
    waits: Option<Pin<Box<Sleep>>>,
}

struct Shared {
    dice: SmallRng,
    contacts: u64,
}

impl Server {
    fn new(manners: Manners, seed: u64) -> Server {
        let shared = Shared { dice: SmallRng::seed_from_u64(seed), contacts: 0 };
        Server { manners, shared: Arc::new(Mutex::new(shared)), waits: None }
    }

    fn contacts(&self) -> u64 {
        self.shared.lock().contacts
    }

    fn happens(&self, thousandths: u32) -> bool {
        self.shared.lock().dice.random_range(0..1_000) < thousandths
    }
}

impl Clone for Server {
    fn clone(&self) -> Server {
        Server { manners: self.manners, shared: self.shared.clone(), waits: None }
    }
}

impl Service<u64> for Server {
    type Response = ();
    type Error = BoxError;
    type Future = Pin<Box<dyn Future<Output = Result<(), BoxError>> + Send>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        if self.waits.is_none() && self.happens(self.manners.ready_waits) {
            let wait = self.shared.lock().dice.random_range(1..300);
            self.waits = Some(Box::pin(tokio::time::sleep(MS * wait)));
        }
        if let Some(wait) = &mut self.waits {
            std::task::ready!(wait.as_mut().poll(cx));
            self.waits = None;
        }
        if self.happens(self.manners.ready_fails) {
            self.shared.lock().contacts += 1;
            return Poll::Ready(Err("no connection".into()));
        }
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, _: u64) -> Self::Future {
        self.shared.lock().contacts += 1;
        let (fails, hangs) =
            (self.happens(self.manners.call_fails), self.happens(self.manners.call_hangs));
        Box::pin(async move {
            if hangs {
                std::future::pending::<()>().await;
            }
            tokio::time::sleep(MS).await;
            if fails { Err("down".into()) } else { Ok(()) }
        })
    }
}

fn tokens(reserve: u32) -> RetryBudget {
    RetryBudget::builder().ratio(0.0).reserve(reserve).build().unwrap()
}

fn persistent(budget: RetryBudget) -> RetryPolicyBuilder {
    let policy = RetryPolicy::builder().max_attempts(100).budget(budget).unlimited_elapsed();
    policy.backoff(Backoff::constant(MS)).wait_when_not_ready()
}

async fn ten_calls(service: impl Service<u64, Response = (), Error = BoxError> + Clone) {
    for call in 0..10 {
        let _ended = service.clone().oneshot(call).await;
    }
}

/// Before, each refund paid for the next attempt: 1,000 connections.
#[tokio::test(start_paused = true)]
async fn a_service_that_fails_to_become_ready() {
    let server = Server::new(Manners { ready_fails: 1_000, ..Manners::DEAD }, 1);
    let stack = Stack::builder().retry(persistent(tokens(2))).build().unwrap();
    ten_calls(ServiceBuilder::new().layer(stack).service(server.clone())).await;
    println!("contacts with the server: {}", server.contacts());
    assert_eq!(server.contacts(), 12);
}

/// Before, an attempt after a wait for the circuit was free: 500 calls.
#[tokio::test(start_paused = true)]
async fn a_circuit_that_opens_on_the_way() {
    let server = Server::new(Manners::DEAD, 1);
    let circuit = CircuitBreaker::builder().consecutive_failures(1).break_for(MS * 50).probes(1);
    let stack = Stack::builder().retry(persistent(tokens(2))).circuit_breaker(circuit);
    ten_calls(ServiceBuilder::new().layer(stack.build().unwrap()).service(server.clone())).await;
    println!("contacts with the server: {}", server.contacts());
    assert!(server.contacts() <= 12, "{}", server.contacts());
}

#[tokio::test(start_paused = true)]
async fn a_rate_limit_that_rejects_on_the_way() {
    let server = Server::new(Manners::DEAD, 1);
    let rate = RateLimiter::builder().quota(Quota::per_second(5)).reject();
    let stack = Stack::builder().retry(persistent(tokens(2))).rate_limit(rate);
    ten_calls(ServiceBuilder::new().layer(stack.build().unwrap()).service(server.clone())).await;
    println!("contacts with the server: {}", server.contacts());
    assert!(server.contacts() <= 12, "{}", server.contacts());
}

#[derive(Debug, Clone, Copy)]
struct Parts {
    bulkhead: bool,
    rate: Option<bool>,
    circuit: bool,
    attempt_timeout: bool,
    wait_when_not_ready: bool,
    layered: bool,
}

fn parts() -> impl Strategy<Value = Parts> {
    let rate = prop_oneof![Just(None), Just(Some(true)), Just(Some(false))];
    (any::<bool>(), rate, any::<bool>(), any::<bool>(), any::<bool>(), any::<bool>()).prop_map(
        |(bulkhead, rate, circuit, attempt_timeout, wait_when_not_ready, layered)| Parts {
            bulkhead,
            rate,
            circuit,
            attempt_timeout,
            wait_when_not_ready,
            layered,
        },
    )
}

fn manners() -> impl Strategy<Value = Manners> {
    let often = || prop_oneof![Just(0_u32), 0_u32..=1_000, Just(1_000)];
    (often(), often(), often(), often()).prop_map(
        |(ready_fails, ready_waits, call_fails, call_hangs)| Manners {
            ready_fails,
            ready_waits,
            call_fails,
            call_hangs: call_hangs / 4,
        },
    )
}

type Boxed = BoxCloneSyncService<u64, (), BoxError>;

/// The stack with such parts, or the same layers one around the other.
fn service(parts: Parts, budget: RetryBudget, server: Server) -> Boxed {
    let circuit = || CircuitBreaker::builder().consecutive_failures(2).break_for(MS * 20).probes(1);
    let rate = |waits: bool| {
        let rate = RateLimiter::builder().quota(Quota::per_second(50));
        if waits { rate.wait_at_most(MS * 200) } else { rate.reject() }
    };
    let retry = RetryPolicy::builder()
        .max_attempts(20)
        .budget(budget)
        .unlimited_elapsed()
        .backoff(Backoff::constant(MS));
    let retry = if parts.wait_when_not_ready { retry.wait_when_not_ready() } else { retry };
    let mut service = Boxed::new(server);
    if parts.layered {
        if parts.attempt_timeout {
            let stack = Stack::builder().attempt_timeout(MS * 100).build().unwrap();
            service = Boxed::new(ServiceBuilder::new().layer(stack).service(service));
        }
        if parts.circuit {
            let stack = Stack::builder().circuit_breaker(circuit()).build().unwrap();
            service = Boxed::new(ServiceBuilder::new().layer(stack).service(service));
        }
        if let Some(waits) = parts.rate {
            let stack = Stack::builder().rate_limit(rate(waits)).build().unwrap();
            service = Boxed::new(ServiceBuilder::new().layer(stack).service(service));
        }
        let stack = Stack::builder().retry(retry).build().unwrap();
        return Boxed::new(ServiceBuilder::new().layer(stack).service(service));
    }
    let bulkhead = Bulkhead::builder().max_concurrent(if parts.bulkhead { 2 } else { 1_000 });
    let quota = if parts.rate.is_some() { 50 } else { 1_000_000 };
    let rate = RateLimiter::builder().quota(Quota::per_second(quota));
    let rate = if parts.rate == Some(false) { rate.reject() } else { rate.wait_at_most(MS * 200) };
    let failures = if parts.circuit { 2 } else { 65_535 };
    let circuit = circuit().consecutive_failures(failures);
    let timeout = if parts.attempt_timeout { MS * 100 } else { MS * 50_000 };
    let stack = Stack::builder()
        .bulkhead(bulkhead.wait_at_most(MS * 100))
        .retry(retry)
        .rate_limit(rate)
        .circuit_breaker(circuit)
        .attempt_timeout(timeout)
        .build()
        .unwrap();
    Boxed::new(ServiceBuilder::new().layer(stack).service(service))
}

/// Calls one after the other and side by side, some of them dropped on the way.
async fn crowd(service: Boxed, server: &Server, tokens: u64, seed: u64) {
    let mut dice = SmallRng::seed_from_u64(seed);
    let mut running = HashMap::new();
    let mut started = 0;
    for call in 0..40_u64 {
        started += 1;
        running.insert(call, tokio::spawn(service.clone().oneshot(call)));
        tokio::time::sleep(MS * dice.random_range(0..30)).await;
        if dice.random_range(0..4) == 0 {
            let victim = dice.random_range(0..=call);
            if let Some(call) = running.remove(&victim) {
                call.abort();
            }
        }
        let contacts = server.contacts();
        assert!(
            contacts <= started + tokens,
            "{contacts} contacts, {started} calls, {tokens} tokens"
        );
    }
    for (_, call) in running {
        let _ended = tokio::time::timeout(Duration::from_secs(600), call).await;
    }
    let contacts = server.contacts();
    assert!(contacts <= started + tokens, "{contacts} contacts, {started} calls, {tokens} tokens");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    /// Whatever stands in the stack or around it, and however the service behaves.
    #[test]
    fn no_stack_contacts_a_server_more_often_than_its_budget_allows(
        parts in parts(),
        manners in manners(),
        reserve in 1_u32..6,
        seed: u64,
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_time()
            .start_paused(true)
            .build()
            .unwrap();
        runtime.block_on(async {
            let server = Server::new(manners, seed);
            let service = service(parts, tokens(reserve), server.clone());
            crowd(service, &server, reserve.into(), seed).await;
        });
    }
}

/// A server that answers "not ready yet" has answered: waiting for it is not a retry of a failure,
/// and costs an attempt of the call only.
#[tokio::test(start_paused = true)]
async fn a_result_that_is_not_ready_costs_no_budget() {
    let not_yet = |_: Result<&(), &BoxError>| Outcome::not_ready(MS);
    let server = Server::new(Manners { call_fails: 0, ..Manners::DEAD }, 1);
    let stack = Stack::builder().classify(not_yet).retry(persistent(tokens(1)).max_attempts(5));
    let service = ServiceBuilder::new().layer(stack.build().unwrap()).service(server.clone());
    service.oneshot(1).await.unwrap();
    assert_eq!(server.contacts(), 5);
}

/// A stack around a stack: what the inner one rejects after it has called the service is a repeat
/// to the outer one, and is paid for. Before, 991 contacts.
#[tokio::test(start_paused = true)]
async fn a_stack_around_a_stack() {
    let circuit = || CircuitBreaker::builder().consecutive_failures(1).break_for(MS * 50).probes(1);
    let rate = || RateLimiter::builder().quota(Quota::per_second(5)).reject();
    let inner_retry = |budget| {
        RetryPolicy::builder()
            .max_attempts(3)
            .budget(budget)
            .unlimited_elapsed()
            .backoff(Backoff::constant(MS))
    };
    for shared in [true, false] {
        for limited in [true, false] {
            let (outer, server) = (tokens(2), Server::new(Manners::DEAD, 1));
            let inner = if shared { outer.clone() } else { tokens(2) };
            let stack = Stack::builder().retry(inner_retry(inner));
            let service = if limited {
                let stack = stack.rate_limit(rate()).build().unwrap();
                Boxed::new(ServiceBuilder::new().layer(stack).service(server.clone()))
            } else {
                let stack = stack.circuit_breaker(circuit()).build().unwrap();
                Boxed::new(ServiceBuilder::new().layer(stack).service(server.clone()))
            };
            let stack = Stack::builder().retry(persistent(outer)).build().unwrap();
            ten_calls(ServiceBuilder::new().layer(stack).service(service)).await;
            let most = if shared { 12 } else { 14 };
            println!("contacts with the server: {} of {most}", server.contacts());
            assert!(server.contacts() <= most, "{} {shared} {limited}", server.contacts());
        }
    }
}

/// A rejection that the service itself returns as it fails to become ready is a contact like any
/// other error.
#[tokio::test(start_paused = true)]
async fn a_service_that_rejects_as_it_becomes_ready() {
    let server = Server::new(Manners { ready_fails: 1_000, ..Manners::DEAD }, 1);
    let service = Rejects(server.clone());
    let stack = Stack::builder().retry(persistent(tokens(2))).build().unwrap();
    ten_calls(ServiceBuilder::new().layer(stack).service(service)).await;
    println!("contacts with the server: {}", server.contacts());
    assert!(server.contacts() <= 12, "{}", server.contacts());
}

#[derive(Clone)]
struct Rejects(Server);

impl Service<u64> for Rejects {
    type Response = ();
    type Error = BoxError;
    type Future = <Server as Service<u64>>::Future;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        self.0.poll_ready(cx).map_err(|_| {
            let shed =
                resilience_core::Rejection::new(resilience_core::RejectionKind::Shed, "mine");
            shed.with_retry_after(MS).into()
        })
    }

    fn call(&mut self, request: u64) -> Self::Future {
        self.0.call(request)
    }
}

/// A call that hangs until a deadline below, and a process that shuts down, are no answer that the
/// other side is up: their retries are not given back.
#[tokio::test(start_paused = true)]
async fn a_deadline_below_gives_no_price_back() {
    let server = Server::new(Manners { call_hangs: 500, ..Manners::DEAD }, 7);
    let budget = RetryBudget::aws_2_0().with_capacity(20).unwrap();
    let inner = Stack::builder().deadline(MS * 10).build().unwrap();
    let retry = RetryPolicy::builder().max_attempts(3).budget(budget.clone());
    let outer = Stack::builder().retry(retry.backoff(Backoff::constant(MS))).build().unwrap();
    let service = ServiceBuilder::new().layer(outer).layer(inner).service(server.clone());
    for call in 0..100 {
        let _ended = service.clone().oneshot(call).await;
    }
    println!("contacts with the server: {}", server.contacts());
    assert!(server.contacts() <= 104, "{}", server.contacts());
}
