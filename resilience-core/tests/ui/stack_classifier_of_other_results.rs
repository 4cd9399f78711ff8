use resilience_core::Outcome;
use resilience_core::stack::Stack;
use tower::{BoxError, ServiceBuilder, service_fn};

async fn run() -> Result<String, BoxError> {
    let stack = Stack::standard("greeter").classify(|result: Result<&u64, &BoxError>| {
        result.map_or(Outcome::transient(), |_| Outcome::Success)
    });
    let service = ServiceBuilder::new()
        .layer(stack.build()?)
        .service(service_fn(async |name: String| Ok::<_, BoxError>(name)));
    service.oneshot("world".into()).await
}

fn main() {
    let _ = run;
}
