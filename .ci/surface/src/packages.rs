//! The published crates, and the limits of their public API.

/// A published crate and the limits of its public API.
pub struct Package {
    pub name: &'static str,
    /// The most public structs.
    pub most_structs: usize,
    /// The most items that can be named by a second path.
    pub most_second_paths: usize,
    /// The foreign crates that the public API may name, each with the modules that may name it.
    pub foreign: &'static [(&'static str, Modules)],
}

/// The top-level modules that may name a foreign crate's types.
pub enum Modules {
    Any,
    Of(&'static [&'static str]),
}
use Modules::{Any, Of};

pub const PACKAGES: &[Package] = &[
    Package {
        name: "resilience-core",
        // 130 of the policies, 50 of `flow` and its test kit.
        most_structs: 180,
        most_second_paths: 0,
        foreign: &[
            ("deadpool", Of(&["pool"])),
            // `Elapsed`, which `AsOutcome` classifies.
            ("tokio", Of(&["crate"])),
            ("tower_layer", Any),
            ("tower_service", Any),
        ],
    },
    Package {
        name: "resilience-http",
        most_structs: 102,
        most_second_paths: 3,
        foreign: &[
            ("bytes", Any),
            ("http", Any),
            ("http_body", Any),
            ("http_body_util", Of(&["client", "health"])),
            ("hyper", Of(&["client", "serve"])),
            ("hyper_util", Of(&["client"])),
            ("reqwest", Of(&["classify", "client", "idempotency", "propagate", "smoke"])),
            ("resilience_core", Any),
            ("serde_core", Of(&["client"])),
            ("serde_json", Of(&["smoke"])),
            ("tokio", Of(&["serve"])),
            ("tonic", Of(&["classify", "server"])),
            ("tonic_health", Of(&["health"])),
            ("tower_layer", Any),
            ("tower_service", Any),
        ],
    },
    Package {
        name: "resilience-gcp",
        most_structs: 2,
        most_second_paths: 3,
        foreign: &[("resilience_core", Any)],
    },
];
