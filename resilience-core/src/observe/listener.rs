//! Listeners.

use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use super::default;
use super::event::Event;

/// A receiver of events. Closures over `&Event<'_>` are listeners.
///
/// A listener runs on the calling task, sometimes in a destructor: it must be quick and must not
/// block. See the [module](super) for the choice of the listener and for panics.
pub trait Listen: Send + Sync + 'static {
    /// Receives an event.
    fn event(&self, event: &Event<'_>);

    /// Returns a listener that notifies this one and then `next`, also if this one panics.
    ///
    /// ```
    /// use std::sync::Arc;
    /// use resilience_core::observe::{Event, Listen};
    /// use resilience_core::retry::RetryPolicy;
    ///
    /// let log = |event: &Event<'_>| eprintln!("{event:?}");
    /// let count = |_: &Event<'_>| { /* a counter */ };
    /// let both = Arc::new(log.and(count));
    /// let reads = RetryPolicy::builder().listen(both.clone()).build()?;
    /// let writes = RetryPolicy::builder().listen(both).build()?;
    /// # let _ = (reads, writes);
    /// # Ok::<_, resilience_core::InvalidConfig>(())
    /// ```
    fn and<L: Listen>(self, next: L) -> And<Self, L>
    where
        Self: Sized,
    {
        And(self, next)
    }
}

impl<F> Listen for F
where
    F: Fn(&Event<'_>) + Send + Sync + 'static,
{
    fn event(&self, event: &Event<'_>) {
        self(event);
    }
}

/// Clones share the listener.
impl<L: Listen + ?Sized> Listen for Arc<L> {
    fn event(&self, event: &Event<'_>) {
        (**self).event(event);
    }
}

/// Two listeners, notified one after the other. Made by [`Listen::and`].
#[derive(Debug, Clone)]
#[doc(hidden)]
pub struct And<A, B>(A, B);

impl<A: Listen, B: Listen> Listen for And<A, B> {
    fn event(&self, event: &Event<'_>) {
        contain(|| self.0.event(event));
        contain(|| self.1.event(event));
    }
}

/// Notifies a listener, and ends a panic of it here.
///
/// Unwind safe: a listener shares nothing with us but `&self`, and an event is plain data.
fn contain(notify: impl FnOnce()) {
    // See docs/decisions/0006-telemetry-is-an-event-or-a-gauge.md.
    if let Err(payload) = catch_unwind(AssertUnwindSafe(notify)) {
        // Dropping a payload may panic, and the payload of that panic as well: the second one is
        // leaked.
        std::mem::forget(catch_unwind(AssertUnwindSafe(|| drop(payload))));
    }
}

/// A place for a listener. Empty by default, which means the process's.
#[derive(Clone, Default)]
pub(crate) struct Listener(Option<Arc<dyn Listen>>);

impl Listener {
    pub(crate) fn new(listener: impl Listen) -> Listener {
        Listener(Some(Arc::new(listener)))
    }

    /// Returns `true` if there is no listener, and no event has to be built.
    pub(crate) fn is_none(&self) -> bool {
        self.0.is_none() && default::get().is_none()
    }

    /// Notifies the listener, if there is one; the event is built only then. Never panics, also if
    /// the name of a key in the event does.
    pub(crate) fn notify<'a>(&self, event: impl FnOnce() -> Event<'a>) {
        let listener = match &self.0 {
            Some(own) => Some(&**own),
            None => default::get(),
        };
        if let Some(listener) = listener {
            contain(|| listener.event(&event()));
        }
    }
}

impl fmt::Debug for Listener {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.0.is_some() { "Listener" } else { "no listener" })
    }
}

#[cfg(test)]
#[cfg(not(resilience_loom))]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;
    use crate::rejection::{Rejection, RejectionKind};

    fn bad(_: &Event<'_>) {
        panic!("a listener's panic");
    }

    fn counter() -> (Arc<AtomicUsize>, impl Listen) {
        let notified = Arc::new(AtomicUsize::new(0));
        let count = notified.clone();
        let listener = move |_: &Event<'_>| {
            count.fetch_add(1, Ordering::Relaxed);
        };
        (notified, listener)
    }

    fn shed() -> Rejection {
        Rejection::new(RejectionKind::Shed, "shed")
    }

    #[test]
    fn a_panic_is_kept_from_the_caller_and_from_the_others() {
        let (notified, count) = counter();
        let (more, count_more) = counter();
        let listener = Listener::new(Arc::new(count.and(bad).and(count_more)));
        let rejection = shed();
        listener.notify(|| Event::Rejected(&rejection));
        listener.notify(|| Event::Rejected(&rejection));
        assert_eq!((notified.load(Ordering::Relaxed), more.load(Ordering::Relaxed)), (2, 2));
    }

    /// A panic that left the drop would abort the process.
    #[test]
    fn a_listener_that_panics_in_a_drop_during_a_panic_does_not_abort() {
        struct Token(Listener);
        impl Drop for Token {
            fn drop(&mut self) {
                let rejection = shed();
                self.0.notify(|| Event::Rejected(&rejection));
            }
        }
        let (notified, count) = counter();
        let token = Token(Listener::new(bad.and(count)));
        let panicked = catch_unwind(AssertUnwindSafe(|| {
            let _token = token;
            panic!("the call's own");
        }));
        assert_eq!(panicked.unwrap_err().downcast_ref(), Some(&"the call's own"));
        assert_eq!(notified.load(Ordering::Relaxed), 1);
    }

    #[test]
    fn a_payload_that_panics_when_dropped_is_kept_as_well() {
        struct Bomb;
        impl Drop for Bomb {
            fn drop(&mut self) {
                std::panic::panic_any(Bomb);
            }
        }
        let rejection = shed();
        let worse = |_: &Event<'_>| std::panic::panic_any(Bomb);
        Listener::new(worse).notify(|| Event::Rejected(&rejection));
    }
}
