//! Guarded bodies: exactly one end for each.

use std::sync::Arc;
use std::task::{Context, Waker};

use bytes::Bytes;
use http::HeaderMap;
use http_body::{Body, SizeHint};
use http_body_util::{BodyExt, Empty, Full};
use parking_lot::Mutex;
use resilience_core::breaker::{CircuitBreaker, CircuitState};
use resilience_http::body::{DropOnEnd, Guard, GuardedBody};

use crate::scripted::{Scripted, Step, trailers};

/// End that a guard has recorded.
#[derive(Debug, Clone, PartialEq)]
enum End {
    Complete(HeaderMap),
    Error,
    Dropped,
}

#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<End>>>);

struct Recorder {
    log: Log,
    ended: bool,
}

impl Log {
    fn guard(&self) -> Recorder {
        Recorder { log: self.clone(), ended: false }
    }

    fn ends(&self) -> Vec<End> {
        self.0.lock().clone()
    }
}

impl<E> Guard<E> for Recorder {
    fn ended(mut self, end: Result<&HeaderMap, &E>) {
        self.ended = true;
        let end = end.map_or(End::Error, |trailers| End::Complete(trailers.clone()));
        self.log.0.lock().push(end);
    }
}

impl Drop for Recorder {
    fn drop(&mut self) {
        if !self.ended {
            self.log.0.lock().push(End::Dropped);
        }
    }
}

fn complete() -> Vec<End> {
    vec![End::Complete(HeaderMap::new())]
}

/// Polls a body `polls` times. Returns the ends recorded by then, and after its drop.
fn after_polls(body: Scripted, polls: usize) -> (Vec<End>, Vec<End>) {
    let log = Log::default();
    let mut body = Box::pin(GuardedBody::new(body, log.guard()));
    for _ in 0..polls {
        let _frame = body.as_mut().poll_frame(&mut Context::from_waker(Waker::noop()));
    }
    let before = log.ends();
    drop(body);
    (before, log.ends())
}

#[test]
fn the_end_is_recorded_once_and_at_once() {
    let steps = [Step::Data("a"), Step::Waits, Step::Data("b")];
    for polls in 0..8 {
        // The fourth poll returns `None`.
        let expected =
            if polls < 4 { (vec![], vec![End::Dropped]) } else { (complete(), complete()) };
        assert_eq!(after_polls(Scripted::new(steps.clone()), polls), expected, "{polls}");
    }
}

/// A server that knows the length does not poll after the last byte.
#[test]
fn a_body_that_knows_its_end_ends_without_another_poll() {
    let body = || Scripted::new([Step::Data("a"), Step::Data("b")]).knowing_its_end();
    assert_eq!(after_polls(body(), 1), (vec![], vec![End::Dropped]));
    assert_eq!(after_polls(body(), 2), (complete(), complete()));
}

/// Bodies of files and streams do not report their end, and servers that know the length drop them.
#[test]
fn bytes_are_counted_against_a_known_length() {
    let body = || Scripted::new([Step::Data("ab"), Step::Waits, Step::Data("c")]).of_length(3);
    assert_eq!(after_polls(body(), 2), (vec![], vec![End::Dropped]));
    for polls in 3..5 {
        assert_eq!(after_polls(body(), polls), (complete(), complete()), "{polls}");
    }
    let longer = || Scripted::new([Step::Data("abc"), Step::Data("d")]).of_length(3);
    assert_eq!(after_polls(longer(), 2), (complete(), complete()));
    let breaks = || Scripted::new([Step::Data("ab"), Step::Fails]).of_length(3);
    assert_eq!(after_polls(breaks(), 2), (vec![End::Error], vec![End::Error]));
    let at_least = || Scripted::new([Step::Data("abc")]).of_length_at_least(3);
    assert_eq!(after_polls(at_least(), 1), (vec![], vec![End::Dropped]));
    let log = Log::default();
    drop(GuardedBody::expecting(Scripted::new([Step::Data("a")]), log.guard(), Some(0)));
    assert_eq!(log.ends(), complete());
}

/// hyper does not poll after trailers.
#[test]
fn trailers_are_the_end_and_reach_the_guard() {
    let body = || Scripted::new([Step::Data("a"), Step::Trailers(trailers())]);
    let expected = vec![End::Complete(trailers())];
    for polls in 2..5 {
        assert_eq!(after_polls(body(), polls), (expected.clone(), expected.clone()), "{polls}");
    }
}

