//! Another text is put into force while calls are under way.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use parking_lot::Mutex;
use resilience_core::breaker::CircuitState;
use resilience_core::observe::Event;
use resilience_core::profiles::{Profiles, ProfilesErrorKind};
use resilience_core::retry::RetryPolicy;
use resilience_core::{CarriesRejection, RejectionKind, clock};
use tower::util::BoxCloneSyncService;
use tower::{BoxError, ServiceBuilder, ServiceExt as _, service_fn};

const TEXT: &str = r#"
[a]
deadline = "10s"
bulkhead = { max_concurrent = 2 }
retry = { max_attempts = 2, backoff = { base = "10ms", cap = "10ms" }, budget = { ratio = "10%", reserve = 5 } }
rate_limit = { per_minute = 10, burst = 10 }
circuit_breaker = { consecutive_failures = 2, break_for = "1m" }
"#;

fn changed(from: &str, to: &str) -> String {
    assert!(TEXT.contains(from), "{from}");
    TEXT.replace(from, to)
}

fn down() -> BoxError {
    std::io::Error::from(std::io::ErrorKind::ConnectionRefused).into()
}

#[tokio::test(start_paused = true)]
async fn an_open_breaker_stays_open_and_spent_tokens_stay_spent() {
    let profiles = Profiles::from_toml(TEXT).unwrap();
    let a = profiles.profile("a").unwrap();
    let service = ServiceBuilder::new()
        .layer(a.layer())
        .service(service_fn(async |_: u64| Err::<u64, BoxError>(down())));
    service.clone().oneshot(1).await.unwrap_err();
    let before = a.snapshot();
    assert_eq!(before.circuit_breaker.unwrap().state, CircuitState::Open);
    let tokens = before.rate_limit.unwrap().available;
    assert_eq!(tokens, 8);
    let left = before.budget.unwrap();

    let text = changed("break_for = \"1m\"", "break_for = \"2m\"")
        .replace("burst = 10", "burst = 9")
        .replace("max_concurrent = 2", "max_concurrent = 7")
        .replace("budget = \"10%\", reserve = 5", "budget = \"20%\", reserve = 50");
    profiles.reload(&text).unwrap();
    let after = a.snapshot();
    assert_eq!(after.circuit_breaker.unwrap().state, CircuitState::Open);
    assert!(after.rate_limit.unwrap().available <= tokens);
    assert_eq!(after.bulkhead.unwrap().limit, 7);
    assert!(after.budget.unwrap() <= left, "a changed budget is not filled up: {:?}", after.budget);
    let refused = service.oneshot(2).await.unwrap_err();
    assert_eq!(refused.rejection().unwrap().kind(), RejectionKind::CircuitOpen);
}

#[test]
fn a_budget_on_the_same_terms_is_the_same_account() {
    let profiles = Profiles::from_toml(TEXT).unwrap();
    let a = profiles.profile("a").unwrap();
    let _layer = a.layer();
    let budget = a.budget().unwrap();
    profiles.reload(&changed("max_attempts = 2", "max_attempts = 3")).unwrap();
    let class = resilience_core::FailureClass::Transient;
    let _ = budget.withdraw(clock::now(), class).unwrap().sent();
    assert_eq!(a.retry().map(|policy: RetryPolicy| policy.max_attempts()), Some(3));
    assert_eq!(a.budget().unwrap().available(clock::now()), budget.available(clock::now()));
}

