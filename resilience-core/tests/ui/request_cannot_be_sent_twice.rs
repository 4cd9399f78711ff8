use resilience_core::retry::{RetryLayer, RetryPolicy};
use tower::{BoxError, ServiceBuilder, service_fn};

struct Upload;

fn main() -> Result<(), BoxError> {
    let mut service = ServiceBuilder::new()
        .layer(RetryLayer::new(RetryPolicy::builder().build()?))
        .service(service_fn(|_: Upload| async { Ok::<(), BoxError>(()) }));
    let _call = service.call(Upload);
    Ok(())
}
