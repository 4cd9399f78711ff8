//! One end for each body.

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

/// What a guard heard.
#[derive(Debug, Clone, PartialEq)]
enum Heard {
    Well(HeaderMap),
    Broke,
    Dropped,
}

#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<Heard>>>);

struct Listening {
    log: Log,
    told: bool,
}

impl Log {
    fn guard(&self) -> Listening {
        Listening { log: self.clone(), told: false }
    }

    fn heard(&self) -> Vec<Heard> {
        self.0.lock().clone()
    }
}

impl<E> Guard<E> for Listening {
    fn ended(mut self, end: Result<&HeaderMap, &E>) {
        self.told = true;
        let heard = end.map_or(Heard::Broke, |trailers| Heard::Well(trailers.clone()));
        self.log.0.lock().push(heard);
    }
}

impl Drop for Listening {
    fn drop(&mut self) {
        if !self.told {
            self.log.0.lock().push(Heard::Dropped);
        }
    }
}

fn well() -> Vec<Heard> {
    vec![Heard::Well(HeaderMap::new())]
}

/// Polls a body so many times. What was heard then, and after it was dropped.
fn after_polls(body: Scripted, polls: usize) -> (Vec<Heard>, Vec<Heard>) {
    let log = Log::default();
    let mut body = Box::pin(GuardedBody::new(body, log.guard()));
    for _ in 0..polls {
        let _frame = body.as_mut().poll_frame(&mut Context::from_waker(Waker::noop()));
    }
    let before = log.heard();
    drop(body);
    (before, log.heard())
}

#[test]
fn the_end_is_heard_once_and_at_once() {
    let steps = [Step::Data("a"), Step::Waits, Step::Data("b")];
    for polls in 0..8 {
        // The fourth poll says None.
        let expected = if polls < 4 { (vec![], vec![Heard::Dropped]) } else { (well(), well()) };
        assert_eq!(after_polls(Scripted::new(steps.clone()), polls), expected, "{polls}");
    }
}

/// As a server polls it that knows the length: never again after the last byte.
#[test]
fn a_body_that_knows_its_end_need_not_be_asked_again() {
    let body = || Scripted::new([Step::Data("a"), Step::Data("b")]).knowing_its_end();
    assert_eq!(after_polls(body(), 1), (vec![], vec![Heard::Dropped]));
    assert_eq!(after_polls(body(), 2), (well(), well()));
}

/// Bodies of files and streams do not notice their end; servers do, and drop them.
#[test]
fn bytes_are_counted_against_a_known_length() {
    let body = || Scripted::new([Step::Data("ab"), Step::Waits, Step::Data("c")]).of_length(3);
    assert_eq!(after_polls(body(), 2), (vec![], vec![Heard::Dropped]));
    for polls in 3..5 {
        assert_eq!(after_polls(body(), polls), (well(), well()), "{polls}");
    }
    let longer = || Scripted::new([Step::Data("abc"), Step::Data("d")]).of_length(3);
    assert_eq!(after_polls(longer(), 2), (well(), well()));
    let breaks = || Scripted::new([Step::Data("ab"), Step::Fails]).of_length(3);
    assert_eq!(after_polls(breaks(), 2), (vec![Heard::Broke], vec![Heard::Broke]));
    let at_least = || Scripted::new([Step::Data("abc")]).of_length_at_least(3);
    assert_eq!(after_polls(at_least(), 1), (vec![], vec![Heard::Dropped]));
    let log = Log::default();
    drop(GuardedBody::expecting(Scripted::new([Step::Data("a")]), log.guard(), Some(0)));
    assert_eq!(log.heard(), well());
}

/// hyper stops at them.
#[test]
fn trailers_are_the_end_and_are_heard() {
    let body = || Scripted::new([Step::Data("a"), Step::Trailers(trailers())]);
    let expected = vec![Heard::Well(trailers())];
    for polls in 2..5 {
        assert_eq!(after_polls(body(), polls), (expected.clone(), expected.clone()), "{polls}");
    }
}

#[test]
fn an_error_is_an_end_and_what_follows_it_is_not() {
    let body = || Scripted::new([Step::Data("a"), Step::Fails, Step::Data("b")]);
    for polls in 2..6 {
        assert_eq!(after_polls(body(), polls), (vec![Heard::Broke], vec![Heard::Broke]));
    }
}

#[test]
fn a_body_that_is_at_its_end_holds_nothing() {
    let log = Log::default();
    let body = GuardedBody::new(Empty::<Bytes>::new(), log.guard());
    assert_eq!(log.heard(), well());
    assert!(body.guard().is_none() && body.is_end_stream());
    drop(body);
    assert_eq!(log.heard(), well());
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

/// One's own admission, without a layer.
#[tokio::test]
async fn a_circuit_hears_it_from_its_admission() {
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
fn two_guards_hear_it_in_turn() {
    let (first, second) = (Log::default(), Log::default());
    let body = GuardedBody::new(Empty::<Bytes>::new(), (first.guard(), second.guard()));
    assert_eq!((first.heard(), second.heard()), (well(), well()));
    drop(body);
    let body =
        GuardedBody::new(Full::new(Bytes::from_static(b"a")), (first.guard(), DropOnEnd(())));
    drop(body);
    assert_eq!(first.heard().last(), Some(&Heard::Dropped));
}

/// What is said, in order.
type Said = Arc<Mutex<Vec<&'static str>>>;

struct Saying {
    said: Said,
    polled: &'static str,
    ended: &'static str,
}

impl<E> Guard<E> for Saying {
    fn polled(&mut self) {
        self.said.lock().push(self.polled);
    }

    fn ended(self, _: Result<&HeaderMap, &E>) {
        self.said.lock().push(self.ended);
    }
}

/// Also of a question without a response, and of none behind the end.
#[test]
fn guards_hear_of_every_question_and_in_turn() {
    let said = Said::default();
    let guard = |polled, ended| Saying { said: said.clone(), polled, ended };
    let guards = (guard("first polled", "first ended"), guard("second polled", "second ended"));
    let mut body = GuardedBody::new(Scripted::new([Step::Waits]), guards);
    for _ in 0..3 {
        let _frame =
            std::pin::Pin::new(&mut body).poll_frame(&mut Context::from_waker(Waker::noop()));
    }
    let polls = ["first polled", "second polled"];
    let expected = [&polls[..], &polls, &["first ended", "second ended"]].concat();
    assert_eq!(*said.lock(), expected);
}

/// What the guard admits is over when the guard goes.
#[test]
fn a_body_is_dropped_before_its_guard() {
    struct Gone(&'static str, Said);
    impl Drop for Gone {
        fn drop(&mut self) {
            self.1.lock().push(self.0);
        }
    }
    let said = Said::default();
    let [body, guard] = ["body", "guard"].map(|what| Gone(what, said.clone()));
    let body = Scripted::new([]).map_frame(move |frame| {
        let _body = &body;
        frame
    });
    drop(GuardedBody::new(body, DropOnEnd(guard)));
    assert_eq!(*said.lock(), ["body", "guard"]);
}
