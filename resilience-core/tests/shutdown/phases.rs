//! Phases, and their announcement.

use std::sync::Arc;

use std::time::Duration;

use parking_lot::Mutex;
use resilience_core::clock;
use resilience_core::observe::{Event, Gauges, names};
use resilience_core::shutdown::{Phase, Shutdown};
use resilience_core::{InvalidConfig, RejectionKind};
use tokio_test::task::spawn;
use tokio_test::{assert_pending, assert_ready};

use crate::{MS, SECOND, shutdown, work};

#[tokio::test(start_paused = true)]
async fn each_phase_takes_its_time_and_is_reported() {
    let told = Arc::new(Mutex::new(Vec::new()));
    let heard = told.clone();
    let shutdown = Shutdown::builder()
        .grace(SECOND * 2)
        .drain(SECOND * 10)
        .unwind(SECOND)
        .listen(move |event: &Event<'_>| {
            if let Event::ShutdownChanged { from, to, in_flight, reason, .. } = event {
                heard.lock().push((*from, *to, *in_flight, (*reason).to_owned()));
            }
        })
        .build()
        .unwrap();
    let token = shutdown.token();
    let kept = token.track("kept").unwrap();
    let began = clock::now();
    token.begin("test");
    assert_eq!(
        (token.phase(), token.is_ready(), token.is_draining()),
        (Phase::NotReady, false, false)
    );
    let report = shutdown.run().await;
    assert_eq!(clock::now() - began, SECOND * 13);
    let phases: Vec<_> = report.phases.iter().map(|phase| (phase.phase, phase.took)).collect();
    let [none, ten] = [Duration::ZERO, SECOND * 10];
    assert_eq!(
        phases,
        [
            (Phase::NotReady, SECOND * 2),
            (Phase::Draining, ten),
            (Phase::Forced, SECOND),
            (Phase::Flushing, none)
        ]
    );
    assert_eq!(work(&report, "kept"), (1, 0, 1, 1));
    assert_eq!((report.exit_code(), report.reason.as_str(), report.forced), (1, "test", false));
    let told = told.lock().clone();
    let phases = told.iter().map(|(from, to, in_flight, reason)| {
        assert_eq!((*in_flight, reason.as_str()), (1, "test"));
        (*from, *to)
    });
    assert!(phases.eq(Phase::ALL.iter().copied().zip(Phase::ALL[1..].iter().copied())));
    drop(kept);
}

#[tokio::test(start_paused = true)]
async fn nothing_is_waited_for_that_is_not_under_way() {
    let shutdown = shutdown();
    let token = shutdown.token();
    token.begin("test");
    let report = shutdown.run().await;
    assert_eq!(report.took(), SECOND * 2, "the grace is for others");
    assert_eq!((report.exit_code(), report.phases.len(), report.work.len()), (0, 3, 0));
}

#[tokio::test(start_paused = true)]
async fn what_is_tracked_is_let_in_until_draining_and_waited_for() {
    let shutdown = shutdown();
    let token = shutdown.token();
    let running = tokio::spawn(shutdown.run());
    let early = token.track("work").unwrap();
    token.begin("test");
    tokio::time::sleep(SECOND).await;
    let in_grace = token.track("work").unwrap();
    drop(early);
    tokio::time::sleep(SECOND + MS).await;
    let refused = token.track("work").unwrap_err();
    assert_eq!(refused.to_string(), "shutdown: shutting down for `work`");
    assert_eq!(refused.kind(), RejectionKind::ShuttingDown);
    tokio::time::sleep(SECOND).await;
    drop(in_grace);
    let report = running.await.unwrap();
    assert_eq!(work(&report, "work"), (1, 1, 0, 0));
    assert_eq!(report.took(), SECOND * 3 + MS);
}

#[tokio::test(start_paused = true)]
async fn a_second_time_forces_from_each_phase() {
    for wait in [MS, SECOND * 5] {
        let shutdown = shutdown();
        let token = shutdown.token();
        let running = tokio::spawn(shutdown.run());
        let kept = token.track("kept").unwrap();
        let forced = token.forced();
        token.begin("first");
        tokio::time::sleep(wait).await;
        let asked = clock::now();
        token.begin("second");
        assert_eq!(token.phase(), Phase::Forced);
        assert!(token.track("late").is_err());
        forced.await;
        drop(kept);
        let report = running.await.unwrap();
        assert_eq!(clock::now(), asked);
        assert_eq!(work(&report, "kept"), (1, 0, 1, 0));
        assert_eq!((report.forced, report.reason.as_str()), (true, "first"));
        assert_eq!(report.took(), wait);
    }
}

