use resilience_core::Error;
use resilience_core::stack::Stack;
use tower::{BoxError, ServiceBuilder, service_fn};

#[derive(Debug)]
struct MyError;

async fn run() -> Result<(), BoxError> {
    let mut service = ServiceBuilder::new()
        .layer(Stack::standard("greeter").build()?)
        .map_err(Error::Service)
        .service(service_fn(async |name: String| Ok::<_, MyError>(name)));
    let ready = service.ready().await;
    let _answer = ready.ok().map(|service| service.call("world".into()));
    Ok(())
}

fn main() {
    let _ = run;
}
