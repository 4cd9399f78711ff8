#![doc = include_str!("../README.md")]

pub mod bigquery;
pub mod classify;
pub mod presets;

pub use bigquery::BigQueryError;
pub use classify::{Code, Status};
/// `google.rpc.RetryInfo`, which any gRPC server may send.
pub use resilience_http::hints::retry_info;
