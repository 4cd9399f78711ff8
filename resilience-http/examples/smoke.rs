//! Smoke test of a deployed service.
//!
//! `cargo run -p resilience-http --features reqwest --example smoke -- http://127.0.0.1:8080`

use std::process::ExitCode;

use resilience_http::smoke::{Smoke, USAGE};

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    match Smoke::from_args(std::env::args().skip(1)) {
        Ok(suite) => {
            let report = suite.run().await;
            println!("{report}");
            report.exit_code()
        }
        Err(error) => {
            eprintln!("{error}\n\n{USAGE}");
            ExitCode::from(2)
        }
    }
}
