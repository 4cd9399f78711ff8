//! Compiles every snippet of the documents that belong to no crate as a doc test.

macro_rules! documents {
    ($($name:ident: $path:literal)+) => {
        $(#[doc = include_str!(concat!("../../../", $path))] mod $name {})+
    };
}

documents! {
    readme: "README.md"
    introduction: "docs/src/introduction.md"
    outcomes: "docs/src/outcomes.md"
    retry: "docs/src/retry.md"
    budgets: "docs/src/budgets.md"
    deadlines: "docs/src/deadlines.md"
    breaker: "docs/src/breaker.md"
    bulkhead: "docs/src/bulkhead.md"
    rate: "docs/src/rate.md"
    pools: "docs/src/pools.md"
    keyed: "docs/src/keyed.md"
    stack: "docs/src/stack.md"
    shutdown: "docs/src/shutdown.md"
    profiles: "docs/src/profiles.md"
    health: "docs/src/health.md"
    http_client: "docs/src/http-client.md"
    http_server: "docs/src/http-server.md"
    http_bodies: "docs/src/http-bodies.md"
    leases: "docs/src/leases.md"
    ledger: "docs/src/ledger.md"
    idempotency: "docs/src/idempotency.md"
    batches: "docs/src/batches.md"
    outbox: "docs/src/outbox.md"
    stores: "docs/src/stores.md"
    observability: "docs/src/observability.md"
    testing: "docs/src/testing.md"
    pipeline: "docs/src/pipeline.md"
    limits: "docs/src/limits.md"
    glossary: "docs/src/glossary.md"
}
