//! Faults of a deploy.

use std::fmt;

use clap::ValueEnum;

/// A seeded fault. Each one reached production undetected in the motivating system.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
#[non_exhaustive]
pub enum Fault {
    /// A required environment variable is not set.
    Unconfigured,
    /// A required library is not in the image.
    MissingDependency,
    /// The store cannot be read.
    NoStore,
    /// The worker never finishes loading.
    Loading,
    /// The worker accepts requests and never responds.
    Hangs,
    /// The worker responds with an empty list.
    Empty,
}

impl Fault {
    /// All faults.
    pub const ALL: [Fault; 6] = [
        Fault::Unconfigured,
        Fault::MissingDependency,
        Fault::NoStore,
        Fault::Loading,
        Fault::Hangs,
        Fault::Empty,
    ];

    /// Returns the text by which a report names the fault: part of a check's name or result.
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
