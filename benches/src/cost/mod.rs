//! What does a layer cost a call that succeeds?
//!
//! Nearly every call does, so this is the price of the layer. Whatever is compared is called in turn
//! within each round, on one thread's CPU clock: a machine that is busy for a while is busy for all.
//! Each number is a median over the rounds, and each ratio is the median of the rounds' own ratios.

mod cpu;
mod measure;
mod report;
mod subject;
mod together;

use tower::BoxError;

use crate::options::Options;
use crate::output;
pub use cpu::cpu_time;
pub use measure::allocations;
use measure::{Effort, Measured};
pub use subject::{Batch, Group, Subject};

/// Measures every subject, prints the results and writes them to `file`, and says whether ours
/// allocate nothing.
///
/// # Errors
/// If a service fails, or a file cannot be written.
pub fn run(subjects: &[Subject], file: &str, options: &Options) -> Result<bool, BoxError> {
    let effort = Effort::new(options.quick);
    let measured = measure::all(subjects, effort)?;
    print!("{}", report::table(&measured, effort));
    output::write(file, &report::json(&measured, effort))?;
    Ok(!measured.iter().any(Measured::allocates_against_the_promise))
}
