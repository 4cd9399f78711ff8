//! Binary of the demo and of the processes that it starts.

use std::process::ExitCode;

fn main() -> ExitCode {
    reference_pipeline::cli::run()
}
