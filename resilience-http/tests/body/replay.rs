//! The test cases of linkerd's replay body, and retries with one.

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll, Wake, Waker};

use bytes::Bytes;
use http::{Request, Response, Version};
use http_body::{Body, Frame};
use http_body_util::{BodyExt, Empty, Full};
use resilience_core::retry::{Replay, RetryLayer, RetryPolicy};
use resilience_http::StatusClassifier;
use resilience_http::body::{NotReplayable, ReplayBody, ReplayRequest};
use tower::{BoxError, ServiceBuilder, service_fn};

use crate::scripted::{Scripted, Step, trailers};

fn poll<B>(body: &mut ReplayBody<B>) -> Poll<Option<Result<Frame<Bytes>, BoxError>>>
where
    ReplayBody<B>: Body<Data = Bytes, Error = BoxError> + Unpin,
{
    Pin::new(body).poll_frame(&mut Context::from_waker(Waker::noop()))
}

fn abc() -> [Step; 4] {
    [Step::Data("a"), Step::Data("bc"), Step::Waits, Step::Trailers(trailers())]
}

#[tokio::test]
async fn every_copy_has_the_whole_body_and_its_trailers() {
    let first = ReplayBody::streaming(Scripted::new(abc()), 3);
    let second = first.copy().unwrap();
    for body in [first, second.copy().unwrap(), second] {
        let collected = body.collect().await.unwrap();
        assert_eq!(collected.trailers(), Some(&trailers()));
        assert_eq!(collected.to_bytes(), "abc");
    }
}

/// Drops the first copy after k polls, for every k. The second yields the recording and then the
/// rest.
#[tokio::test]
async fn a_copy_goes_on_after_a_drop_midway() {
    for polls in 0..7 {
        let mut first = ReplayBody::streaming(Scripted::new(abc()), 100);
        let second = first.copy().unwrap();
        for _ in 0..polls {
            let _frame = poll(&mut first);
        }
        drop(first);
        let collected = second.collect().await.unwrap();
        assert_eq!(collected.trailers(), Some(&trailers()), "{polls}");
        assert_eq!(collected.to_bytes(), "abc", "{polls}");
    }
}

#[tokio::test]
async fn empty_and_trailers_only() {
    let first = ReplayBody::new(Empty::<Bytes>::new(), 0);
    let second = first.copy().unwrap();
    assert!(first.is_end_stream() && second.is_end_stream() && first.is_read());
    assert!(second.collect().await.unwrap().to_bytes().is_empty());
    // Of unknown length, but at its end.
    let over = ReplayBody::new(Scripted::new([]).knowing_its_end(), 0);
    assert_eq!(over.not_replayable(), None);

    let first = ReplayBody::new(Scripted::new([Step::Trailers(trailers())]).of_length(0), 0);
    let second = first.copy().unwrap();
    for body in [first, second] {
        assert!(!body.is_end_stream());
        assert_eq!(body.collect().await.unwrap().trailers(), Some(&trailers()));
    }
}

#[tokio::test]
async fn a_body_too_large_or_of_unknown_size_is_not_replayable_at_once() {
    let large = ReplayBody::new(Full::new(Bytes::from_static(b"abcd")), 3);
    assert_eq!(large.not_replayable(), Some(NotReplayable::TooLarge { cap: 3 }));
    assert!(large.copy().is_none());
    assert_eq!(large.collect().await.unwrap().to_bytes(), "abcd", "sent once");

    let body = || Scripted::new(abc()).of_length_at_least(3);
    for large in [ReplayBody::new(body(), 2), ReplayBody::streaming(body(), 2)] {
        assert_eq!(large.not_replayable(), Some(NotReplayable::TooLarge { cap: 2 }));
    }

    let mut streamed = ReplayBody::new(Scripted::new(abc()), 2);
    for _ in 0..2 {
        assert_eq!(streamed.not_replayable(), Some(NotReplayable::UnknownSize));
        assert!(poll(&mut streamed).is_ready());
    }
    assert_eq!(streamed.not_replayable(), Some(NotReplayable::UnknownSize), "the first reason");
    let collected = streamed.collect().await.unwrap();
    assert_eq!(collected.trailers(), Some(&trailers()));

    let fits = ReplayBody::new(Full::new(Bytes::from_static(b"abc")), 3);
    assert!(fits.copy().is_some());
}

