//! The pool in a Tower stack.

use std::io;
use std::pin::pin;
use std::task::{Context, Waker};

use resilience_core::pool::{CheckoutLayer, Pooled, Retired};
use resilience_core::timeout::TimeoutLayer;
use resilience_core::{CarriesRejection, Error, Outcome, RejectionKind};
use tower::{BoxError, Layer, Service, ServiceBuilder, service_fn};

use crate::fake::{MS, Pool, Reply, SECOND, Server};

type Request = (Reply, Pooled<Server>);

/// Answers with the number of the connection.
async fn query((reply, connection): Request) -> Result<usize, BoxError> {
    reply.give().await?;
    Ok(connection.id)
}

fn pool(server: &Server) -> Pool {
    server.pool(1).reject().build().unwrap()
}

#[tokio::test(start_paused = true)]
async fn each_call_has_a_connection_for_its_time() {
    let server = Server::default();
    let pool = pool(&server);
    let service = CheckoutLayer::new(pool.clone()).layer(service_fn(query));
    let mut first = pin!(service.clone().oneshot(Reply::Slow(SECOND)));
    assert!(tokio::time::timeout(MS, &mut first).await.is_err());
    let error = service.clone().oneshot(Reply::Works).await.unwrap_err();
    assert_eq!(error.rejection().map(|why| why.kind()), Some(RejectionKind::BulkheadFull));
    assert_eq!(first.as_mut().await.unwrap(), 0);
    // Returned though the future still exists.
    assert_eq!(pool.snapshot().idle, 1);
    assert_eq!(service.oneshot(Reply::Works).await.unwrap(), 0);
}

/// Nothing is taken by becoming ready.
#[tokio::test(start_paused = true)]
async fn a_ready_handle_holds_nothing() {
    let server = Server::default();
    let pool = pool(&server);
    let mut service = CheckoutLayer::new(pool.clone()).layer(service_fn(query));
    service.ready().await.unwrap();
    service.ready().await.unwrap();
    let call = Service::call(&mut service, Reply::Works);
    assert_eq!((pool.snapshot().in_use, server.attempts()), (0, 0));
    drop(call);
}

#[tokio::test(start_paused = true)]
async fn a_failed_call_retires_its_connection_before_anybody_else_has_it() {
    let server = Server::default();
    let pool = pool(&server);
    let service = CheckoutLayer::new(pool.clone()).layer(service_fn(query));
    assert!(service.clone().oneshot(Reply::Fails).await.is_err());
    assert_eq!((server.live(), pool.snapshot().retired(Retired::Broken)), (0, 1));
    assert_eq!(service.oneshot(Reply::Works).await.unwrap(), 1);
}

#[tokio::test(start_paused = true)]
async fn failures_may_be_classified() {
    let server = Server::default();
    let pool = pool(&server);
    let service = CheckoutLayer::new(pool.clone())
        .classify(|result: Result<&usize, &BoxError>| match result {
            Ok(_) => Outcome::Success,
            Err(_) => Outcome::Permanent,
        })
        .layer(service_fn(query));
    assert!(service.oneshot(Reply::Fails).await.is_err());
    assert_eq!((server.live(), pool.snapshot().idle), (1, 1));
}

#[tokio::test(start_paused = true)]
async fn a_timeout_below_retires_it() {
    let server = Server::default();
    let pool = pool(&server);
    let service = ServiceBuilder::new()
        .layer(CheckoutLayer::new(pool.clone()))
        .layer(TimeoutLayer::new(SECOND).unwrap())
        .service(service_fn(query));
    let error = service.oneshot(Reply::Never).await.unwrap_err();
    assert_eq!(error.rejection().map(|why| why.kind()), Some(RejectionKind::TimedOut));
    assert_eq!((server.live(), pool.snapshot().retired(Retired::Broken)), (0, 1));
}

/// Dropped at every poll: before the service below has the connection it goes back, after that it
/// is retired.
#[tokio::test(start_paused = true)]
async fn a_dropped_call_leaves_nothing_behind() {
    let yields = async |(reply, connection): Request| {
        tokio::task::yield_now().await;
        tokio::task::yield_now().await;
        query((reply, connection)).await
    };
    for polls in 0..4 {
        let server = Server::default();
        let pool = pool(&server);
        crate::fake::fill(&pool, 1).await;
        let service = CheckoutLayer::new(pool.clone()).layer(service_fn(yields));
        let mut call = Box::pin(service.oneshot(Reply::Works));
        let mut done = false;
        for _ in 0..polls {
            done = call.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_ready();
        }
        drop(call);
        let now = pool.snapshot();
        assert_eq!((now.in_use, now.size, server.live()), (0, now.idle, now.idle), "{polls}");
        let kept = polls == 0 || done;
        assert_eq!(now.idle == 1, kept, "{polls}");
        assert_eq!(now.retired(Retired::Broken), u64::from(!kept), "{polls}");
    }
}

/// A body that streams: the connection comes back when the service below is done with it.
#[tokio::test(start_paused = true)]
async fn values_of_the_response_are_returned_with_it() {
    let server = Server::default();
    let pool = pool(&server);
    let service = CheckoutLayer::new(pool.clone())
        .layer(service_fn(async |(_, connection): Request| Ok::<_, BoxError>(connection)));
    let mut body = service.oneshot(Reply::Works).await.unwrap();
    body.counter += 1;
    assert_eq!((pool.snapshot().in_use, pool.snapshot().idle), (1, 0));
    drop(body);
    assert_eq!((pool.snapshot().in_use, pool.snapshot().idle), (0, 1));
}

#[tokio::test(start_paused = true)]
async fn a_foreign_error_is_carried_as_it_is() {
    let server = Server::default();
    server.creating([Reply::Fails]);
    let service = CheckoutLayer::new(pool(&server))
        .layer(service_fn(async |(_, held): Request| Ok::<_, Error<io::Error>>(held.id)));
    let error = service.oneshot(Reply::Works).await.unwrap_err();
    assert_eq!(error.into_service().unwrap().kind(), io::ErrorKind::ConnectionRefused);
}

#[tokio::test(start_paused = true)]
async fn a_panic_below_retires_it() {
    let server = Server::default();
    let pool = pool(&server);
    let service = CheckoutLayer::new(pool.clone()).layer(service_fn(async |(_, held): Request| {
        assert!(held.id > 0, "on purpose");
        Ok::<_, BoxError>(held.id)
    }));
    assert!(tokio::spawn(service.clone().oneshot(Reply::Works)).await.is_err());
    assert_eq!((server.live(), pool.snapshot().in_use), (0, 0));
    assert_eq!(service.oneshot(Reply::Works).await.unwrap(), 1);
}
