//! Growth of cost and memory with the work.
//!
//! The x axis of each figure is a size (calls in a window, keys, waiters, layers) in steps of ten,
//! the y axis a measurement. Counts have targets that every run must meet; times are reported.

mod child;
mod churn;
mod depth;
mod figure;
mod flood;
mod hostile;
mod keys;
mod memory;
mod report;
mod resident;
mod sweep;
pub mod waiters;
mod windows;

use tower::BoxError;

use crate::options::Options;
use crate::output;
use crate::target::{self, Target};
use figure::Figure;

/// Figures that are measured together.
struct Group {
    names: &'static [&'static str],
    measure: fn(quick: bool) -> Result<Vec<Figure>, BoxError>,
}

/// All groups, in the order of the report.
const GROUPS: [Group; 7] = [
    windows::GROUP,
    keys::GROUP,
    memory::GROUP,
    hostile::GROUP,
    churn::GROUP,
    waiters::GROUP,
    depth::GROUP,
];

/// Measures every figure, prints and writes the results, and returns `true` if all counts meet
/// their targets.
///
/// # Errors
/// If a configuration is invalid, a call fails, or a file cannot be written.
pub fn run(options: &Options) -> Result<bool, BoxError> {
    if let Some(name) = &options.one {
        println!("{}", child::answer(name, options.calls)?);
        return Ok(true);
    }
    let figures = measure(options)?;
    let targets: Vec<Target> =
        figures.iter().flat_map(|figure| figure.targets.iter().cloned()).collect();
    print!("{}", report::table(&figures));
    print!("{}", target::table(&targets));
    output::write(options, "scale.json", &format!("{:#}\n", report::json(&figures, &targets)))?;
    output::table(options, "scale-targets", &target::document(&targets))?;
    for figure in &figures {
        let name = format!("scale-{}", figure.name.replace(' ', "-"));
        output::chart(options, &name, &report::chart(figure))?;
    }
    let failed: Vec<&Target> = targets.iter().filter(|target| target.fails()).collect();
    for target in &failed {
        println!("FAILED {}: {}", target.figure, target.text());
    }
    Ok(failed.is_empty())
}

/// Measures the figures with `only` in their names. Groups without such a figure do not run.
fn measure(options: &Options) -> Result<Vec<Figure>, BoxError> {
    let only = options.only.as_deref().unwrap_or_default();
    let wanted = |group: &&Group| group.names.iter().any(|name| name.contains(only));
    let mut figures = Vec::new();
    for group in GROUPS.iter().filter(wanted) {
        eprintln!("{}", group.names.join(", "));
        figures.extend((group.measure)(options.quick)?);
        eprintln!();
    }
    figures.retain(|figure| figure.name.contains(only));
    if figures.is_empty() {
        return Err(format!("no figure has `{only}` in its name, or it was skipped").into());
    }
    Ok(figures)
}

/// Returns `first` and each tenfold of it, up to and including `last`.
fn tenfolds(first: u64, last: u64) -> impl Iterator<Item = u64> {
    std::iter::successors(Some(first), |size| size.checked_mul(10))
        .take_while(move |size| *size <= last)
}