/// The first copy goes on; the others end in an error, never in half a body.
#[tokio::test]
async fn a_copy_of_a_body_over_the_cap_ends_in_an_error() {
    for polls in 0..6 {
        let mut first = ReplayBody::streaming(Scripted::new(abc()), 2);
        let mut second = first.copy().unwrap();
        for _ in 0..polls {
            let _frame = poll(&mut first);
        }
        let over = polls >= 2;
        assert_eq!(second.not_replayable().is_some(), over, "{polls}");
        assert_eq!(first.copy().is_none(), over, "{polls}");
        if over {
            let Poll::Ready(Some(Err(error))) = poll(&mut second) else { panic!("{polls}") };
            assert_eq!(error.downcast_ref(), Some(&NotReplayable::TooLarge { cap: 2 }));
            assert!(matches!(poll(&mut second), Poll::Ready(None)) && second.is_end_stream());
        }
        if polls == 2 {
            let rest = first.collect().await.unwrap();
            assert_eq!(rest.trailers(), Some(&trailers()));
            assert!(rest.to_bytes().is_empty());
        }
    }
}

/// The copy has yielded the whole recording, and lacks one byte that was not recorded.
#[test]
fn a_copy_that_lacks_unrecorded_bytes_ends_in_an_error() {
    let mut first = ReplayBody::streaming(Scripted::new([Step::Data("a"), Step::Data("b")]), 1);
    let mut second = first.copy().unwrap();
    for body in [&mut first, &mut second] {
        assert!(matches!(poll(body), Poll::Ready(Some(Ok(_)))));
    }
    assert!(matches!(poll(&mut first), Poll::Ready(Some(Ok(_)))));
    assert!(matches!(poll(&mut second), Poll::Ready(Some(Err(_)))));
}

#[tokio::test]
async fn many_small_frames_are_too_many() {
    for (frames, fault) in [(1_024, None), (1_025, Some(NotReplayable::TooLarge { cap: 1 << 20 }))]
    {
        let body = ReplayBody::streaming(Scripted::new(vec![Step::Data("a"); frames]), 1 << 20);
        let copy = body.copy().unwrap();
        assert_eq!(body.collect().await.unwrap().to_bytes().len(), frames);
        assert_eq!(copy.not_replayable(), fault, "{frames}");
    }
}

/// Frames without bytes are passed on only.
#[tokio::test]
async fn frames_without_bytes_are_not_recorded() {
    let steps = [vec![Step::Data(""); 2_000], abc().to_vec()].concat();
    let first = ReplayBody::streaming(Scripted::new(steps), 3);
    let mut second = first.copy().unwrap();
    assert_eq!(first.collect().await.unwrap().to_bytes(), "abc");
    let frame = second.frame().await.unwrap().unwrap();
    assert_eq!(frame.into_data().unwrap(), "a");
}

#[test]
fn a_body_that_breaks_off_breaks_its_copies() {
    for steps in [vec![Step::Fails], vec![Step::Data("a"), Step::Fails]] {
        let polls = steps.len();
        let mut first = ReplayBody::streaming(Scripted::new(steps), 9);
        let mut second = first.copy().unwrap();
        for _ in 1..polls {
            assert!(matches!(poll(&mut first), Poll::Ready(Some(Ok(_)))));
        }
        assert!(matches!(poll(&mut first), Poll::Ready(Some(Err(_)))));
        assert!(matches!(poll(&mut first), Poll::Ready(None)));
        assert!(!second.is_end_stream(), "it ends in an error");
        // Without the frames before the error, which are of no use.
        let Poll::Ready(Some(Err(error))) = poll(&mut second) else { panic!("an error") };
        assert_eq!(error.downcast_ref(), Some(&NotReplayable::Broken));
    }
}

/// A server that knows the length does not poll after the last byte.
#[tokio::test]
async fn a_body_without_trailers_ends_with_its_last_byte() {
    let body = Scripted::new([Step::Data("a"), Step::Data("bc")]).knowing_its_end();
    let mut first = ReplayBody::streaming(body, 3);
    let mut second = first.copy().unwrap();
    for body in [&mut first, &mut second] {
        for text in ["a", "bc"] {
            assert!(!body.is_end_stream());
            let frame = body.frame().await.unwrap().unwrap();
            assert_eq!(frame.into_data().unwrap(), text);
        }
        assert!(body.is_end_stream() && body.is_read());
        assert!(body.frame().await.is_none());
    }
}

