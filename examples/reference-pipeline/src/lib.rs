#![doc = include_str!("../README.md")]

// Snippets of the book and the README are compiled here, since this package depends on all crates.
#[cfg(doctest)]
mod book;

pub mod bad_input;
pub mod balance;
pub mod cli;
pub mod contend;
pub mod demo;
pub mod deploy;
pub mod league;
pub mod lifecycle;
mod percentile;
mod process;
mod progress;
pub mod scrape;
pub mod seeded;
pub mod upstream;
pub mod worker;

/// Error of any kind, where callers do not distinguish the kinds.
pub type BoxError = Box<dyn std::error::Error + Send + Sync>;
