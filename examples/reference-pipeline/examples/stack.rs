//! The layers in their standard order around an HTTP client, at an upstream that is not there:
//! `cargo run -p reference-pipeline --example stack`.

use std::time::Duration;

use reqwest::{Client, Request, Url};
use resilience_core::Error;
use resilience_core::retry::{RetryLayer, RetryPolicy};
use resilience_core::timeout::{DeadlineLayer, TimeoutLayer};
use resilience_http::StatusClassifier;
use tower::ServiceBuilder;

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    // One layer retries, so reqwest's own retries are off.
    let client = Client::builder().no_proxy().retry(reqwest::retry::never()).build()?;
    let policy = RetryPolicy::builder().name("odds").classifier(StatusClassifier).build()?;
    let service = ServiceBuilder::new()
        .layer(DeadlineLayer::new(Duration::from_secs(5))?)
        // A streaming body cannot be sent twice: `try_clone` says so, and so does the event.
        .layer(RetryLayer::new(policy).replay(Request::try_clone))
        .layer(TimeoutLayer::new(Duration::from_secs(1))?)
        .map_err(Error::Service)
        .service(client);

    // Port 9, "discard": nobody listens there.
    let request = Request::new(reqwest::Method::GET, Url::parse("http://127.0.0.1:9/odds")?);
    match service.oneshot(request).await {
        Ok(response) => println!("{}", response.status()),
        Err(Error::Service(error)) => println!("after three attempts: {error}"),
        Err(Error::Rejected(rejection)) => println!("refused: {rejection}"),
    }
    Ok(())
}