/// The replay body of linkerd panics here.
#[tokio::test]
async fn two_copies_at_once_take_turns() {
    let mut first = ReplayBody::streaming(Scripted::new(abc()), 9);
    let second = first.copy().unwrap();
    assert!(poll(&mut first).is_ready());
    let task = tokio::spawn(second.collect());
    tokio::task::yield_now().await;
    assert!(!task.is_finished());
    drop(first);
    assert_eq!(task.await.unwrap().unwrap().to_bytes(), "abc");
}

/// A reader may keep a body that it has read to the end.
#[test]
fn the_inner_body_is_dropped_at_its_end() {
    let held = Arc::new(());
    let kept = held.clone();
    let body = Scripted::new([Step::Data("a")]).map_frame(move |frame| {
        let _kept = &kept;
        frame
    });
    let mut body = ReplayBody::streaming(body, 9);
    assert!(matches!(poll(&mut body), Poll::Ready(Some(Ok(_)))));
    assert_eq!(Arc::strong_count(&held), 2);
    assert!(matches!(poll(&mut body), Poll::Ready(None)));
    assert_eq!(Arc::strong_count(&held), 1);
}

/// Counts its wakes.
#[derive(Default)]
struct WakeCount(AtomicUsize);

impl Wake for WakeCount {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }
}

/// Polls `many` waiting copies twice each, and returns the wake count of each.
fn waiting(many: usize, first: &ReplayBody<Scripted>) -> Vec<Arc<WakeCount>> {
    let wakers: Vec<_> = (0..many).map(|_| Arc::<WakeCount>::default()).collect();
    for woken in &wakers {
        let mut copy = first.copy().unwrap();
        for _ in 0..2 {
            let waker = woken.clone().into();
            let polled = Pin::new(&mut copy).poll_frame(&mut Context::from_waker(&waker));
            assert!(polled.is_pending());
        }
    }
    wakers
}

fn times(wakers: &[Arc<WakeCount>]) -> Vec<usize> {
    wakers.iter().map(|woken| woken.0.load(Ordering::Relaxed)).collect()
}

/// Returns a first copy that has the inner body and waits for this step.
fn stalled(then: Step) -> ReplayBody<Scripted> {
    let mut first = ReplayBody::streaming(Scripted::new([Step::Waits, then]), 9);
    assert!(poll(&mut first).is_pending());
    first
}

#[test]
fn waiting_copies_are_woken_once_by_the_drop() {
    let first = stalled(Step::Data("a"));
    let wakers = waiting(8, &first);
    assert_eq!(times(&wakers), [0; 8]);
    drop(first);
    assert_eq!(times(&wakers), [1; 8]);
}

#[test]
fn waiting_copies_are_woken_by_the_end() {
    let mut first = stalled(Step::Data("a"));
    let wakers = waiting(2, &first);
    assert!(matches!(poll(&mut first), Poll::Ready(Some(Ok(_)))));
    assert!(!first.is_read());
    assert_eq!(times(&wakers), [0; 2], "not yet");
    for _ in 0..2 {
        assert!(matches!(poll(&mut first), Poll::Ready(None)));
        assert!(first.is_read());
        assert_eq!(times(&wakers), [1; 2]);
    }
}

#[test]
fn waiting_copies_are_woken_by_trailers_and_by_an_error() {
    for then in [Step::Trailers(trailers()), Step::Fails] {
        let mut first = stalled(then);
        let wakers = waiting(2, &first);
        assert!(matches!(poll(&mut first), Poll::Ready(Some(_))));
        assert!(first.is_read() && first.is_end_stream());
        assert_eq!(times(&wakers), [1; 2]);
        assert!(matches!(poll(&mut first), Poll::Ready(None)), "not twice");
    }
}

/// The ninth copy displaces the others, which are woken and register again.
#[test]
fn eight_copies_can_wait_at_once() {
    let first = stalled(Step::Data("a"));
    let wakers = waiting(9, &first);
    assert_eq!(times(&wakers), [1, 1, 1, 1, 1, 1, 1, 1, 0]);
}

