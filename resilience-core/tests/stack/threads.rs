//! Far deadlines on many threads, by the clock on the wall.

use std::future::{pending, poll_fn};
use std::pin::pin;
use std::task::Poll;
use std::time::Duration;

use resilience_core::stack::Stack;
use resilience_core::{CarriesRejection, RejectionKind, clock};
use tokio::task::JoinSet;
use tower::{BoxError, Layer, service_fn};

use crate::SECOND;

/// Calls that wander from thread to thread while they wait, are woken for nothing, or are given up
/// while others ring: each ends, and none before its time.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn calls_that_wander_end_in_time() {
    let mut calls = JoinSet::new();
    for number in 0..2_000_u64 {
        let limit = SECOND + Duration::from_millis(number % 400);
        let stack = Stack::builder().deadline(limit).build().unwrap();
        let service =
            stack.layer(service_fn(|_: u64| async { pending::<Result<u64, BoxError>>().await }));
        calls.spawn(async move {
            let (began, mut call) = (clock::now(), pin!(service.oneshot(number)));
            for _ in 0..number % 50 {
                assert!(poll_fn(|cx| Poll::Ready(call.as_mut().poll(cx).is_pending())).await);
                tokio::task::yield_now().await;
            }
            if number % 7 == 0 {
                return;
            }
            let error = call.await.unwrap_err();
            assert_eq!(error.rejection().unwrap().kind(), RejectionKind::DeadlineExceeded);
            assert!(clock::now() - began >= limit, "{number} was early");
        });
    }
    let ended = async {
        while let Some(ended) = calls.join_next().await {
            ended.unwrap();
        }
    };
    tokio::time::timeout(30 * SECOND, ended).await.expect("one was not woken");
}
