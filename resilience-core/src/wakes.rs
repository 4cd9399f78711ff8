//! Wakers that are collected under a lock and woken after it.

use std::collections::VecDeque;
use std::task::Waker;

/// Wakers to be woken once no lock is held, in the order in which they were added.
///
/// A waker may be any code. One that panics keeps none of the others from being woken; a second
/// panic while the first unwinds ends the process, as in any destructor. The first waker takes no
/// allocation, and there is one, as a rule.
#[derive(Debug, Default)]
pub(crate) struct Wakes {
    first: Option<Waker>,
    others: VecDeque<Waker>,
    /// A waker that is only dropped, after the others are woken: its drop may be any code as well.
    former: Option<Waker>,
}

impl Wakes {
    /// Adds a waker, if there is one.
    pub(crate) fn add(&mut self, waker: Option<Waker>) {
        if self.first.is_none() && self.others.is_empty() {
            self.first = waker;
        } else {
            self.others.extend(waker);
        }
    }

    /// Keeps a waker that was replaced, to be dropped with this.
    pub(crate) fn keep_former(&mut self, waker: Option<Waker>) {
        if waker.is_some() {
            self.former = waker;
        }
    }

    /// Wakes all wakers.
    pub(crate) fn wake(mut self) {
        self.wake_all();
    }

    fn wake_all(&mut self) {
        while let Some(waker) = self.first.take().or_else(|| self.others.pop_front()) {
            waker.wake();
        }
    }
}

/// Wakes the remaining wakers after a panic in [`wake`](Wakes::wake).
impl Drop for Wakes {
    fn drop(&mut self) {
        self.wake_all();
    }
}

#[cfg(test)]
#[cfg(not(resilience_loom))]
mod tests {
    use std::panic::{AssertUnwindSafe, catch_unwind};
    use std::sync::Arc;
    use std::task::Wake;

    use parking_lot::Mutex;

    use super::*;

    struct Numbered(usize, Arc<Mutex<Vec<usize>>>);

    impl Wake for Numbered {
        fn wake(self: Arc<Self>) {
            self.1.lock().push(self.0);
            assert_ne!(self.0, 1, "on purpose");
        }
    }

    #[test]
    fn all_are_woken_in_their_order_though_one_panics() {
        let woken = Arc::<Mutex<Vec<usize>>>::default();
        let mut wakes = Wakes::default();
        for number in 0..4 {
            wakes.add(Some(Waker::from(Arc::new(Numbered(number, woken.clone())))));
            wakes.add(None);
        }
        assert!(catch_unwind(AssertUnwindSafe(|| wakes.wake())).is_err());
        assert_eq!(*woken.lock(), [0, 1, 2, 3]);
    }
}
