//! The standard stack around an HTTP client, with an upstream that does not exist:
//! `cargo run -p reference-pipeline --example stack`.

use reqwest::{Client, Request, Url};
use resilience_core::Error;
use resilience_core::stack::Stack;
use resilience_http::StatusClassifier;
use tower::ServiceBuilder;

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    // Deadline, bulkhead, retry with a budget, circuit breaker and attempt timeout, in that order.
    // A streaming body cannot be sent twice: `try_clone` returns `None`, and an event reports it.
    let stack =
        Stack::standard("odds").classifier(StatusClassifier).replay(Request::try_clone).build()?;
    println!("{}\n", stack.plan());

    // Only one layer may retry, so reqwest's own retries are off.
    let client = Client::builder().no_proxy().retry(reqwest::retry::never()).build()?;
    let service = ServiceBuilder::new().layer(stack).map_err(Error::Service).service(client);

    // Port 9 ("discard"), on which no server listens.
    let request = Request::new(reqwest::Method::GET, Url::parse("http://127.0.0.1:9/odds")?);
    match service.oneshot(request).await {
        Ok(response) => println!("{}", response.status()),
        Err(Error::Service(error)) => println!("after three attempts: {error}"),
        Err(Error::Rejected(rejection)) => println!("rejected: {rejection}"),
    }
    Ok(())
}
