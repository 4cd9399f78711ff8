//! Command line of the program.

use std::process::ExitCode;

use clap::{Parser, Subcommand};
use tokio::runtime::Runtime;

use crate::bad_input::BadInput;
use crate::demo::{self, Options};
use crate::deploy::{rolling, smoke};
use crate::lifecycle::{INTERRUPTED, interrupted, while_parent_lives};
use crate::{BoxError, balance, contend, scrape, upstream, worker};

#[derive(Debug, Parser)]
#[command(about = "A data pipeline on real sockets, before and after resilience", after_help = EXIT_CODES)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

/// Limit on open files: those of the herd, and some to spare.
const OPEN_FILES: u64 = 2_048;

const EXIT_CODES: &str = "\
Exit codes: 0 every assertion holds, 1 one does not or the demo broke, 2 bad usage or bad input, \
130 interrupted";

#[derive(Debug, Subcommand)]
enum Command {
    /// Run both arms and print their figures side by side.
    Demo(Options),
    /// Serve predictions until a signal ends it. Configured by environment variables.
    Serve(worker::Orders),
    /// Check a deployed service and name what is wrong with it.
    Smoke(smoke::Line),
    /// Restart three workers behind a balancer, under load, round after round.
    Restart(rolling::Plan),
    /// Let many processes contend for one critical section: a naive lock beside a fenced lease.
    Contend(contend::Options),
    /// Contend as one of these processes. Started by `contend`.
    #[command(hide = true)]
    Contender(contend::worker::Orders),
    /// Balance the load of the workers. Started by the demo.
    #[command(hide = true)]
    Balance(balance::Orders),
    /// Serve as the upstream. Started by the demo.
    #[command(hide = true)]
    Upstream(upstream::Orders),
    /// Scrape the upstream. Started by the demo.
    #[command(hide = true)]
    Scrape(scrape::Orders),
}

/// Runs the command on the command line. Returns the exit code.
#[must_use]
pub fn run() -> ExitCode {
    // `parse` ends the process with exit code 2 on bad usage.
    let command = Cli::parse().command;
    // Each client of the herd is a connection, at both ends, and some systems start with a limit of
    // 256 files. If it cannot be raised, the herd's calls fail and name the cause.
    let _ = rlimit::increase_nofile_limit(OPEN_FILES);
    let runtime = match Runtime::new() {
        Ok(runtime) => runtime,
        Err(error) => return failed(&error.into()),
    };
    let code = runtime.block_on(carry_out(command));
    // A thread may still be blocked on stdin; a plain drop of the runtime would wait for it.
    runtime.shutdown_background();
    code
}

async fn carry_out(command: Command) -> ExitCode {
    let ended = match command {
        Command::Demo(options) => return until_interrupted(demo::run(&options)).await,
        Command::Serve(orders) if orders.child => {
            return code(while_parent_lives(worker::run(&orders))).await;
        }
        Command::Serve(orders) => return code(worker::run(&orders)).await,
        Command::Smoke(line) => return code(line.run()).await,
        Command::Restart(plan) => return until_interrupted(rolling::compare(plan)).await,
        Command::Contend(options) => return until_interrupted(contend::run(&options)).await,
        Command::Contender(orders) => while_parent_lives(contend::worker::run(&orders)).await,
        Command::Balance(orders) => while_parent_lives(balance::run(&orders)).await,
        Command::Upstream(orders) => while_parent_lives(upstream::run(&orders)).await,
        Command::Scrape(orders) => while_parent_lives(scrape::run(&orders)).await,
    };
    ended.map_or_else(|error| failed(&error), |()| ExitCode::SUCCESS)
}

/// Runs `work` until ctrl-C. The exit code is a success only if `work` returns `true`.
async fn until_interrupted(work: impl Future<Output = Result<bool, BoxError>>) -> ExitCode {
    tokio::select! {
        ended = work => match ended {
            Ok(true) => ExitCode::SUCCESS,
            Ok(false) => ExitCode::FAILURE,
            Err(error) => failed(&error),
        },
        () = interrupted() => {
            eprintln!("\ninterrupted");
            ExitCode::from(INTERRUPTED)
        }
    }
}

/// Returns the exit code of `work`, or that of its error.
async fn code(work: impl Future<Output = Result<ExitCode, BoxError>>) -> ExitCode {
    work.await.unwrap_or_else(|error| failed(&error))
}

fn failed(error: &BoxError) -> ExitCode {
    eprintln!("error: {error}");
    if error.is::<BadInput>() { ExitCode::from(2) } else { ExitCode::FAILURE }
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    #[test]
    fn the_command_line_is_consistent() {
        Cli::command().debug_assert();
    }
}
