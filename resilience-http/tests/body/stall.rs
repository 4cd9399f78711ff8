//! Bodies that make no progress.

use std::pin::pin;
use std::time::Duration;

use bytes::Bytes;
use http_body::{Body, Frame};
use http_body_util::{BodyExt, StreamBody};
use resilience_core::{CarriesRejection, Quantity, RejectionKind, clock};
use resilience_http::body::{StallBody, StallTimeout};
use tokio::sync::mpsc;
use tokio::time::sleep;
use tower::BoxError;

use crate::scripted::{Scripted, Step};

const SECOND: Duration = Duration::from_secs(1);

/// A body that yields a number of bytes after each pause in seconds, and then waits for ever.
fn dripping(drops: &'static [(u64, usize)]) -> impl Body<Data = Bytes, Error = BoxError> {
    let (sender, mut receiver) = mpsc::channel(1);
    tokio::spawn(async move {
        for (pause, bytes) in drops {
            sleep(SECOND * u32::try_from(*pause).unwrap()).await;
            sender.send(Ok(Frame::data(Bytes::from(vec![b'a'; *bytes])))).await.unwrap();
        }
        std::future::pending::<()>().await;
        drop(sender);
    });
    StreamBody::new(futures_util::stream::poll_fn(move |cx| receiver.poll_recv(cx)))
}

/// Returns the second of the stall, and the bytes before it.
async fn ended(
    body: impl Body<Data = Bytes, Error = BoxError>,
    limit: StallTimeout,
) -> (u64, usize) {
    let started = clock::now();
    let mut body = pin!(StallBody::new(body, limit));
    let mut bytes = 0;
    loop {
        match body.as_mut().frame().await.unwrap() {
            Ok(frame) => bytes += frame.data_ref().map_or(0, Bytes::len),
            Err(error) => {
                let rejection = error.rejection().unwrap();
                assert_eq!(rejection.kind(), RejectionKind::TimedOut);
                assert!(body.is_end_stream() && body.frame().await.is_none());
                return ((clock::now() - started).as_secs(), bytes);
            }
        }
    }
}

fn limit(seconds: u32) -> StallTimeout {
    StallTimeout::new(SECOND * seconds).unwrap()
}

#[tokio::test(start_paused = true)]
async fn silence_ends_a_body_and_progress_does_not() {
    assert_eq!(ended(dripping(&[]), limit(10)).await, (10, 0));
    assert_eq!(ended(dripping(&[(9, 5), (9, 5)]), limit(10)).await, (28, 10));
}

#[tokio::test(start_paused = true)]
async fn frames_without_bytes_are_no_progress() {
    for limit in [limit(10), limit(10).at_least(0)] {
        assert_eq!(ended(dripping(&[(4, 0), (4, 0), (4, 0)]), limit).await, (10, 0));
    }
}

/// One byte every nine seconds.
#[tokio::test(start_paused = true)]
async fn a_slow_loris_is_too_slow() {
    let drops = &[(9, 1), (9, 1), (9, 1), (9, 1)];
    assert_eq!(ended(dripping(drops), limit(10)).await, (46, 4));
    assert_eq!(ended(dripping(drops), limit(20).at_least(100)).await, (20, 2));
    assert_eq!(
        ended(dripping(&[(9, 60), (9, 60), (9, 1)]), limit(20).at_least(100)).await,
        (38, 121)
    );
}

/// Time that the reader takes between polls does not count.
#[tokio::test(start_paused = true)]
async fn only_waiting_counts() {
    let mut body = pin!(StallBody::new(dripping(&[(1, 1), (1, 1), (1, 1)]), limit(5).at_least(3)));
    for _ in 0..3 {
        assert!(body.as_mut().frame().await.unwrap().is_ok());
        sleep(SECOND * 60).await;
    }
    assert!(body.as_mut().frame().await.unwrap().is_err());
}