#[test]
fn the_size_is_what_is_left() {
    let mut body = ReplayBody::new(Scripted::new(abc()).of_length(3), 9);
    let mut copy = body.copy().unwrap();
    assert_eq!(body.size_hint().exact(), Some(3));
    let _frame = poll(&mut body);
    assert_eq!((body.size_hint().exact(), copy.size_hint().exact()), (Some(2), Some(3)));
    let _frame = poll(&mut copy);
    assert_eq!(copy.size_hint().exact(), Some(2), "what was played too");
}

#[test]
fn the_error_has_the_reason() {
    for (why, text) in [
        (NotReplayable::TooLarge { cap: 9 }, "more than 9 bytes"),
        (NotReplayable::UnknownSize, "of unknown size"),
        (NotReplayable::Broken, "it broke off"),
    ] {
        assert_eq!(why.to_string(), format!("the body is not replayable: {text}"));
    }
}

#[test]
fn a_copy_of_a_request_has_its_head_and_extensions() {
    let body = ReplayBody::new(Full::new(Bytes::from_static(b"abc")), 3);
    let mut request = Request::patch("/a?b=1").version(Version::HTTP_2).body(body).unwrap();
    *request.headers_mut() = trailers();
    request.extensions_mut().insert(7_u32);
    let copy = ReplayRequest.copy(&request).unwrap();
    assert_eq!((copy.method(), copy.uri()), (request.method(), request.uri()));
    assert_eq!((copy.version(), copy.headers()), (request.version(), request.headers()));
    assert_eq!(copy.extensions().get(), Some(&7_u32));
}

/// Returns the number of attempts at a server that fails after it has read `frames` frames of the
/// request.
async fn attempts(body: ReplayBody<Scripted>, frames: usize, responds: bool) -> (usize, bool) {
    let calls = Arc::new(AtomicUsize::new(0));
    let counted = calls.clone();
    let policy = RetryPolicy::builder().max_attempts(3).classifier(StatusClassifier).build();
    let service = ServiceBuilder::new()
        .layer(RetryLayer::new(policy.unwrap()).replayed_by(ReplayRequest))
        .service(service_fn(move |mut request: Request<ReplayBody<Scripted>>| {
            counted.fetch_add(1, Ordering::Relaxed);
            assert_eq!(request.headers()["etag"], "last");
            async move {
                for _ in 0..frames {
                    let _frame = request.body_mut().frame().await.transpose()?;
                }
                let reset = std::io::Error::from(std::io::ErrorKind::ConnectionReset);
                if responds {
                    Ok(Response::builder().status(503).body(())?)
                } else {
                    Err(BoxError::from(reset))
                }
            }
        }));
    let mut request = Request::put("/").body(body).unwrap();
    *request.headers_mut() = trailers();
    let ended = service.oneshot(request).await;
    (calls.load(Ordering::Relaxed), ended.is_ok())
}

#[tokio::test(start_paused = true)]
async fn a_retry_sends_it_again_if_it_can() {
    let body = || ReplayBody::streaming(Scripted::new(abc()), 9);
    assert_eq!(attempts(body(), 9, true).await, (3, true));
    assert_eq!(attempts(body(), 9, false).await, (3, false));
    assert_eq!(attempts(body(), 1, false).await, (3, false), "reset midway");
    assert_eq!(attempts(body(), 1, true).await, (1, true), "early response");
    let over = ReplayBody::streaming(Scripted::new(abc()), 2);
    assert_eq!(
        attempts(over, 9, true).await,
        (1, true),
        "the server's response, not an error of ours"
    );
    let unknown = ReplayBody::new(Scripted::new(abc()), 9);
    assert_eq!(attempts(unknown, 9, true).await, (1, true));
}

/// The copies behind a waker that panics have no other wake.
#[test]
fn waiting_copies_are_woken_although_another_waker_panics() {
    struct Bomb;
    impl Wake for Bomb {
        fn wake(self: Arc<Self>) {
            panic!("on purpose");
        }
    }

    let first = stalled(Step::Data("a"));
    // The bomb is in the middle.
    let before = waiting(1, &first);
    let mut other = first.copy().unwrap();
    let bomb = Waker::from(Arc::new(Bomb));
    assert!(Pin::new(&mut other).poll_frame(&mut Context::from_waker(&bomb)).is_pending());
    let after = waiting(1, &first);
    let dropped = std::panic::AssertUnwindSafe(|| drop(first));
    assert!(std::panic::catch_unwind(dropped).is_err());
    assert_eq!((times(&before), times(&after)), (vec![1], vec![1]));
}
