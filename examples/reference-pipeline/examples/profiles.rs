//! A stack from a file that can be changed while calls are under way:
//! `cargo run -p reference-pipeline --example profiles`.

use resilience_core::profiles::Profiles;
use tower::{BoxError, ServiceBuilder, service_fn};

const TEXT: &str = r#"
[scraper.odds]
deadline = "1m"
rate_limit = { per_second = 1, burst = 2 }
circuit_breaker = { consecutive_failures = 10, break_for = "5m" }
"#;

#[tokio::main]
async fn main() -> Result<(), BoxError> {
    let profiles = Profiles::from_toml(TEXT)?;
    let odds = profiles.profile("scraper.odds")?;
    let service = ServiceBuilder::new()
        .layer(odds.layer())
        .service(service_fn(async |board: u32| Ok::<_, BoxError>(format!("board {board}"))));

    for board in 1..=3 {
        match service.clone().oneshot(board).await {
            Ok(response) => println!("{response}"),
            Err(rejected) => println!("board {board}: {rejected}"),
        }
    }
    // The existing layer waits from now on. A text with an error would change nothing.
    let waits = TEXT.replace("burst = 2", "burst = 2, wait_at_most = \"5s\"");
    if let Err(error) = profiles.reload(&waits.replace("rate", "rote")) {
        println!("not reloaded: {error}");
    }
    profiles.reload(&waits)?;
    println!("{}", service.oneshot(3).await?);
    Ok(())
}
