//! Wakers and destructors of users that panic, or that begin the shutdown once more.

use std::future::pending;
use std::panic::{AssertUnwindSafe, catch_unwind, panic_any};
use std::sync::{Arc, mpsc};
use std::task::{Context, Wake, Waker};
use std::thread;

use resilience_core::shutdown::{HookEnd, Phase, Shutdown, ShutdownToken};
use tokio_test::task::spawn;
use tokio_test::{assert_pending, assert_ready};

use crate::{MS, SECOND, shutdown, work};

/// Panics when it is woken, and when it is dropped.
struct Bomb;

impl Wake for Bomb {
    fn wake(self: Arc<Bomb>) {
        std::mem::forget(self);
        panic!("on purpose");
    }
}

impl Drop for Bomb {
    fn drop(&mut self) {
        panic!("on purpose");
    }
}

/// Those that wait before it, after it, and for another phase.
#[tokio::test(start_paused = true)]
async fn a_waker_that_panics_wakes_all_others() {
    let shutdown = shutdown();
    let token = shutdown.token();
    let mut before = spawn(token.not_ready());
    assert_pending!(before.poll());
    let bomb = Waker::from(Arc::new(Bomb));
    let mut bombs = [token.not_ready(), token.draining()].map(Box::pin);
    for waiting in &mut bombs {
        assert!(waiting.as_mut().poll(&mut Context::from_waker(&bomb)).is_pending());
    }
    let mut after = spawn(token.not_ready());
    assert_pending!(after.poll());
    let run = tokio::spawn(shutdown.run());
    tokio::time::sleep(MS).await;
    token.begin("test");
    assert!(before.is_woken() && after.is_woken());
    assert_ready!(before.poll());
    assert!(run.await.unwrap().is_clean());
    std::mem::forget(bomb);
}

/// Begins the shutdown when it is dropped.
struct Begins(ShutdownToken);

impl Wake for Begins {
    fn wake(self: Arc<Begins>) {}
}

impl Drop for Begins {
    fn drop(&mut self) {
        self.0.begin("a waker was dropped");
    }
}

/// The waker that `run` was polled with is dropped outside of the locks that `begin` takes.
#[test]
fn a_waker_may_begin_the_shutdown_when_it_is_dropped() {
    let (ended, phase) = mpsc::channel();
    thread::spawn(move || {
        let shutdown = shutdown();
        let token = shutdown.token();
        let mut run = Box::pin(shutdown.run());
        let begins = Waker::from(Arc::new(Begins(token.clone())));
        assert!(run.as_mut().poll(&mut Context::from_waker(&begins)).is_pending());
        drop(begins);
        assert_eq!(token.phase(), Phase::Running);
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
        let _inside = runtime.enter();
        assert!(run.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_pending());
        ended.send(token.phase()).unwrap();
    });
    // Otherwise it waits for itself.
    assert_eq!(phase.recv_timeout(SECOND * 30), Ok(Phase::NotReady));
}

/// The waker of a call is not kept by what it waited for.
#[test]
fn work_that_panics_when_it_is_dropped_leaves_no_waker_behind() {
    struct Idle;
    impl Wake for Idle {
        fn wake(self: Arc<Idle>) {}
    }
    let idle = Arc::new(Idle);
    let token = shutdown().token();
    let mut running = Box::pin(token.run("work", async {
        let _bomb = Bomb;
        pending::<()>().await;
    }));
    let waker = Waker::from(idle.clone());
    assert!(running.as_mut().poll(&mut Context::from_waker(&waker)).is_pending());
    drop(waker);
    assert!(Arc::strong_count(&idle) > 1, "it waits to be cut");
    assert!(catch_unwind(AssertUnwindSafe(|| drop(running))).is_err());
    assert_eq!((Arc::strong_count(&idle), token.in_flight()), (1, 0));
}

/// Hooks that have run or are skipped, and a payload that panics once more.
#[tokio::test(start_paused = true)]
async fn hooks_may_panic_in_each_of_their_destructors() {
    for asked in [1, 3] {
        let mut shutdown: Shutdown = shutdown();
        let token = shutdown.token();
        shutdown.hook("panics with a bomb", || async { panic_any(Bomb) as () });
        let bomb = Bomb;
        shutdown.hook("hangs", move || async move {
            let _bomb = bomb;
            pending::<()>().await;
        });
        let bomb = Bomb;
        shutdown.hook("is skipped", move || async move { std::mem::forget(bomb) });
        shutdown.hook("last", || async {});
        (0..asked).for_each(|_| token.begin("test"));
        let report = shutdown.run().await;
        let ends: Vec<_> = report.hooks.iter().map(|hook| hook.end.clone()).collect();
        let skipped = HookEnd::Skipped;
        let panicked = |words: &str| HookEnd::Panicked(words.to_owned());
        let expected = if asked == 1 {
            [panicked("not in words"), panicked("on purpose"), HookEnd::Done, HookEnd::Done]
        } else {
            [skipped.clone(), skipped.clone(), skipped.clone(), skipped]
        };
        assert_eq!(ends, expected);
    }
}

/// Work that panics when it is cut was cut, and nothing waits for it.
#[tokio::test(start_paused = true)]
async fn work_may_panic_when_it_is_dropped() {
    let shutdown = shutdown();
    let token = shutdown.token();
    let hangs = || async {
        let _bomb = Bomb;
        pending::<()>().await;
    };
    let cut = tokio::spawn(token.run("cut", hangs()));
    let aborted = tokio::spawn(token.run("aborted", hangs()));
    tokio::time::sleep(MS).await;
    aborted.abort();
    token.begin("test");
    let report = shutdown.run().await;
    assert!(cut.await.unwrap_err().is_panic() && aborted.await.is_err());
    assert_eq!((token.in_flight(), work(&report, "cut")), (0, (1, 0, 1, 0)));
    assert_eq!(report.took(), SECOND * 12, "{report}");
}
