//! Retries inside of something that is under way.

use std::io;
use std::sync::{Arc, mpsc};
use std::time::Duration;

use parking_lot::Mutex;
use resilience_core::clock;
use resilience_core::observe::{Event, Listen};
use resilience_core::retry::{
    Backoff, RetryBudget, RetryLayer, RetryPolicy, StopReason, retry, retry_blocking,
};
use resilience_core::shutdown::{Shutdown, ShutdownLayer};
use resilience_core::stack::Stack;
use resilience_core::testing::{ProbeLog, Reply, Script, ServiceProbe};
use tokio_test::task::spawn;
use tokio_test::{assert_pending, assert_ready};
use tower::util::BoxCloneSyncService;
use tower::{BoxError, ServiceBuilder};

use crate::{MS, SECOND, shutdown, work};

pub(crate) fn reset() -> io::Error {
    io::Error::from(io::ErrorKind::ConnectionReset)
}

type Reasons = Arc<Mutex<Vec<StopReason>>>;

fn listener(reasons: &Reasons) -> impl Listen + use<> {
    let reasons = reasons.clone();
    move |event: &Event<'_>| {
        if let Event::RetryStopped { reason, .. } = event {
            reasons.lock().push(*reason);
        }
    }
}

fn budget() -> RetryBudget {
    RetryBudget::builder().ratio(0.0).reserve(10).window(SECOND * 3_600).build().unwrap()
}

fn policy(budget: &RetryBudget, reasons: &Reasons, delay: Duration) -> RetryPolicy {
    told(budget, delay, listener(reasons))
}

fn told(budget: &RetryBudget, delay: Duration, listener: impl Listen) -> RetryPolicy {
    RetryPolicy::builder()
        .max_attempts(5)
        .backoff(Backoff::constant(delay))
        .unlimited_elapsed()
        .budget(budget.clone())
        .listen(listener)
        .build()
        .unwrap()
}

const WAYS: [&str; 3] = ["function", "layer", "stack"];

/// A call that fails after `takes`, in one of the ways to retry it.
fn failing(
    way: &str,
    policy: RetryPolicy,
    shutdown: &Shutdown,
    takes: Duration,
) -> (BoxCloneSyncService<u64, u64, BoxError>, ProbeLog) {
    let script =
        Script::new(move |_, _: u64| Reply::<u64, BoxError>::err(reset().into()).after(takes));
    let (probe, log) = ServiceProbe::new(script);
    let layer = ServiceBuilder::new().layer(ShutdownLayer::new(&shutdown.token()));
    let service = match way {
        "layer" => BoxCloneSyncService::new(layer.layer(RetryLayer::new(policy)).service(probe)),
        "stack" => {
            let stack = Stack::builder().deadline(SECOND * 3_600).retry(policy);
            BoxCloneSyncService::new(layer.layer(stack.build().unwrap()).service(probe))
        }
        _ => {
            BoxCloneSyncService::new(layer.service_fn(move |request| {
                let (policy, probe) = (policy.clone(), probe.clone());
                async move {
                    retry(&policy, || tower::ServiceExt::oneshot(probe.clone(), request)).await
                }
            }))
        }
    };
    (service, log)
}

/// A call in its backoff returns promptly, with its last result and with the retry not paid for.
#[tokio::test(start_paused = true)]
async fn a_backoff_ends_when_draining_begins() {
    for way in WAYS {
        let (shutdown, budget, reasons) = (shutdown(), budget(), Reasons::default());
        let token = shutdown.token();
        let policy = policy(&budget, &reasons, SECOND * 100);
        let (service, log) = failing(way, policy, &shutdown, MS);
        let call = tokio::spawn(tower::ServiceExt::oneshot(service, 1));
        tokio::time::sleep(MS * 10).await;
        assert_eq!(budget.available(clock::now()), 9.0, "{way}: granted");
        let began = clock::now();
        token.begin("test");
        let report = shutdown.run().await;
        let error = call.await.unwrap().unwrap_err();
        assert_eq!(error.downcast_ref::<io::Error>().unwrap().kind(), reset().kind(), "{way}");
        assert_eq!(clock::now() - began, SECOND * 2, "{way}: the grace, and no longer");
        assert_eq!(log.calls(), 1, "{way}");
        assert_eq!(budget.available(clock::now()), 10.0, "{way}: given back");
        assert_eq!(*reasons.lock(), [StopReason::ShuttingDown], "{way}");
        assert_eq!(work(&report, "calls"), (1, 1, 0, 0), "{way}");
    }
}

/// An attempt under way goes on, and is the last.
#[tokio::test(start_paused = true)]
async fn no_attempt_is_begun_after_draining_has() {
    for way in WAYS {
        let (shutdown, budget, reasons) = (shutdown(), budget(), Reasons::default());
        let token = shutdown.token();
        let policy = policy(&budget, &reasons, MS);
        let (service, log) = failing(way, policy, &shutdown, SECOND * 5);
        let call = tokio::spawn(tower::ServiceExt::oneshot(service, 1));
        tokio::time::sleep(MS).await;
        token.begin("test");
        let report = shutdown.run().await;
        assert!(call.await.unwrap().is_err());
        assert_eq!((log.calls(), report.took()), (1, SECOND * 5 - MS), "{way}");
        assert_eq!(*reasons.lock(), [StopReason::ShuttingDown], "{way}");
        assert_eq!(budget.available(clock::now()), 10.0, "{way}");
    }
}