/// Cancelled work may still end by itself, and count as finished.
#[tokio::test(start_paused = true)]
async fn what_finishes_after_all_was_not_cut() {
    let shutdown = shutdown();
    let token = shutdown.token();
    let kept = [token.track("kept").unwrap(), token.track("kept").unwrap()];
    token.begin("first");
    token.begin("second");
    let [one, other] = kept;
    one.finish();
    drop(other);
    assert_eq!(work(&shutdown.run().await, "kept"), (2, 1, 1, 0));
}

#[tokio::test(start_paused = true)]
async fn a_waiting_task_is_woken_once_its_phase_has_come() {
    let shutdown = shutdown();
    let token = shutdown.token();
    let mut not_ready = spawn(token.not_ready());
    let mut draining = spawn(token.draining());
    let mut stopped = spawn(token.stopped());
    assert_pending!(not_ready.poll());
    assert_pending!(draining.poll());
    assert_pending!(stopped.poll());
    token.begin("test");
    assert_eq!((not_ready.is_woken(), draining.is_woken()), (true, false));
    assert_ready!(not_ready.poll());
    token.begin("again");
    assert!(draining.is_woken() && !stopped.is_woken());
    assert_ready!(draining.poll());
    shutdown.run().await;
    assert!(stopped.is_woken());
    assert_ready!(stopped.poll());
    assert_ready!(spawn(token.forced()).poll(), "who comes late does not wait");
}

#[tokio::test(start_paused = true)]
async fn names_are_bounded() {
    let shutdown = shutdown();
    let token = shutdown.token();
    let guards: Vec<_> =
        (0..40).map(|tenant| token.track(format!("tenant {tenant}")).unwrap()).collect();
    assert_eq!(token.in_flight(), 40);
    token.begin("test");
    let drop_later = async {
        token.draining().await;
        drop(guards);
    };
    let (report, ()) = tokio::join!(shutdown.run(), drop_later);
    assert_eq!(report.work.len(), 32);
    assert_eq!(work(&report, "tenant 30"), (1, 1, 0, 0));
    assert_eq!(work(&report, "other"), (9, 9, 0, 0));
}

#[test]
fn a_gauge_is_what_is_under_way() {
    let token = shutdown().token();
    let _guards = [token.track("a").unwrap(), token.track("b").unwrap()];
    let mut seen = Vec::new();
    token.gauges(&mut |name, value| seen.push((name, value)));
    assert_eq!(seen, [(names::SHUTDOWN_IN_FLIGHT, 2.0)]);
}

#[test]
fn bounds_beyond_the_total_are_rejected() {
    let refused = Shutdown::builder().drain(SECOND * 60).total(SECOND * 30).build();
    let refused: InvalidConfig = refused.unwrap_err();
    let said = "invalid configuration: `total` is 30s, must be at least grace + drain + unwind + hooks, 72s";
    assert_eq!(refused.to_string(), said);
}

/// Before a thread is started that would end this process.
#[test]
fn a_process_is_ended_at_a_total_that_is_set() {
    let refused = Shutdown::builder().exit_process_at_total().build().unwrap_err();
    let said = "invalid configuration: `total` is not set, must be set for `exit_process_at_total`";
    assert_eq!(refused.to_string(), said);
    let too_short = Shutdown::builder().total(SECOND).exit_process_at_total().build();
    assert_eq!(too_short.unwrap_err().field(), "total");
}

/// The time to unwind is counted from then, whatever was waited for before.
#[tokio::test(start_paused = true)]
async fn a_second_begin_waits_for_the_unwinding_only() {
    let shutdown = shutdown();
    let token = shutdown.token();
    let _stuck = token.track("stuck").unwrap();
    token.begin("test");
    let running = tokio::spawn(shutdown.run());
    tokio::time::sleep(MS * 100).await;
    token.begin("at once");
    assert_eq!(running.await.unwrap().took(), MS * 100 + SECOND);
}
