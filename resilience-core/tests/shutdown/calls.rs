//! Calls through the layer.

use std::future::{pending, poll_fn};
use std::pin::pin;
use std::sync::Arc;
use std::task::{Context, Poll, Wake, Waker};

use resilience_core::bulkhead::{Bulkhead, BulkheadLayer};
use resilience_core::shutdown::{ShutdownLayer, ShutdownToken};
use resilience_core::testing::{Ready, Reply, Script, ServiceProbe};
use resilience_core::{CarriesRejection, RejectionKind};
use tower::{BoxError, Layer, Service, ServiceBuilder, service_fn};

use crate::{MS, SECOND, shutdown, work};

fn kind<T: std::fmt::Debug>(result: Result<T, BoxError>) -> RejectionKind {
    result.unwrap_err().rejection().unwrap().kind()
}

#[tokio::test(start_paused = true)]
async fn calls_are_accepted_during_grace_and_rejected_after_it() {
    let shutdown = shutdown();
    let token = shutdown.token();
    let service = ShutdownLayer::new(&token).layer(Ready::<BoxError>::new());
    assert_eq!(service.clone().oneshot(1_u64).await.unwrap(), 1);
    token.begin("test");
    assert_eq!(service.clone().oneshot(2_u64).await.unwrap(), 2);
    shutdown.run().await;
    let refused = service.oneshot(3_u64).await.unwrap_err();
    assert_eq!(refused.to_string(), "shutdown: shutting down for `calls`");
}

/// Also one that was made before, and not polled.
#[tokio::test(start_paused = true)]
async fn a_call_is_decided_on_at_its_first_poll() {
    let shutdown = shutdown();
    let token = shutdown.token();
    let (probe, log) = ServiceProbe::new(Ready::<BoxError>::new());
    let mut service = ShutdownLayer::new(&token).layer(probe);
    let call = Service::call(&mut service, 1);
    assert_eq!(token.in_flight(), 0);
    token.begin("test");
    assert!(shutdown.run().await.is_clean());
    assert_eq!(kind(call.await), RejectionKind::ShuttingDown);
    assert_eq!((log.calls(), log.engaged()), (0, 0));
}

#[tokio::test(start_paused = true)]
async fn a_call_under_way_is_finished_or_cut_at_the_deadline() {
    let shutdown = shutdown();
    let token = shutdown.token();
    let script = Script::new(|_, seconds: u64| {
        let seconds_32 = u32::try_from(seconds).unwrap();
        Reply::<_, BoxError>::ok(seconds).after(SECOND * seconds_32)
    });
    let (probe, log) = ServiceProbe::new(script);
    let service = ShutdownLayer::new(&token).layer(probe);
    let calls: Vec<_> =
        [5, 11, 12, 30].map(|seconds| tokio::spawn(service.clone().oneshot(seconds))).into();
    tokio::task::yield_now().await;
    assert_eq!(token.in_flight(), 4);
    token.begin("test");
    let report = shutdown.run().await;
    let mut ends = Vec::new();
    for call in calls {
        ends.push(call.await.unwrap().map_err(|error| error.rejection().unwrap().kind()));
    }
    // At the deadline itself, 12 s, an answer that is there counts.
    assert_eq!(ends[..2], [Ok(5), Ok(11)]);
    assert_eq!(ends[3], Err(RejectionKind::ShuttingDown));
    let cut = u64::from(ends[2].is_err()) + 1;
    assert_eq!(work(&report, "calls"), (4, 4 - cut, cut, 0));
    assert_eq!(report.took(), SECOND * 12);
    assert_eq!(log.in_flight(), 0);
}

#[tokio::test(start_paused = true)]
async fn a_result_that_is_there_wins_over_the_force() {
    let shutdown = shutdown();
    let token = shutdown.token();
    let stop = token.clone();
    let service = service_fn(move |(): ()| {
        let token = stop.clone();
        async move {
            tokio::time::sleep(SECOND).await;
            token.begin("first");
            token.begin("second");
            Ok::<_, BoxError>("there")
        }
    });
    let mut service = ShutdownLayer::new(&token).layer(service);
    assert_eq!(Service::call(&mut service, ()).await.unwrap(), "there");
    let report = shutdown.run().await;
    assert_eq!(work(&report, "calls"), (1, 1, 0, 0), "finished after all");
}

/// A wait in a queue goes on while draining, and ends with the drain.
#[tokio::test(start_paused = true)]
async fn a_call_in_a_queue_may_get_its_turn_while_draining() {
    let shutdown = shutdown();
    let token = shutdown.token();
    let bulkhead = Bulkhead::builder().max_concurrent(1).wait().build().unwrap();
    let service = ServiceBuilder::new()
        .layer(ShutdownLayer::named(&token, "queue"))
        .layer(BulkheadLayer::new(bulkhead.clone()))
        .service(Script::new(|_, request: u64| {
            Reply::<_, BoxError>::ok(request).after(SECOND * 5)
        }));
    let calls: Vec<_> = (0..4).map(|call| tokio::spawn(service.clone().oneshot(call))).collect();
    tokio::task::yield_now().await;
    token.begin("test");
    let report = shutdown.run().await;
    let mut ends = Vec::new();
    for call in calls {
        ends.push(call.await.unwrap().is_ok());
    }
    assert_eq!(ends, [true, true, false, false], "at 5 s, at 10 s; under way and queued at 12 s");
    assert_eq!(work(&report, "queue"), (4, 2, 2, 0));
    let at_rest = bulkhead.snapshot();
    assert_eq!((at_rest.in_use, at_rest.queued), (0, 0));
}

