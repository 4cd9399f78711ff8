//! Hooks.

use std::future::pending;
use std::sync::Arc;

use std::time::Duration;

use parking_lot::Mutex;
use resilience_core::Deadline;
use resilience_core::clock;
use resilience_core::retry::{Backoff, RetryPolicy, retry};
use resilience_core::shutdown::{HookEnd, Phase, Shutdown, ShutdownToken};

use crate::{MS, SECOND, shutdown};

type Order = Arc<Mutex<Vec<&'static str>>>;

fn recording(shutdown: &mut Shutdown, order: &Order, name: &'static str) {
    let order = order.clone();
    shutdown.hook(name, move || async move { order.lock().push(name) });
}

#[tokio::test(start_paused = true)]
async fn they_run_in_their_order_when_nothing_is_under_way() {
    let (mut shutdown, order) = (shutdown(), Order::default());
    let token = shutdown.token();
    for name in ["first", "second", "third"] {
        recording(&mut shutdown, &order, name);
    }
    let kept = token.track("work").unwrap();
    token.begin("test");
    let running = tokio::spawn(shutdown.run());
    tokio::time::sleep(SECOND * 5).await;
    assert!(order.lock().is_empty());
    drop(kept);
    let report = running.await.unwrap();
    assert_eq!(*order.lock(), ["first", "second", "third"]);
    assert!(report.is_clean(), "{report}");
}

/// Each hook runs, whether or not work was cut, and whatever the results of the others.
#[tokio::test(start_paused = true)]
async fn one_that_panics_fails_or_hangs_does_not_keep_the_others_from_running() {
    let (mut shutdown, order) = (shutdown(), Order::default());
    let token = shutdown.token();
    shutdown.hook("panics", || async { panic!("on purpose") as () });
    shutdown.hook("panics at once", || -> std::future::Ready<()> { panic!("{}", 1 + 1) });
    shutdown.hook("fails", || async { Err::<(), _>("the disk is full") });
    shutdown.hook("hangs", pending::<()>);
    recording(&mut shutdown, &order, "runs");
    let _stuck = token.track("stuck").unwrap();
    token.begin("test");
    let report = shutdown.run().await;
    assert_eq!(*order.lock(), ["runs"]);
    let ends: Vec<_> = report.hooks.iter().map(|hook| (hook.took, hook.end.clone())).collect();
    let [none, half] = [Duration::ZERO, SECOND * 2];
    assert_eq!(
        ends,
        [
            (none, HookEnd::Panicked("on purpose".into())),
            (none, HookEnd::Panicked("2".into())),
            (none, HookEnd::Failed("the disk is full".into())),
            (half, HookEnd::OutOfTime),
            (none, HookEnd::Done),
        ]
    );
    assert_eq!((report.exit_code(), report.hooks_not_done(), report.cut()), (3, 4, 1));
}

#[tokio::test(start_paused = true)]
async fn each_has_its_bound_and_knows_it() {
    let mut shutdown = shutdown();
    let token = shutdown.token();
    let left = || Deadline::current().unwrap().remaining(clock::now());
    let seen = Arc::new(Mutex::new(Vec::new()));
    let push = |seen: &Arc<Mutex<Vec<_>>>| {
        let seen = seen.clone();
        move || async move {
            seen.lock().push(left());
            pending::<()>().await;
        }
    };
    shutdown.hook("a", push(&seen));
    shutdown.hook_within("b", SECOND, push(&seen)).unwrap();
    shutdown.hook("c", push(&seen));
    let refused = shutdown.hook_within("d", SECOND * 3 + MS, || async {}).unwrap_err();
    assert_eq!((refused.field(), refused.bound()), ("bound", "at most what hooks have left, 3s"));
    token.begin("test");
    let report = shutdown.run().await;
    assert_eq!(*seen.lock(), [SECOND * 3 / 2, SECOND, SECOND * 3 / 2]);
    assert_eq!(report.took(), SECOND * 6, "grace and hooks");
}

/// Hooks are not calls that are to stop: what they flush may need a second attempt.
#[tokio::test(start_paused = true)]
async fn they_may_retry() {
    let mut shutdown = shutdown();
    let token = shutdown.token();
    shutdown.hook("flush", || async {
        assert!(ShutdownToken::current().is_none());
        let policy = RetryPolicy::builder().backoff(Backoff::constant(MS * 100)).build().unwrap();
        let mut attempts = 0;
        retry(&policy, || {
            attempts += 1;
            let done = attempts == 2;
            async move { if done { Ok(()) } else { Err(crate::retries::reset()) } }
        })
        .await
    });
    token.begin("test");
    let report = shutdown.run().await;
    assert_eq!(report.hooks[0].end, HookEnd::Done, "{report}");
}

#[tokio::test(start_paused = true)]
async fn a_second_time_lets_them_run_and_a_third_does_not() {
    let (mut shutdown, order) = (shutdown(), Order::default());
    let token = shutdown.token();
    recording(&mut shutdown, &order, "runs");
    shutdown.hook("slow", || tokio::time::sleep(SECOND));
    recording(&mut shutdown, &order, "late");
    token.begin("first");
    token.begin("second");
    let running = tokio::spawn(shutdown.run());
    tokio::time::sleep(MS * 500).await;
    assert_eq!(token.phase(), Phase::Flushing);
    token.begin("third");
    let report = running.await.unwrap();
    assert_eq!(report.took(), MS * 500);
    assert_eq!(*order.lock(), ["runs"]);
    let ends = report.hooks.iter().map(|hook| hook.end.clone()).collect::<Vec<_>>();
    assert_eq!(ends, [HookEnd::Done, HookEnd::Skipped, HookEnd::Skipped]);
}

/// A hook that ends at its bound is done.
#[tokio::test(start_paused = true)]
async fn one_that_is_done_at_the_last_moment_is_done() {
    let mut shutdown = shutdown();
    let token = shutdown.token();
    shutdown.hook_within("takes all", SECOND * 4, || tokio::time::sleep(SECOND * 4)).unwrap();
    token.begin("test");
    let report = shutdown.run().await;
    assert_eq!((report.hooks[0].took, &report.hooks[0].end), (SECOND * 4, &HookEnd::Done));
    assert!(report.is_clean(), "{report}");
}

/// The values of a hook may panic in their drop, at its bound and after the end of `run`.
#[tokio::test(start_paused = true)]
async fn one_that_panics_when_it_is_given_up_takes_nothing_along() {
    struct Bomb;
    impl Drop for Bomb {
        fn drop(&mut self) {
            panic!("on purpose");
        }
    }
    for asked in [1, 3] {
        let (mut shutdown, order) = (shutdown(), Order::default());
        let token = shutdown.token();
        shutdown.hook("hangs", || {
            let bomb = Bomb;
            async move {
                let _bomb = bomb;
                pending::<()>().await;
            }
        });
        recording(&mut shutdown, &order, "runs");
        token.begin("test");
        let running = tokio::spawn(shutdown.run());
        tokio::time::sleep(SECOND * 3).await;
        (1..asked).for_each(|_| token.begin("enough"));
        let report = running.await.unwrap();
        let panicked = HookEnd::Panicked("on purpose".into());
        let ends = if asked == 1 {
            [panicked, HookEnd::Done]
        } else {
            [HookEnd::Skipped, HookEnd::Skipped]
        };
        assert_eq!([0, 1].map(|hook| report.hooks[hook].end.clone()), ends);
    }
}
