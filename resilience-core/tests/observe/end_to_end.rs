//! Real layers, both listeners.

use std::time::Duration;

use metrics::set_default_local_recorder;
use resilience_core::AnyError;
use resilience_core::observe::{Event, Listen, Metrics, Tracing};
use resilience_core::retry::{Backoff, RetryBudget, RetryLayer, RetryPolicy, retry};
use resilience_core::testing::{Reply, Script};
use resilience_core::timeout::TimeoutLayer;
use tower::{BoxError, ServiceBuilder};
use tracing::Level;

use crate::recorder::Notebook;
use crate::subscriber::Log;

const SECOND: Duration = Duration::from_secs(1);

/// Three calls: one works, one works at the third attempt, one hangs until it is given up.
#[tokio::test(start_paused = true)]
async fn a_stack_leaves_the_series_it_should() {
    let (notebook, log) = (Notebook::default(), Log::new(Level::DEBUG));
    let _recorder = set_default_local_recorder(&notebook);
    let _subscriber = tracing::subscriber::set_default(log.clone());
    let both = std::sync::Arc::new(Metrics::default().and(Tracing::new()));
    let policy = RetryPolicy::builder()
        .name("odds")
        .backoff(Backoff::constant(SECOND))
        .listen(both.clone())
        .build()
        .unwrap();
    let script = Script::new(|call, _request: u32| match call {
        1 | 2 => {
            Reply::err(BoxError::from(std::io::Error::from(std::io::ErrorKind::ConnectionReset)))
        }
        4.. => Reply::never(),
        _ => Reply::ok("odds"),
    });
    let stack = ServiceBuilder::new()
        .layer(RetryLayer::new(policy))
        .layer(TimeoutLayer::new(SECOND).unwrap().name("odds attempt").listen(both))
        .service(script);
    for call in 0..3 {
        let result = stack.clone().oneshot(call).await;
        assert_eq!(result.is_ok(), call < 2);
    }

    let odds = |series: &str| format!("resilience.{series}");
    let at = "resilience.layer.name=odds";
    let read = notebook.read();
    let delays = read.iter().find(|(name, _)| name.starts_with("resilience.retry.delay"));
    assert_eq!(delays.unwrap().1.len(), 4);
    let counts: Vec<_> = read.iter().filter(|(name, _)| !name.contains("delay")).cloned().collect();
    assert_eq!(
        counts,
        [
            (odds(&format!("rejections{{{at} attempt,resilience.rejection.kind=timed_out}}")), 3.0),
            (odds(&format!("retries{{{at},resilience.outcome=timed_out}}")), 2.0),
            (odds(&format!("retries{{{at},resilience.outcome=transient}}")), 2.0),
            (odds(&format!("retry.recoveries{{{at}}}")), 1.0),
            (
                odds(&format!(
                    "retry.stops{{{at},resilience.retry.stop_reason=attempts_exhausted}}"
                )),
                1.0
            ),
        ]
        .map(|(name, value)| (name, vec![value]))
    );

    let names: Vec<_> =
        log.take().iter().map(|line| line.split(' ').nth(2).unwrap().to_owned()).collect();
    let again = ["resilience.rejected:", "resilience.retry_scheduled:"];
    let mut expected = vec!["resilience.retry_scheduled:"; 2];
    expected.push("resilience.retry_succeeded:");
    expected.extend([again, again].concat());
    expected.extend(["resilience.rejected:", "resilience.retry_stopped:"]);
    assert_eq!(names, expected);
}

/// A call is none the worse for a listener that panics, nor is the budget.
#[tokio::test(start_paused = true)]
async fn a_panicking_listener_changes_nothing_for_the_call() {
    let outcome = |listener: Option<fn(&Event<'_>)>| async move {
        let budget = RetryBudget::builder().ratio(0.0).reserve(5).build().unwrap();
        let builder = RetryPolicy::builder().budget(budget.clone()).classifier(AnyError);
        let builder = match listener {
            Some(listener) => builder.listen(listener),
            None => builder.listen(|_: &Event<'_>| {}),
        };
        let policy = builder.build().unwrap();
        let mut calls = 0;
        let result = retry(&policy, || {
            calls += 1;
            std::future::ready(if calls < 3 { Err("down") } else { Ok(calls) })
        });
        (result.await, budget.available(resilience_core::clock::now()))
    };
    let panics = outcome(Some(|_| panic!("a listener's panic"))).await;
    assert_eq!(panics, outcome(None).await);
    assert_eq!(panics, (Ok(3), 3.0));
}
