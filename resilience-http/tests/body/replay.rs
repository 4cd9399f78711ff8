//! The cases of linkerd's replay body, and of a retry around one.

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll, Waker};

use bytes::Bytes;
use http::{Request, Response};
use http_body::{Body, Frame};
use http_body_util::{BodyExt, Empty, Full};
use resilience_core::retry::{RetryLayer, RetryPolicy};
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
async fn every_copy_is_the_whole_with_its_trailers() {
    let first = ReplayBody::streaming(Scripted::new(abc()), 3);
    let second = first.copy().unwrap();
    for body in [first, second.copy().unwrap(), second] {
        let collected = body.collect().await.unwrap();
        assert_eq!(collected.trailers(), Some(&trailers()));
        assert_eq!(collected.to_bytes(), "abc");
    }
}

/// Dropped after k polls, for every k: the copy plays what was read and goes on with the rest.
#[tokio::test]
async fn dropped_midway() {
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

    let first = ReplayBody::new(Scripted::new([Step::Trailers(trailers())]).of_length(0), 0);
    let second = first.copy().unwrap();
    for body in [first, second] {
        assert!(!body.is_end_stream());
        assert_eq!(body.collect().await.unwrap().trailers(), Some(&trailers()));
    }
}

#[tokio::test]
async fn what_is_too_large_or_of_unknown_size_says_so_at_once() {
    let large = ReplayBody::new(Full::new(Bytes::from_static(b"abcd")), 3);
    assert_eq!(large.not_replayable(), Some(NotReplayable::TooLarge { cap: 3 }));
    assert!(large.copy().is_none());
    assert_eq!(large.collect().await.unwrap().to_bytes(), "abcd", "sent once");

    let streamed = ReplayBody::new(Scripted::new(abc()), 3);
    assert_eq!(streamed.not_replayable(), Some(NotReplayable::UnknownSize));
    let collected = streamed.collect().await.unwrap();
    assert_eq!(collected.trailers(), Some(&trailers()));

    let fits = ReplayBody::new(Full::new(Bytes::from_static(b"abc")), 3);
    assert!(fits.copy().is_some());
}

/// The first goes on, copies end in a named error and never in half a body.
#[tokio::test]
async fn over_the_cap() {
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

#[tokio::test]
async fn many_small_frames_are_too_many() {
    let body = ReplayBody::streaming(Scripted::new(vec![Step::Data("a"); 1_025]), 1 << 20);
    let copy = body.copy().unwrap();
    assert_eq!(body.collect().await.unwrap().to_bytes().len(), 1_025);
    assert!(copy.not_replayable().is_some());
}

#[test]
fn a_body_that_breaks_off_breaks_its_copies() {
    let mut first = ReplayBody::streaming(Scripted::new([Step::Fails]), 9);
    let mut second = first.copy().unwrap();
    assert!(matches!(poll(&mut first), Poll::Ready(Some(Err(_)))));
    assert!(matches!(poll(&mut first), Poll::Ready(None)));
    let Poll::Ready(Some(Err(error))) = poll(&mut second) else { panic!("an error") };
    assert_eq!(error.downcast_ref(), Some(&NotReplayable::Broken));
}

/// linkerd's panics here.
#[tokio::test]
async fn two_at_once_take_turns() {
    let mut first = ReplayBody::streaming(Scripted::new(abc()), 9);
    let second = first.copy().unwrap();
    assert!(poll(&mut first).is_ready());
    let task = tokio::spawn(second.collect());
    tokio::task::yield_now().await;
    assert!(!task.is_finished());
    drop(first);
    assert_eq!(task.await.unwrap().unwrap().to_bytes(), "abc");
}

#[test]
fn the_size_is_what_is_left() {
    let mut body = ReplayBody::new(Scripted::new(abc()).of_length(3), 9);
    let copy = body.copy().unwrap();
    assert_eq!(body.size_hint().exact(), Some(3));
    let _frame = poll(&mut body);
    assert_eq!((body.size_hint().exact(), copy.size_hint().exact()), (Some(2), Some(3)));
}

/// A server that fails, after reading so many frames of the request. How many attempts it saw.
async fn attempts(body: ReplayBody<Scripted>, frames: usize, answers: bool) -> (usize, bool) {
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
                if answers {
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
    assert_eq!(attempts(body(), 1, true).await, (1, true), "answered early");
    let over = ReplayBody::streaming(Scripted::new(abc()), 2);
    assert_eq!(
        attempts(over, 9, true).await,
        (1, true),
        "the server's answer, not an error of ours"
    );
    let unknown = ReplayBody::new(Scripted::new(abc()), 9);
    assert_eq!(attempts(unknown, 9, true).await, (1, true));
}
