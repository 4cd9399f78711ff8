#![doc = include_str!("../README.md")]

// The book and the repository's front page are compiled here, where every crate can be used.
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

/// What goes wrong on the way, where nobody needs to tell one kind from another.
pub type BoxError = Box<dyn std::error::Error + Send + Sync>;
