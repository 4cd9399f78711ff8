//! Events: each decision is reported with the name of its policy.

use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use resilience_core::AnyError;
use resilience_core::observe::Event;
use resilience_core::retry::{Backoff, RetryLayer, RetryPolicy, retry};
use resilience_core::testing::{Reply, Script};
use resilience_core::timeout::{DeadlineLayer, TimeoutLayer};
use tower::{BoxError, ServiceBuilder};

#[derive(Clone, Default)]
struct Notes(Arc<Mutex<Vec<String>>>);

impl Notes {
    fn listener(&self) -> impl Fn(&Event<'_>) + Send + Sync + 'static {
        let notes = self.clone();
        move |event| {
            let note = match event {
                Event::RetryScheduled { layer, attempts, .. } => {
                    format!("{layer} {attempts} again")
                }
                Event::RetryStopped { layer, attempts, reason, .. } => {
                    format!("{layer} {attempts} stop: {reason}")
                }
                Event::RetrySucceeded { layer, attempts, .. } => format!("{layer} {attempts} ok"),
                Event::Rejected(rejection) => rejection.to_string(),
                other => format!("{other:?}"),
            };
            notes.0.lock().push(note);
        }
    }

    fn take(&self) -> Vec<String> {
        std::mem::take(&mut self.0.lock())
    }
}

#[tokio::test(start_paused = true)]
async fn each_decision_is_reported_once() {
    let notes = Notes::default();
    let policy = RetryPolicy::builder()
        .name("odds")
        .backoff(Backoff::constant(Duration::from_secs(1)))
        .listen(notes.listener())
        .classifier(AnyError)
        .build()
        .unwrap();
    let fails = |times: u32| {
        let mut left = times + 1;
        move || {
            left -= 1;
            std::future::ready(if left > 0 { Err("down") } else { Ok(()) })
        }
    };
    retry(&policy, fails(0)).await.unwrap();
    assert_eq!(notes.take(), Vec::<String>::new());
    retry(&policy, fails(1)).await.unwrap();
    assert_eq!(notes.take(), ["odds 1 again", "odds 2 ok"]);
    retry(&policy, fails(9)).await.unwrap_err();
    assert_eq!(notes.take(), ["odds 1 again", "odds 2 again", "odds 3 stop: no attempts left"]);
}

#[tokio::test(start_paused = true)]
async fn rejections_and_requests_that_cannot_be_sent_twice_are_reported() {
    let notes = Notes::default();
    let policy =
        RetryPolicy::builder().listen(notes.listener()).classifier(AnyError).build().unwrap();
    let service = ServiceBuilder::new()
        .layer(DeadlineLayer::new(Duration::from_secs(9)).unwrap().listen(notes.listener()))
        .layer(RetryLayer::new(policy).replay(|_: &String| None))
        .layer(
            TimeoutLayer::new(Duration::from_secs(1))
                .unwrap()
                .name("odds")
                .listen(notes.listener()),
        )
        .service(Script::new(|_, _: String| Reply::<(), BoxError>::never()));
    service.oneshot("a stream".into()).await.unwrap_err();
    assert_eq!(
        notes.take(),
        ["odds: timed out (limit 1 s)", "retry 1 stop: the request cannot be sent twice"]
    );
}

/// A stop is reported once, whatever its reason, and no retry is reported that does not follow.
#[tokio::test(start_paused = true)]
async fn why_a_request_without_a_copy_is_not_sent_again() {
    use resilience_core::{Outcome, RetryHint};
    let second = Duration::from_secs(1);
    for (outcome, said) in [
        (Outcome::transient(), "retry 1 stop: the request cannot be sent twice"),
        (Outcome::not_ready(second), "retry 1 stop: not ready yet"),
        (Outcome::Transient(RetryHint::Never), "retry 1 stop: the server forbids a retry"),
        (Outcome::Permanent, "retry 1 stop: the failure is permanent"),
    ] {
        let notes = Notes::default();
        let policy = RetryPolicy::builder()
            .listen(notes.listener())
            .wait_when_not_ready()
            .classify(move |_: Result<&(), &BoxError>| outcome)
            .build()
            .unwrap();
        let service = ServiceBuilder::new()
            .layer(RetryLayer::new(policy).replay(|(): &()| None))
            .service(Script::new(|_, ()| Reply::ok(())));
        service.oneshot(()).await.unwrap();
        assert_eq!(notes.take(), [said]);
    }
}

/// An open circuit below is not retried, though the classifier calls every error transient.
#[tokio::test(start_paused = true)]
async fn a_rejection_from_below_is_not_a_failure() {
    use resilience_core::{Rejection, RejectionKind};
    let notes = Notes::default();
    let policy =
        RetryPolicy::builder().listen(notes.listener()).classifier(AnyError).build().unwrap();
    let now = resilience_core::clock::now();
    let before = policy.budget().unwrap().available(now);
    let open = Script::new(|_, ()| {
        let rejection = Rejection::new(RejectionKind::CircuitOpen, "breaker");
        Reply::<(), BoxError>::err(rejection.with_retry_after(Duration::from_secs(5)).into())
    });
    let service =
        ServiceBuilder::new().layer(RetryLayer::new(policy.clone())).service(open.clone());
    service.oneshot(()).await.unwrap_err();
    assert_eq!(open.arrivals().len(), 1);
    assert_eq!(notes.take(), ["retry 1 stop: not ready yet"]);
    let after = policy.budget().unwrap().available(now);
    assert!((after - before - 0.1).abs() < 1e-9, "a refusal costs no budget");
}
