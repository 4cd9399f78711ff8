#![doc = include_str!("../README.md")]
#![cfg_attr(docsrs, feature(doc_cfg))]

mod digest;
#[cfg(any(feature = "postgres", feature = "sqlite"))]
mod migration;
mod open;
#[cfg(feature = "postgres")]
pub mod postgres;
#[cfg(feature = "redis")]
pub mod redis;
mod retention;
#[cfg(any(feature = "postgres", feature = "redis", feature = "sqlite"))]
mod rows;
#[cfg(feature = "sqlite")]
pub mod sqlite;

pub use digest::{content_hash, fingerprint};
#[cfg(any(feature = "postgres", feature = "sqlite"))]
pub use migration::{MigrationStep, Migrations};
pub use open::{Stores, open};
pub use retention::{Removed, Retention, TableSize};
