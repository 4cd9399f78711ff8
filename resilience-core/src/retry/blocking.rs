//! Waits that block the thread, until the time is over or draining begins.

use std::sync::Arc;
use std::task::{Context, Wake, Waker};
use std::time::Duration;

use parking_lot::{Condvar, Mutex};

use crate::call::{Draining, can_drain};

/// Blocks the thread. Returns `true` if draining ended the wait.
pub(super) fn sleep(delay: Duration) -> bool {
    if !can_drain() {
        #[expect(clippy::disallowed_methods, reason = "blocking is what this is for")]
        std::thread::sleep(delay);
        return false;
    }
    let bell = Arc::new(Bell::default());
    let waker = Waker::from(bell.clone());
    let mut draining = Draining::NEW;
    draining.poll(&mut Context::from_waker(&waker)).is_ready() || bell.is_rung_within(delay)
}

/// A waker that ends a sleep.
#[derive(Debug, Default)]
struct Bell {
    rung: Mutex<bool>,
    changed: Condvar,
}

impl Bell {
    fn is_rung_within(&self, delay: Duration) -> bool {
        let mut rung = self.rung.lock();
        self.changed.wait_while_for(&mut rung, |rung| !*rung, delay);
        *rung
    }
}

impl Wake for Bell {
    fn wake(self: Arc<Bell>) {
        *self.rung.lock() = true;
        self.changed.notify_one();
    }
}