#[test]
fn an_error_is_the_end_and_later_frames_are_not() {
    let body = || Scripted::new([Step::Data("a"), Step::Fails, Step::Data("b")]);
    for polls in 2..6 {
        assert_eq!(after_polls(body(), polls), (vec![End::Error], vec![End::Error]));
    }
}

#[test]
fn a_body_that_is_at_its_end_holds_nothing() {
    let log = Log::default();
    let body = GuardedBody::new(Empty::<Bytes>::new(), log.guard());
    assert_eq!(log.ends(), complete());
    assert!(body.guard().is_none() && body.is_end_stream());
    drop(body);
    assert_eq!(log.ends(), complete());
}

#[tokio::test]
async fn frames_trailers_and_size_pass_through() {
    let body = Scripted::new([Step::Data("ab"), Step::Data("c"), Step::Trailers(trailers())]);
    let body = GuardedBody::new(body.of_length(3), DropOnEnd(()));
    assert_eq!(body.size_hint().exact(), Some(3));
    let collected = body.collect().await.unwrap();
    assert_eq!(collected.trailers(), Some(&trailers()));
    assert_eq!(collected.to_bytes(), "abc");
    let abc = || Full::new(Bytes::from_static(b"abc"));
    for full in [GuardedBody::new(abc(), DropOnEnd(())), GuardedBody::unguarded(abc())] {
        assert_eq!(full.size_hint().exact(), SizeHint::with_exact(3).exact());
        assert!(!full.is_end_stream());
        assert_eq!(full.collect().await.unwrap().to_bytes(), "abc");
    }
}

/// The admission of a circuit as a guard, without a layer.
#[tokio::test]
async fn an_admission_records_the_end_of_the_body() {
    for (step, state) in
        [(Step::Data("a"), CircuitState::Closed), (Step::Fails, CircuitState::Open)]
    {
        let breaker = CircuitBreaker::builder().consecutive_failures(1).build().unwrap();
        let mut body = GuardedBody::new(Scripted::new([step]), breaker.try_admit_owned().unwrap());
        for _ in 0..2 {
            let _frame = body.frame().await;
        }
        assert_eq!(breaker.state(), state);
    }
}

#[test]
fn two_guards_end_in_order() {
    let (first, second) = (Log::default(), Log::default());
    let body = GuardedBody::new(Empty::<Bytes>::new(), (first.guard(), second.guard()));
    assert_eq!((first.ends(), second.ends()), (complete(), complete()));
    drop(body);
    let body =
        GuardedBody::new(Full::new(Bytes::from_static(b"a")), (first.guard(), DropOnEnd(())));
    drop(body);
    assert_eq!(first.ends().last(), Some(&End::Dropped));
}

/// Events in order.
type Events = Arc<Mutex<Vec<&'static str>>>;

struct EventGuard {
    events: Events,
    polled: &'static str,
    ended: &'static str,
}

impl<E> Guard<E> for EventGuard {
    fn polled(&mut self) {
        self.events.lock().push(self.polled);
    }

    fn ended(self, _: Result<&HeaderMap, &E>) {
        self.events.lock().push(self.ended);
    }
}

/// Pending polls are noted too, and polls after the end are not.
#[test]
fn guards_note_every_poll_in_order() {
    let events = Events::default();
    let guard = |polled, ended| EventGuard { events: events.clone(), polled, ended };
    let guards = (guard("first polled", "first ended"), guard("second polled", "second ended"));
    let mut body = GuardedBody::new(Scripted::new([Step::Waits]), guards);
    for _ in 0..3 {
        let _frame =
            std::pin::Pin::new(&mut body).poll_frame(&mut Context::from_waker(Waker::noop()));
    }
    let polls = ["first polled", "second polled"];
    let expected = [&polls[..], &polls, &["first ended", "second ended"]].concat();
    assert_eq!(*events.lock(), expected);
}

/// The body runs under the admission of its guard.
#[test]
fn a_body_is_dropped_before_its_guard() {
    struct Gone(&'static str, Events);
    impl Drop for Gone {
        fn drop(&mut self) {
            self.1.lock().push(self.0);
        }
    }
    let events = Events::default();
    let [body, guard] = ["body", "guard"].map(|what| Gone(what, events.clone()));
    let body = Scripted::new([]).map_frame(move |frame| {
        let _body = &body;
        frame
    });
    drop(GuardedBody::new(body, DropOnEnd(guard)));
    assert_eq!(*events.lock(), ["body", "guard"]);
}
