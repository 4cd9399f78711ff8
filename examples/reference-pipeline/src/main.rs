//! The reference pipeline's one binary: the demo, and the processes that it starts.

use std::process::ExitCode;

fn main() -> ExitCode {
    reference_pipeline::cli::run()
}
