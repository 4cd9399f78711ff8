#![doc = include_str!("../README.md")]
#![cfg_attr(docsrs, feature(doc_cfg))]

mod digest;
#[cfg(feature = "sqlite")]
mod migration;
mod open;
#[cfg(feature = "sqlite")]
mod retention;
#[cfg(feature = "sqlite")]
pub mod sqlite;

pub use digest::{content_hash, fingerprint};
#[cfg(feature = "sqlite")]
pub use migration::{MigrationStep, Migrations};
pub use open::{Stores, open};
#[cfg(feature = "sqlite")]
pub use retention::{Removed, Retention, TableSize};
