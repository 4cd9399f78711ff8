#![doc = include_str!("../README.md")]

pub mod bigquery;
pub mod classify;
pub mod presets;
pub mod retry_info;

pub use bigquery::BigQueryError;
pub use classify::{Code, Status};
