//! A suite from command-line arguments.

use std::time::Duration;

use resilience_core::InvalidConfig;
use serde_json::Value;

use super::check::SmokeCheck;
use super::suite::{Smoke, SmokeBuilder};

/// The command line of [`Smoke::from_args`].
pub const USAGE: &str = "\
smoke URL [OPTION]...
  --timeout SECONDS             time limit of each check; default 5
  --no-probes                   do not check /health, /startup and /ready
  --get PATH                    add a check of this path
  --status STATUS               expected status of the last --get; default 200
  --json POINTER=VALUE          expected JSON value at a pointer, for the last --get
  --has POINTER                 expect any value at a pointer, for the last --get";

impl Smoke {
    /// Creates a suite from the arguments of a program, without its name. See [`USAGE`].
    ///
    /// ```
    /// use resilience_http::smoke::Smoke;
    ///
    /// let line = "http://127.0.0.1:8080 --get /predictions/1 --json /player=1 --has /points";
    /// let suite = Smoke::from_args(line.split(' ').map(str::to_owned))?;
    /// # let _ = suite;
    /// # Ok::<_, resilience_core::InvalidConfig>(())
    /// ```
    ///
    /// # Errors
    /// If an argument is unknown, or a value is out of its bounds.
    pub fn from_args(args: impl IntoIterator<Item = String>) -> Result<Smoke, InvalidConfig> {
        CommandLine::parse(args.into_iter())?.suite()?.build()
    }
}

/// The parsed arguments.
#[derive(Default)]
struct CommandLine {
    base: Option<String>,
    timeout: Option<Duration>,
    no_probes: bool,
    checks: Vec<SmokeCheck>,
}

impl CommandLine {
    fn parse(mut args: impl Iterator<Item = String>) -> Result<CommandLine, InvalidConfig> {
        let mut line = CommandLine::default();
        while let Some(arg) = args.next() {
            match arg.as_str() {
                "--timeout" => line.timeout = Some(seconds(&next_value(&mut args, "--timeout")?)?),
                "--no-probes" => line.no_probes = true,
                "--get" => {
                    line.checks.push(SmokeCheck::get(next_value(&mut args, "--get")?));
                }
                "--status" => {
                    let text = next_value(&mut args, "--status")?;
                    let status = text.parse();
                    let status = status.map_err(|_| invalid("--status", &text, "a number"))?;
                    line.change_last("--status", |check| check.status(status))?;
                }
                "--json" => {
                    let (pointer, value) = pair(&next_value(&mut args, "--json")?)?;
                    line.change_last("--json", |check| check.json(pointer, value))?;
                }
                "--has" => {
                    let pointer = next_value(&mut args, "--has")?;
                    line.change_last("--has", |check| check.has(pointer))?;
                }
                url if line.base.is_none() && !url.starts_with('-') => line.base = Some(arg),
                _ => return Err(invalid("argument", &arg, "one of the options")),
            }
        }
        Ok(line)
    }

    /// Changes the check of the last `--get`.
    fn change_last(
        &mut self,
        option: &'static str,
        change: impl FnOnce(SmokeCheck) -> SmokeCheck,
    ) -> Result<(), InvalidConfig> {
        let Some(last) = self.checks.pop() else {
            return Err(InvalidConfig::new(option, "the first option", "after a `--get`"));
        };
        self.checks.push(change(last));
        Ok(())
    }

    fn suite(self) -> Result<SmokeBuilder, InvalidConfig> {
        let base = self.base.ok_or(InvalidConfig::new("URL", "missing", "given"))?;
        let mut suite = Smoke::of(base);
        if let Some(timeout) = self.timeout {
            suite = suite.timeout(timeout);
        }
        if !self.no_probes {
            suite = suite.probes();
        }
        Ok(self.checks.into_iter().fold(suite, SmokeBuilder::check))
    }
}

fn next_value(
    args: &mut impl Iterator<Item = String>,
    option: &'static str,
) -> Result<String, InvalidConfig> {
    args.next().ok_or(InvalidConfig::new(option, "the last argument", "followed by its value"))
}

fn seconds(text: &str) -> Result<Duration, InvalidConfig> {
    let seconds = text.parse().ok().and_then(|seconds| Duration::try_from_secs_f64(seconds).ok());
    seconds.ok_or_else(|| invalid("--timeout", text, "a number of seconds"))
}

/// Splits `POINTER=VALUE` at the first `=`.
fn pair(text: &str) -> Result<(String, Value), InvalidConfig> {
    let bound = "a JSON pointer, `=` and a JSON value";
    let (pointer, value) = text.split_once('=').ok_or_else(|| invalid("--json", text, bound))?;
    let value = serde_json::from_str(value).map_err(|_| invalid("--json", text, bound))?;
    Ok((pointer.to_owned(), value))
}

fn invalid(field: &'static str, value: &str, bound: &'static str) -> InvalidConfig {
    InvalidConfig::new(field, format_args!("`{value}`"), bound)
}
