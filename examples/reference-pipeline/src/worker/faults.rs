//! What can be wrong with a deploy.

use std::fmt;

use clap::ValueEnum;

/// A seeded fault. Each is one that reached production unseen in the motivating system.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
#[non_exhaustive]
pub enum Fault {
    /// A variable is not set.
    Unconfigured,
    /// A library that it needs is not in the image.
    MissingDependency,
    /// The store cannot be read.
    NoStore,
    /// It never finishes loading.
    Loading,
    /// It accepts requests, and never answers.
    Hangs,
    /// It answers, and there is nothing in the answer.
    Empty,
}

impl Fault {
    /// All of them.
    pub const ALL: [Fault; 6] = [
        Fault::Unconfigured,
        Fault::MissingDependency,
        Fault::NoStore,
        Fault::Loading,
        Fault::Hangs,
        Fault::Empty,
    ];

    /// What the one who deploys must be told about it: a part of the name of a check, or of its answer.
    #[must_use]
    pub const fn named(self) -> &'static str {
        match self {
            Fault::Unconfigured => super::SYSTEMS,
            Fault::MissingDependency => "predictor",
            Fault::NoStore => "store",
            Fault::Loading => "startup",
            Fault::Hangs | Fault::Empty => "predictions",
        }
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Fault::Unconfigured => "unconfigured",
            Fault::MissingDependency => "missing-dependency",
            Fault::NoStore => "no-store",
            Fault::Loading => "loading",
            Fault::Hangs => "hangs",
            Fault::Empty => "empty",
        })
    }
}