/// Only the time until the wake counts, not the time until the next poll.
#[tokio::test(start_paused = true)]
async fn a_busy_reader_does_not_make_a_body_stall() {
    let drops = &[(1, 400), (1, 400), (1, 400), (1, 400)];
    for limit in [limit(30).at_least(1_000), limit(5).at_least(1_600)] {
        let mut body = pin!(StallBody::new(dripping(drops), limit));
        for _ in 0..4 {
            let first = std::future::poll_fn(|cx| {
                assert!(body.as_mut().poll_frame(cx).is_pending());
                std::task::Poll::Ready(())
            });
            // The reader is busy when it is woken.
            first.await;
            sleep(SECOND * 40).await;
            let frame = body.as_mut().frame().await.unwrap().expect("it stalled");
            assert_eq!(frame.data_ref().map(Bytes::len), Some(400));
        }
        // 4 s of waiting so far.
        let started = clock::now();
        assert!(body.as_mut().frame().await.unwrap().is_err());
        assert!((clock::now() - started).as_secs() <= 30);
    }
}

/// A wake without bytes.
#[tokio::test(start_paused = true)]
async fn a_wake_without_bytes_is_no_progress() {
    let started = clock::now();
    let drops = &[(4, 0), (4, 0), (4, 0)];
    let mut body = pin!(StallBody::new(dripping(drops), limit(10)));
    while body.as_mut().frame().await.unwrap().is_ok() {}
    assert_eq!((clock::now() - started).as_secs(), 10);
}

#[test]
fn a_ready_body_needs_no_timer() {
    // Without a runtime, a timer would panic.
    let body = http_body_util::Full::new(Bytes::from_static(b"a")).map_err(BoxError::from);
    let mut body = pin!(StallBody::new(body, limit(1)));
    let cx = &mut std::task::Context::from_waker(std::task::Waker::noop());
    assert!(body.as_mut().poll_frame(cx).is_ready());
}

#[test]
fn a_limit_is_more_than_zero_and_at_most_a_year() {
    for bad in [Duration::ZERO, clock::MAX_WAIT + Duration::from_nanos(1), Duration::MAX] {
        assert_eq!(StallTimeout::new(bad).unwrap_err().field(), "limit", "{bad:?}");
    }
    assert!(StallTimeout::new(clock::MAX_WAIT).is_ok());
    assert_eq!(
        StallTimeout::new(Duration::ZERO).unwrap_err().to_string(),
        "invalid configuration: `limit` is 0ns, must be more than zero and at most 365 days"
    );
}

#[tokio::test(start_paused = true)]
async fn the_rejection_has_the_name_and_the_limit() {
    for (limit, name) in [(limit(10), "stall"), (limit(10).name("uploads"), "uploads")] {
        let mut body = pin!(StallBody::new(dripping(&[]), limit));
        let error = body.as_mut().frame().await.unwrap().unwrap_err();
        let rejection = error.rejection().unwrap();
        assert_eq!(rejection.layer(), name);
        assert_eq!(rejection.limit(), Some(Quantity::Duration(10 * SECOND)));
    }
}

#[tokio::test(start_paused = true)]
async fn size_and_end_are_the_bodys_until_it_stalls() {
    let body = || Scripted::new([Step::Data("abc"), Step::Stalls]).of_length(7);
    let mut stalls = pin!(StallBody::new(body(), limit(1)));
    assert_eq!(stalls.size_hint().exact(), Some(7));
    assert!(stalls.as_mut().frame().await.unwrap().is_ok() && !stalls.is_end_stream());
    assert!(stalls.as_mut().frame().await.unwrap().is_err());
    assert_eq!((stalls.size_hint().exact(), stalls.is_end_stream()), (Some(0), true));

    let body = Scripted::new([Step::Data("abc")]).knowing_its_end();
    let mut ends = pin!(StallBody::new(body, limit(1)));
    assert!(ends.as_mut().frame().await.unwrap().is_ok() && ends.is_end_stream());
}
