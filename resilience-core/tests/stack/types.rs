//! The short names of the types that users store.

use resilience_core::CarriesRejection;
use resilience_core::breaker::CircuitBreaker;
use resilience_core::stack::{BoxedService, Stack, StandardService, StandardStack};
use tower::{BoxError, Layer, service_fn};

type Next = fn(u32) -> std::future::Ready<Result<u32, BoxError>>;

fn next(day: u32) -> std::future::Ready<Result<u32, BoxError>> {
    std::future::ready(Ok(day + 1))
}

#[tokio::test(start_paused = true)]
async fn the_standard_stack_has_a_short_name() {
    let stack: StandardStack = Stack::standard("quotes").build().unwrap();
    let service: StandardService<tower::util::ServiceFn<Next>> =
        stack.layer(service_fn(next as Next));
    assert_eq!(service.oneshot(7).await.unwrap(), 8);
}

/// A boxed service is `Send`, `Sync` and `Clone`, and its clones share the stack.
#[tokio::test(start_paused = true)]
async fn services_of_different_stacks_have_one_type_if_they_are_boxed() {
    fn is_shared<T: Clone + Send + Sync + 'static>(_: &T) {}
    let breaker = CircuitBreaker::builder().build().unwrap();
    let stack = Stack::builder().circuit_breaker(breaker.clone()).build().unwrap();
    let services: [BoxedService<u32, u32, BoxError>; 2] = [
        stack.layer(service_fn(next)).boxed(),
        Stack::standard("quotes").build().unwrap().layer(service_fn(next)).boxed(),
    ];
    is_shared(&services);
    for service in &services {
        assert_eq!(service.clone().call(7).await.unwrap(), 8);
    }
    breaker.force_open();
    let rejected = services[0].clone().call(7).await.unwrap_err();
    assert!(rejected.rejection().is_some(), "{rejected}");
    assert!(services[1].clone().call(7).await.is_ok());
}
