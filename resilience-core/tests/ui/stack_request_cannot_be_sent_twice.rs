use resilience_core::stack::Stack;
use tower::{BoxError, ServiceBuilder, service_fn};

struct Upload;

async fn run() -> Result<(), BoxError> {
    let mut service = ServiceBuilder::new()
        .layer(Stack::standard("uploads").build()?)
        .service(service_fn(async |_: Upload| Ok::<_, BoxError>(())));
    service.ready().await?.call(Upload).await
}

fn main() {
    let _ = run;
}
