//! The public API of each crate, as committed text: compares it with the code, or rewrites it.
//!
//! `cargo run --manifest-path .ci/surface/Cargo.toml` compares; `-- bless` rewrites. The input is rustdoc's JSON, which a
//! stable toolchain writes with `RUSTC_BOOTSTRAP=1`.

mod foreign;
mod listing;
mod packages;

use std::error::Error;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};

use listing::Listing;
use packages::{PACKAGES, Package};

type Result<T> = std::result::Result<T, Box<dyn Error>>;

fn main() -> Result<ExitCode> {
    let bless = match std::env::args().nth(1).as_deref() {
        None => false,
        Some("bless") => true,
        Some(other) => {
            return Err(format!("unknown argument `{other}`: expected `bless` or none").into());
        }
    };
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let mut complaints = Vec::new();
    for package in PACKAGES {
        let listing = Listing::read(&rustdoc_json(&root, package.name)?, package.name)?;
        println!(
            "{}: {} public structs (at most {}), {} items with a second path (at most {})",
            package.name,
            listing.structs,
            package.most_structs,
            listing.second_paths.len(),
            package.most_second_paths
        );
        complaints.extend(limits(package, &listing));
        complaints.extend(foreign::complaints(package, &listing));
        let file = root.join(package.name).join("public-api.txt");
        if bless {
            std::fs::write(&file, listing.text())?;
        } else {
            complaints.extend(differences(&file, &listing.text()));
        }
    }
    for complaint in &complaints {
        eprintln!("{complaint}");
    }
    Ok(if complaints.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// Builds rustdoc's JSON of `package` with all features, and returns its path.
fn rustdoc_json(root: &Path, package: &str) -> Result<PathBuf> {
    let target = root.join("target/surface");
    let status = Command::new("cargo")
        .current_dir(root)
        .args(["rustdoc", "--quiet", "--lib", "--all-features", "-p", package, "--target-dir"])
        .arg(&target)
        .args(["--", "-Zunstable-options", "--output-format", "json"])
        .env("RUSTC_BOOTSTRAP", "1")
        .status()?;
    if !status.success() {
        return Err(format!("cargo rustdoc of {package} failed").into());
    }
    Ok(target.join("doc").join(package.replace('-', "_")).with_extension("json"))
}

/// Returns a complaint for each limit of `package` that its listing exceeds.
fn limits(package: &Package, listing: &Listing) -> Vec<String> {
    let mut complaints = Vec::new();
    if listing.structs > package.most_structs {
        complaints.push(format!("{}: too many public structs", package.name));
    }
    if listing.second_paths.len() > package.most_second_paths {
        let paths = listing.second_paths.join("\n    ");
        complaints.push(format!("{}: items with a second path:\n    {paths}", package.name));
    }
    complaints
}

/// Returns the lines that only one of the committed file and the present text has, or nothing if both are equal.
fn differences(file: &Path, present: &str) -> Vec<String> {
    let committed = std::fs::read_to_string(file).unwrap_or_default();
    if committed == present {
        return Vec::new();
    }
    let only_in = |text: &str, other: &str, sign: &str| -> Vec<String> {
        let mut others: Vec<&str> = other.lines().collect();
        others.sort_unstable();
        text.lines()
            .filter(|line| others.binary_search(line).is_err())
            .map(|line| format!("{sign}{line}"))
            .collect()
    };
    let mut complaints =
        vec![format!("{} differs from the code; `just api-bless` rewrites it", file.display())];
    complaints.extend(only_in(&committed, present, "-"));
    complaints.extend(only_in(present, &committed, "+"));
    complaints
}
