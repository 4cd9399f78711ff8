use resilience_core::Outcome;
use resilience_core::retry::{RetryLayer, RetryPolicy};
use tower::{BoxError, ServiceBuilder, service_fn};

fn main() -> Result<(), BoxError> {
    let policy = RetryPolicy::builder()
        .classify(|result: Result<&String, &BoxError>| match result {
            Ok(_) => Outcome::Success,
            Err(_) => Outcome::transient(),
        })
        .build()?;
    let mut service = ServiceBuilder::new()
        .layer(RetryLayer::new(policy))
        .service(service_fn(|(): ()| async { Ok::<u64, BoxError>(1) }));
    let _call = service.call(());
    Ok(())
}
