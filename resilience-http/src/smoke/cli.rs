//! A suite from a command line.

use std::time::Duration;

use resilience_core::InvalidConfig;
use serde_json::Value;

use super::check::SmokeCheck;
use super::suite::{Smoke, SmokeBuilder};

/// What [`Smoke::from_args`] understands.
pub const USAGE: &str = "\
smoke URL [OPTION]...
  --timeout SECONDS             for each check; 5 unless given
  --no-probes                   not /health, /startup and /ready
  --get PATH                    another check
  --status STATUS               of the last --get: this is its status; 200 unless given
  --json POINTER=VALUE          of the last --get: this JSON value is at this place
  --has POINTER                 of the last --get: something is at this place";

impl Smoke {
    /// A suite from the arguments of a program, its name left out. See [`USAGE`].
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
    /// If they are not understood, or a value is out of its bounds.
    pub fn from_args(args: impl IntoIterator<Item = String>) -> Result<Smoke, InvalidConfig> {
        Line::read(args.into_iter())?.suite()?.build()
    }
}

/// What a command line asks for.
#[derive(Default)]
struct Line {
    base: Option<String>,
    timeout: Option<Duration>,
    no_probes: bool,
    checks: Vec<SmokeCheck>,
}

impl Line {
    fn read(mut args: impl Iterator<Item = String>) -> Result<Line, InvalidConfig> {
        let mut line = Line::default();
        while let Some(arg) = args.next() {
            match arg.as_str() {
                "--timeout" => line.timeout = Some(seconds(&following(&mut args, "--timeout")?)?),
                "--no-probes" => line.no_probes = true,
                "--get" => {
                    line.checks.push(SmokeCheck::get(following(&mut args, "--get")?));
                }
                "--status" => {
                    let text = following(&mut args, "--status")?;
                    let status = text.parse();
                    let status = status.map_err(|_| unusable("--status", &text, "a number"))?;
                    line.of_last("--status", |check| check.status(status))?;
                }
                "--json" => {
                    let (pointer, value) = pair(&following(&mut args, "--json")?)?;
                    line.of_last("--json", |check| check.json(pointer, value))?;
                }
                "--has" => {
                    let pointer = following(&mut args, "--has")?;
                    line.of_last("--has", |check| check.has(pointer))?;
                }
                url if line.base.is_none() && !url.starts_with('-') => line.base = Some(arg),
                _ => return Err(unusable("argument", &arg, "one of the options")),
            }
        }
        Ok(line)
    }

    fn of_last(
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

fn following(
    args: &mut impl Iterator<Item = String>,
    option: &'static str,
) -> Result<String, InvalidConfig> {
    args.next().ok_or(InvalidConfig::new(option, "the last argument", "followed by its value"))
}

fn seconds(text: &str) -> Result<Duration, InvalidConfig> {
    let seconds = text.parse().ok().and_then(|seconds| Duration::try_from_secs_f64(seconds).ok());
    seconds.ok_or_else(|| unusable("--timeout", text, "a number of seconds"))
}

/// `POINTER=VALUE`, at the first `=`.
fn pair(text: &str) -> Result<(String, Value), InvalidConfig> {
    let bound = "a JSON pointer, `=` and a JSON value";
    let (pointer, value) = text.split_once('=').ok_or_else(|| unusable("--json", text, bound))?;
    let value = serde_json::from_str(value).map_err(|_| unusable("--json", text, bound))?;
    Ok((pointer.to_owned(), value))
}

fn unusable(field: &'static str, value: &str, bound: &'static str) -> InvalidConfig {
    InvalidConfig::new(field, format_args!("`{value}`"), bound)
}
