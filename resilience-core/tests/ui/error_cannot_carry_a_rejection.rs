use std::time::Duration;

use resilience_core::timeout::TimeoutLayer;
use tower::{ServiceBuilder, service_fn};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut service = ServiceBuilder::new()
        .layer(TimeoutLayer::new(Duration::from_secs(1))?)
        .service(service_fn(|(): ()| async { Ok::<(), std::io::Error>(()) }));
    let _call = service.call(());
    Ok(())
}
