//! What does a retry layer cost a call that succeeds?
//!
//! Nearly every call does, so this is the price of the layer. Whatever is compared is called in turn
//! within each round, on one thread's CPU clock: a machine that is busy for a while is busy for all.
//! Each number is a median over the rounds, and each ratio is the median of the rounds' own ratios.

mod measure;
mod peers;
mod report;
mod subject;
mod subjects;
mod together;

use tower::BoxError;

use crate::options::Options;
use crate::output;
use measure::{Effort, Measured};
pub use measure::{allocations, cpu_time};
pub use subject::{Batch, Group, Subject};
pub use subjects::subjects;

/// Measures every subject, prints and writes the results, and says whether ours allocate nothing.
///
/// # Errors
/// If a subject cannot be made, its service fails, or a file cannot be written.
pub fn run(options: &Options) -> Result<bool, BoxError> {
    let effort = Effort::new(options.quick);
    let subjects = subjects()?;
    let measured = measure::all(&subjects, effort)?;
    print!("{}", report::table(&measured, effort));
    output::write("retry.json", &report::json(&measured, effort))?;
    Ok(!measured.iter().any(Measured::allocates_against_the_promise))
}
