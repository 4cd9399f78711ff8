//! Types of other crates in the public API, and the modules that may name them.

use crate::listing::Listing;
use crate::packages::{Modules, Package};

/// Returns a complaint for each foreign type outside the modules that may name its crate.
pub fn complaints(package: &Package, listing: &Listing) -> Vec<String> {
    let allowed = |name: &str, module: &str| {
        package.foreign.iter().any(|(krate, modules)| {
            *krate == name
                && match modules {
                    Modules::Any => true,
                    Modules::Of(modules) => modules.contains(&module),
                }
        })
    };
    let mut complaints = Vec::new();
    for (krate, modules) in &listing.foreign {
        for module in modules.iter().filter(|module| !allowed(krate, module)) {
            complaints.push(format!(
                "{}: a type of `{krate}` in the public API of `{module}`",
                package.name
            ));
        }
    }
    complaints
}
