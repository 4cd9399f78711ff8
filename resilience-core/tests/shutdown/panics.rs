//! Wakers, hooks and what hooks hold panic: the others are woken, and the others run.

use std::panic::{AssertUnwindSafe, catch_unwind, panic_any};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Wake, Waker};

use resilience_core::shutdown::{HookEnd, Reached};

use crate::shutdown;

/// Counts how often it is woken, and panics over it.
#[derive(Default)]
struct Bomb(AtomicUsize);

impl Wake for Bomb {
    fn wake(self: Arc<Self>) {
        assert!(self.0.fetch_add(1, Ordering::SeqCst) > 0, "on purpose");
    }
}

fn wait(reached: &mut Reached, waker: &Arc<Bomb>) {
    let waker = Waker::from(waker.clone());
    assert!(Pin::new(reached).poll(&mut Context::from_waker(&waker)).is_pending());
}

/// Panics when it is dropped.
struct Fragile;

impl Drop for Fragile {
    fn drop(&mut self) {
        if !std::thread::panicking() {
            panic_any(0_u8);
        }
    }
}

#[tokio::test(start_paused = true)]
async fn all_are_woken_though_one_waker_panics() {
    let token = shutdown().token();
    // The second and the third do not panic, since they have been woken before.
    let wakers: Vec<Arc<Bomb>> =
        [0, 1, 1].map(|woken| Arc::new(Bomb(AtomicUsize::new(woken)))).into();
    let mut reached: Vec<_> = wakers.iter().map(|_| token.not_ready()).collect();
    reached.iter_mut().zip(&wakers).for_each(|(reached, waker)| wait(reached, waker));
    let begun = catch_unwind(AssertUnwindSafe(|| token.begin("test")));
    assert!(begun.is_ok(), "a waker's panic ends at the waker");
    let woken: Vec<_> = wakers.iter().map(|waker| waker.0.load(Ordering::SeqCst)).collect();
    assert_eq!(woken, [1, 2, 2]);
    assert!(!token.is_ready());
}

#[tokio::test(start_paused = true)]
async fn a_panic_that_panics_as_it_is_dropped_keeps_no_hook_from_running() {
    let mut shutdown = shutdown();
    let token = shutdown.token();
    shutdown.hook("bomb", || async { panic_any(Fragile) as () });
    shutdown.hook("next", || async {});
    token.begin("test");
    let report = shutdown.run().await;
    let ends: Vec<_> = report.hooks.iter().map(|hook| hook.end.clone()).collect();
    assert_eq!(ends, [HookEnd::Panicked("not in words".to_owned()), HookEnd::Done]);
}

#[tokio::test(start_paused = true)]
async fn what_a_skipped_hook_holds_may_panic_as_it_is_dropped() {
    let mut shutdown = shutdown();
    let token = shutdown.token();
    for name in ["first", "second"] {
        let held = Fragile;
        shutdown.hook(name, move || async move { std::mem::forget(held) });
    }
    for _ in 0..3 {
        token.begin("test");
    }
    let report = shutdown.run().await;
    assert!(report.hooks.iter().all(|hook| hook.end == HookEnd::Skipped), "{report}");
    assert_eq!(report.hooks.len(), 2);
}
