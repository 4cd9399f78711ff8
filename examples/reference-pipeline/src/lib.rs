#![doc = include_str!("../README.md")]

// The book and the repository's front page are compiled here, where every crate can be used.
#[cfg(doctest)]
mod book;

pub mod bad_input;
pub mod cli;
pub mod demo;
pub mod league;
pub mod lifecycle;
pub mod scrape;
pub mod seeded;
pub mod upstream;

/// What goes wrong on the way, where nobody needs to tell one kind from another.
pub type BoxError = Box<dyn std::error::Error + Send + Sync>;
