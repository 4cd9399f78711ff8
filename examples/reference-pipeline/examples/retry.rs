//! Retries of a closure, without Tower, with events:
//! `cargo run -p reference-pipeline --example retry`.

use std::io;
use std::time::Duration;

use resilience_core::observe::Event;
use resilience_core::retry::{Backoff, RetryBudget, RetryPolicy, retry};

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let policy = RetryPolicy::builder()
        .name("odds")
        .max_attempts(4)
        .backoff(Backoff::decorrelated_jitter(Duration::from_millis(100), Duration::from_secs(5)))
        .budget(RetryBudget::percent(10.0))
        .listen(|event: &Event<'_>| println!("{event:?}"))
        .build()?;

    // Two attempts fail, the third succeeds. A missing file or a bad password would not be retried.
    let mut failures = 2;
    let page = retry(&policy, || {
        let fails = failures > 0;
        failures -= 1;
        async move {
            if fails {
                Err(io::Error::from(io::ErrorKind::ConnectionRefused))
            } else {
                Ok("the odds are even")
            }
        }
    })
    .await?;
    println!("{page}");
    Ok(())
}
