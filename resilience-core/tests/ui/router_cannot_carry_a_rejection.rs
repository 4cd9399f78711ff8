//! A layer around routes that have no errors, by the bounds of `axum::Router::layer`.

use std::convert::Infallible;

use resilience_core::bulkhead::{Bulkhead, BulkheadLayer};
use tower::{Layer, Service, service_fn};

struct Router<R>(R);

impl<R> Router<R> {
    fn layer<L>(self, layer: L) -> Router<L::Service>
    where
        L: Layer<R> + Clone + Send + Sync + 'static,
        L::Service: Service<String> + Clone + Send + Sync + 'static,
    {
        Router(layer.layer(self.0))
    }
}

fn main() -> Result<(), resilience_core::InvalidConfig> {
    let routes = service_fn(|request: String| async move { Ok::<_, Infallible>(request) });
    let bulkhead = BulkheadLayer::new(Bulkhead::builder().max_concurrent(1).build()?);
    let _router = Router(routes).layer(bulkhead);
    Ok(())
}