#[tokio::test(start_paused = true)]
async fn a_broken_text_changes_nothing_and_has_its_reason() {
    let told = Arc::new(Mutex::new(Vec::new()));
    let heard = told.clone();
    let listener = move |event: &Event<'_>| {
        if let Event::ProfilesReloaded { error, .. } = event {
            heard.lock().push(error.map(str::to_owned));
        }
    };
    let profiles = Profiles::builder().listen(listener).from_toml(TEXT).unwrap();
    let a = profiles.profile("a").unwrap();
    let plan = a.plan();
    let two = format!("{TEXT}\n[b]\ndeadline = \"1s\"\nattempt_timeout = \"2s\"");
    let broken = two.replace("max_attempts = 2", "max_attempts = 3");
    let error = profiles.reload(&broken).unwrap_err();
    assert_eq!((error.profile(), error.field()), (Some("b"), Some("attempt_timeout")));
    assert_eq!(a.plan(), plan);
    assert_eq!(profiles.names(), ["a"]);
    profiles.reload(TEXT).unwrap();
    assert_eq!(*told.lock(), [Some(error.to_string()), None]);
}

#[test]
fn a_profile_in_use_is_not_taken_away() {
    let two = format!("{TEXT}\n[b]\ndeadline = \"1s\"");
    let profiles = Profiles::from_toml(&two).unwrap();
    let layer = profiles.profile("b").unwrap().layer();
    let error = profiles.reload(TEXT).unwrap_err();
    assert_eq!((error.kind(), error.profile()), (ProfilesErrorKind::InUse, Some("b")));
    assert_eq!(profiles.names(), ["a", "b"]);
    drop(layer);
    profiles.reload(TEXT).unwrap();
    assert_eq!(profiles.names(), ["a"]);
    profiles.reload(&two).unwrap();
    assert!(profiles.profile("b").is_ok());
}

#[tokio::test(start_paused = true)]
async fn services_follow_and_calls_under_way_end_under_the_old_text() {
    let profiles = Profiles::from_toml("[a]\ndeadline = \"10s\"").unwrap();
    let never = service_fn(async |_: u64| std::future::pending::<Result<u64, BoxError>>().await);
    let service =
        ServiceBuilder::new().layer(profiles.profile("a").unwrap().layer()).service(never);
    let start = clock::now();
    let mut old = service.clone();
    let mut under_way = Box::pin(old.ready().await.unwrap().call(1));
    assert!(futures_poll(&mut under_way).is_pending());
    // A handle that was ready before the reload.
    let mut readied = service.clone();
    readied.ready().await.unwrap();
    profiles.reload("[a]\ndeadline = \"2s\"\nattempt_timeout = \"1s\"").unwrap();
    let late = readied.call(2).await.unwrap_err();
    assert_eq!(late.rejection().unwrap().kind(), RejectionKind::TimedOut);
    assert_eq!(clock::now() - start, Duration::from_secs(1));
    let late = under_way.await.unwrap_err();
    assert_eq!(late.rejection().unwrap().kind(), RejectionKind::DeadlineExceeded);
    assert_eq!(clock::now() - start, Duration::from_secs(10));
    // Parts come and go.
    profiles.reload("[a]\ndeadline = \"3s\"").unwrap();
    let late = service.oneshot(3).await.unwrap_err();
    assert_eq!(late.to_string(), "a.deadline: deadline exceeded (limit 3 s)");
}

fn futures_poll<F: Future + Unpin>(future: &mut F) -> std::task::Poll<F::Output> {
    let mut context = std::task::Context::from_waker(std::task::Waker::noop());
    std::pin::Pin::new(future).poll(&mut context)
}