/// Retries go on during the grace, in which the process still serves.
#[tokio::test(start_paused = true)]
async fn during_the_grace_all_goes_on() {
    for way in WAYS {
        let (shutdown, budget, reasons) = (shutdown(), budget(), Reasons::default());
        let token = shutdown.token();
        let policy = policy(&budget, &reasons, MS * 100);
        let (service, log) = failing(way, policy, &shutdown, MS);
        token.begin("test");
        let call = tokio::spawn(tower::ServiceExt::oneshot(service, 1));
        shutdown.run().await;
        assert!(call.await.unwrap().is_err());
        assert_eq!(log.calls(), 5, "{way}");
        assert_eq!(*reasons.lock(), [StopReason::AttemptsExhausted], "{way}");
    }
}

/// The reason is the shutdown only where there would have been another attempt.
#[tokio::test(start_paused = true)]
async fn a_failure_that_is_not_retried_has_its_reason() {
    let reasons = Reasons::default();
    let shutdown = shutdown();
    let token = shutdown.token();
    let draining = token.draining();
    let policy = policy(&budget(), &reasons, MS);
    let call = tokio::spawn(token.run("call", async move {
        draining.await;
        retry(&policy, || async { Err::<(), _>(io::Error::from(io::ErrorKind::NotFound)) }).await
    }));
    tokio::task::yield_now().await;
    token.begin("test");
    shutdown.run().await;
    assert!(call.await.unwrap().unwrap().is_err());
    assert_eq!(*reasons.lock(), [StopReason::NotRetryable]);
}

/// Inside of a future that polls only woken futures, a backoff ends by its own waker.
#[tokio::test(start_paused = true)]
async fn a_backoff_is_woken_itself() {
    let (shutdown, reasons) = (shutdown(), Reasons::default());
    let token = shutdown.token();
    let policy = policy(&budget(), &reasons, SECOND * 100);
    let call = tokio::spawn(token.run("call", async move {
        let mut picky = spawn(retry(&policy, || async { Err::<(), _>(reset()) }));
        assert_pending!(picky.poll());
        loop {
            tokio::time::sleep(MS * 100).await;
            if picky.is_woken() {
                return assert_ready!(picky.poll());
            }
        }
    }));
    tokio::task::yield_now().await;
    token.begin("test");
    let report = shutdown.run().await;
    assert!(call.await.unwrap().unwrap().is_err());
    assert!(report.took() <= SECOND * 2 + MS * 100, "{report}");
}

/// A thread in a backoff is woken as well.
#[test]
fn a_thread_in_its_backoff_returns_at_once() {
    // Often: it is told before it sleeps, while it does, or while it falls asleep.
    for before in (0..200).map(|round| round < 10) {
        let (budget, reasons) = (budget(), Reasons::default());
        let shutdown = Shutdown::builder().grace(Duration::ZERO).build().unwrap();
        let token = shutdown.token();
        let (waits, waiting) = mpsc::channel();
        let stop = token.clone();
        let waits = move |event: &Event<'_>| {
            if let Event::RetryScheduled { .. } = event {
                if before {
                    stop.begin("before it sleeps");
                }
                waits.send(()).unwrap();
            }
        };
        let rules = told(&budget, SECOND * 60, listener(&reasons).and(waits));
        let (ends, ended) = mpsc::channel();
        let calls = token.clone();
        std::thread::spawn(move || {
            let mut attempts = 0;
            let job = calls.run("job", async {
                retry_blocking(&rules, || {
                    attempts += 1;
                    Err::<(), _>(reset())
                })
            });
            let result = assert_ready!(spawn(job).poll());
            ends.send((result.unwrap().unwrap_err().kind(), attempts)).unwrap();
        });
        waiting.recv_timeout(SECOND * 30).unwrap();
        if !before {
            token.begin("while it sleeps");
        }
        let (kind, attempts) = ended.recv_timeout(SECOND * 30).expect("it sleeps on");
        assert_eq!((kind, attempts), (reset().kind(), 1));
        assert_eq!(budget.available(clock::now()), 10.0, "given back");
        assert_eq!(*reasons.lock(), [StopReason::ShuttingDown]);
    }
}

/// Without a token the thread sleeps for the whole backoff.
#[test]
fn a_thread_sleeps_as_long_as_it_should() {
    let (budget, reasons) = (budget(), Reasons::default());
    let rules = policy(&budget, &reasons, MS * 5);
    let token = Shutdown::builder().build().unwrap().token();
    let job = token.run("job", async { retry_blocking(&rules, || Err::<(), _>(reset())) });
    let began = clock::now();
    assert_ready!(spawn(job).poll()).unwrap().unwrap_err();
    assert!(clock::now() - began >= MS * 20, "{:?}", clock::now() - began);
    assert_eq!(*reasons.lock(), [StopReason::AttemptsExhausted]);
}