/// The token is there in whatever the call polls, and nowhere else.
#[tokio::test(start_paused = true)]
async fn the_token_is_current_inside_and_gone_outside() {
    let token = shutdown().token();
    let service = service_fn(|inner: bool| async move {
        tokio::task::yield_now().await;
        assert_eq!(ShutdownToken::current().is_some(), inner);
        Ok::<_, BoxError>(())
    });
    let mut layered = ShutdownLayer::new(&token).layer(service);
    let mut call = pin!(Service::call(&mut layered, true));
    let cx = &mut Context::from_waker(Waker::noop());
    assert!(call.as_mut().poll(cx).is_pending());
    assert!(ShutdownToken::current().is_none());
    assert!(call.as_mut().poll(cx).is_ready());
    assert_eq!(token.in_flight(), 0, "free when it is ready");
    assert!(call.poll(cx).is_pending(), "polled again");
    tower::ServiceExt::oneshot(service, false).await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_panic_inside_gives_everything_back() {
    let token = shutdown().token();
    let service = service_fn(|(): ()| async { panic!("on purpose") as Result<(), BoxError> });
    let service = ShutdownLayer::new(&token).layer(service);
    assert!(tokio::spawn(service.oneshot(())).await.unwrap_err().is_panic());
    assert_eq!(token.in_flight(), 0);
    assert!(ShutdownToken::current().is_none());
}

/// A call that is made by one that is under way belongs to it: it is what the answer waits for.
#[tokio::test(start_paused = true)]
async fn what_a_call_calls_belongs_to_it() {
    let shutdown = shutdown();
    let token = shutdown.token();
    let below = ShutdownLayer::named(&token, "client").layer(Ready::<BoxError>::new());
    let handler = service_fn(move |request: u64| {
        let below = below.clone();
        async move {
            tokio::time::sleep(SECOND * 5).await;
            below.oneshot(request).await
        }
    });
    let service = ShutdownLayer::named(&token, "server").layer(handler);
    let call = tokio::spawn(service.oneshot(7_u64));
    tokio::task::yield_now().await;
    token.begin("test");
    let report = shutdown.run().await;
    assert_eq!(call.await.unwrap().unwrap(), 7);
    assert_eq!(work(&report, "server"), (1, 1, 0, 0));
    assert_eq!(work(&report, "client"), (1, 1, 0, 0), "began while draining");
}

#[tokio::test(start_paused = true)]
async fn a_worker_ends_at_draining_or_is_cut() {
    let shutdown = shutdown();
    let token = shutdown.token();
    let polite = {
        let draining = token.draining();
        tokio::spawn(token.run("polite", async move {
            draining.await;
            tokio::time::sleep(SECOND).await;
        }))
    };
    let deaf = tokio::spawn(token.run("deaf", pending::<()>()));
    tokio::task::yield_now().await;
    token.begin("test");
    let report = shutdown.run().await;
    assert!(polite.await.unwrap().is_ok());
    assert_eq!(deaf.await.unwrap().unwrap_err().key(), Some("deaf"));
    assert_eq!((work(&report, "polite"), work(&report, "deaf")), ((1, 1, 0, 0), (1, 0, 1, 0)));
    assert_eq!(report.took(), SECOND * 12);
    let late = token.run("late", async {});
    assert!(late.await.is_err());
}

/// Dropped after any number of polls, in any phase, a call is not under way any more.
#[tokio::test(start_paused = true)]
async fn dropped_at_every_poll_in_every_phase() {
    for begun in 0..3 {
        for polls in 0..6 {
            let shutdown = shutdown();
            let token = shutdown.token();
            let script = Script::new(|_, request: u64| {
                Reply::<_, BoxError>::ok(request).after(MS * 2).yielding(2)
            });
            let (probe, log) = ServiceProbe::new(script);
            let mut service = ShutdownLayer::new(&token).layer(probe);
            let mut call = Box::pin(Service::call(&mut service, 1));
            for poll in 0..polls {
                let polled: Poll<_> = call.as_mut().poll(&mut Context::from_waker(Waker::noop()));
                if polled.is_ready() {
                    break;
                }
                if poll < begun {
                    token.begin("test");
                }
                tokio::time::advance(MS).await;
            }
            drop(call);
            let what = format!("begun {begun} times, {polls} polls");
            assert_eq!((token.in_flight(), log.in_flight(), log.engaged()), (0, 0, 0), "{what}");
            token.begin("test");
            let report = shutdown.run().await;
            assert_eq!(report.work.iter().map(|work| work.left).sum::<u64>(), 0, "{what}");
        }
    }
}

/// The waker of a call is removed with the call.
#[test]
fn a_call_that_is_over_wakes_no_task() {
    struct Nobody;
    impl Wake for Nobody {
        fn wake(self: Arc<Nobody>) {}
    }
    let shutdown = shutdown();
    let token = shutdown.token();
    for ends in [true, false] {
        let (nobody, held) = (Arc::new(Nobody), Arc::new(()));
        let (mut polls, holds) = (0, held.clone());
        let call = token.run(
            "call",
            poll_fn(move |_| {
                polls += 1;
                let _holds = &holds;
                if ends && polls == 2 { Poll::Ready(()) } else { Poll::Pending }
            }),
        );
        let mut call = Box::pin(call);
        let waker = Waker::from(nobody.clone());
        let mut poll = || call.as_mut().poll(&mut Context::from_waker(&waker)).is_ready();
        assert_eq!([poll(), poll()], [false, ends]);
        if ends {
            assert_eq!(Arc::strong_count(&held), 1, "what it held is free with its end");
        } else {
            drop(call);
        }
        drop(waker);
        assert_eq!(Arc::strong_count(&nobody), 1, "{ends}");
    }
}