#[tokio::test(start_paused = true)]
async fn a_raised_limit_serves_waiting_calls() {
    let text = |permits: u32| {
        format!(
            "[a]\ndeadline = \"1m\"\nbulkhead = {{ max_concurrent = {permits}, wait_at_most = \"30s\" }}"
        )
    };
    let profiles = Profiles::from_toml(&text(1)).unwrap();
    let slow = service_fn(async |n: u64| {
        tokio::time::sleep(Duration::from_secs(20)).await;
        Ok::<u64, BoxError>(n)
    });
    let service = ServiceBuilder::new().layer(profiles.profile("a").unwrap().layer()).service(slow);
    let start = clock::now();
    let first = tokio::spawn(service.clone().oneshot(1));
    let second = tokio::spawn(service.clone().oneshot(2));
    tokio::time::sleep(Duration::from_secs(1)).await;
    profiles.reload(&text(2)).unwrap();
    second.await.unwrap().unwrap();
    first.await.unwrap().unwrap();
    assert_eq!(clock::now() - start, Duration::from_secs(21));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn calls_under_a_thousand_reloads_never_fail() {
    let text = |n: usize| {
        let rate = if n.is_multiple_of(3) { "" } else { "rate_limit = { per_second = 1000000 }" };
        let breaker =
            if n.is_multiple_of(2) { "" } else { "circuit_breaker = { consecutive_failures = 5 }" };
        format!(
            "[a]\ndeadline = \"{}s\"\nattempt_timeout = \"30s\"\n\
             bulkhead = {{ max_concurrent = {}, wait_at_most = \"20s\" }}\n\
             retry = {{ max_attempts = 2, backoff = {{ base = \"1s\", cap = \"1s\" }} }}\n{rate}\n{breaker}",
            60 + n % 7,
            100 + n % 5
        )
    };
    let profiles = Profiles::from_toml(&text(0)).unwrap();
    let a = profiles.profile("a").unwrap();
    let service = ServiceBuilder::new().layer(a.layer()).service(service_fn(async |n: u64| {
        tokio::task::yield_now().await;
        Ok::<u64, BoxError>(n)
    }));
    let service = BoxCloneSyncService::new(service);
    let (over, calls) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicUsize::new(0)));
    let callers: Vec<_> = (0..4)
        .map(|_| {
            let (service, over, calls) = (service.clone(), over.clone(), calls.clone());
            tokio::spawn(async move {
                while !over.load(Ordering::Relaxed) {
                    service.clone().oneshot(1).await.unwrap();
                    calls.fetch_add(1, Ordering::Relaxed);
                }
            })
        })
        .collect();
    for n in 1..=1_000 {
        profiles.reload(&text(n)).unwrap();
        tokio::task::yield_now().await;
    }
    over.store(true, Ordering::Relaxed);
    for caller in callers {
        caller.await.unwrap();
    }
    assert!(calls.load(Ordering::Relaxed) > 0);
    assert_eq!(a.snapshot().bulkhead.unwrap().in_use, 0);
}

/// A clone of the user's value may panic while a new text is put into force: the next call
/// tries again.
#[tokio::test(start_paused = true)]
async fn a_panic_in_a_clone_keeps_no_service_at_the_former_text() {
    struct Clones(Arc<AtomicBool>);
    impl Clone for Clones {
        fn clone(&self) -> Clones {
            assert!(!self.0.swap(false, Ordering::SeqCst), "on purpose");
            Clones(self.0.clone())
        }
    }
    impl resilience_core::Classify<u64, BoxError> for Clones {
        fn classify(&self, _: Result<&u64, &BoxError>) -> resilience_core::Outcome {
            resilience_core::Outcome::Success
        }
    }

    let profiles = Profiles::from_toml(TEXT).unwrap();
    let bomb = Arc::<AtomicBool>::default();
    let layer = profiles.profile("a").unwrap().layer_with(Clones(bomb.clone()));
    let late = service_fn(async |n: u64| {
        tokio::time::sleep(Duration::from_secs(5)).await;
        Ok::<_, BoxError>(n)
    });
    let mut service = ServiceBuilder::new().layer(layer).service(late);
    profiles.reload(&changed("deadline = \"10s\"", "deadline = \"1s\"")).unwrap();
    bomb.store(true, Ordering::SeqCst);
    let call = std::panic::AssertUnwindSafe(|| drop(tower::Service::call(&mut service, 1)));
    assert!(std::panic::catch_unwind(call).is_err());
    let error = tower::Service::call(&mut service, 2).await.unwrap_err();
    assert_eq!(error.rejection().map(|it| it.kind()), Some(RejectionKind::DeadlineExceeded));
}
