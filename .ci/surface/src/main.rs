//! The public API of each crate, as committed text: compares it with the code, or rewrites it.
//!
//! `cargo run --manifest-path .ci/surface/Cargo.toml` compares; `-- bless` rewrites. The input is
//! rustdoc's JSON.

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
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").canonicalize()?;
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
            complaints.extend(difference(&file, &listing.text())?);
        }
    }
    for complaint in &complaints {
        eprintln!("{complaint}");
    }
    Ok(if complaints.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// Builds rustdoc's JSON of `package` with all features, and returns its path.
fn rustdoc_json(root: &Path, package: &str) -> Result<PathBuf> {
    let status = Command::new("cargo")
        .current_dir(root)
        .args(["rustdoc", "--quiet", "--lib", "--all-features", "-p", package])
        .args(["--", "-Zunstable-options", "--output-format", "json"])
        .env("RUSTDOC", root.join(".ci/surface/rustdoc"))
        .status()?;
    if !status.success() {
        return Err(format!("cargo rustdoc of {package} failed").into());
    }
    Ok(root.join("target/doc").join(package.replace('-', "_")).with_extension("json"))
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

/// Prints how `present` differs from the committed `file`. Returns a complaint if it does.
fn difference(file: &Path, present: &str) -> Result<Option<String>> {
    if std::fs::read_to_string(file).is_ok_and(|committed| committed == present) {
        return Ok(None);
    }
    let scratch = file.with_extension("txt.new");
    std::fs::write(&scratch, present)?;
    // `-F`: above each difference, the item that it belongs to.
    let shown = Command::new("diff")
        .args(["-U1", "-F^.*pub [a-z]* crate::"])
        .arg(file)
        .arg(&scratch)
        .status();
    std::fs::remove_file(&scratch)?;
    shown?;
    Ok(Some(format!("{} differs from the code; `just api-bless` rewrites it", file.display())))
}
