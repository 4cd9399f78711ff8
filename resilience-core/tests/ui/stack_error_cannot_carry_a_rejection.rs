use resilience_core::stack::Stack;
use resilience_core::{AsOutcome, Outcome};
use tower::{BoxError, ServiceBuilder, service_fn};

#[derive(Debug)]
struct MyError;

impl AsOutcome for MyError {
    fn as_outcome(&self) -> Outcome {
        Outcome::transient()
    }
}

async fn run() -> Result<(), BoxError> {
    let service = ServiceBuilder::new()
        .layer(Stack::standard("greeter").build()?)
        .service(service_fn(async |name: String| Ok::<_, MyError>(name)));
    let _answer = service.oneshot("world".into()).await;
    Ok(())
}

fn main() {
    let _ = run;
}
