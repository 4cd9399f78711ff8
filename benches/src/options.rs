//! The flags of all commands. A handful does not pay for a parser crate.

use std::path::PathBuf;

/// The options of the command line.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Options {
    /// Fewer points and fewer rounds, for a look.
    pub quick: bool,
    /// The runs of each point of the contention experiment.
    pub trials: u32,
    /// The seed of its random numbers.
    pub seed: u64,
    /// A part of a name: figures and subjects without it are left out.
    pub only: Option<String>,
    /// The report of an earlier run, to compare with.
    pub against: Option<PathBuf>,
    /// The folder that results are written to, if not `target/benches`.
    pub out: Option<PathBuf>,
    /// Set if charts are written to the book as well.
    pub docs: bool,
    /// Set if the results become the baseline.
    pub bless: bool,
    /// The only subject to call. A parent process sets it for each of its child processes.
    pub one: Option<String>,
    /// The number of calls.
    pub calls: u64,
}

impl Default for Options {
    /// The trials of the published table.
    fn default() -> Options {
        Options {
            quick: false,
            trials: 400,
            seed: 2026,
            only: None,
            against: None,
            out: None,
            docs: false,
            bless: false,
            one: None,
            calls: 0,
        }
    }
}

impl Options {
    /// Reads the flags that the usage lists.
    ///
    /// # Errors
    /// If a flag is unknown or its value missing, or not a number in range.
    pub fn parse(mut args: impl Iterator<Item = String>) -> Result<Options, String> {
        let mut options = Options::default();
        while let Some(flag) = args.next() {
            match flag.as_str() {
                "--quick" => options.quick = true,
                "--docs" => options.docs = true,
                "--bless" => options.bless = true,
                "--calls" => options.calls = number(&flag, args.next())?,
                "--one" => options.one = Some(text(&flag, args.next())?),
                "--trials" => options.trials = number(&flag, args.next())?,
                "--seed" => options.seed = number(&flag, args.next())?,
                "--only" => options.only = Some(text(&flag, args.next())?),
                "--against" => options.against = Some(text(&flag, args.next())?.into()),
                "--out" => options.out = Some(text(&flag, args.next())?.into()),
                _ => return Err(format!("unknown flag `{flag}`")),
            }
        }
        // A spread needs two values.
        if options.trials < 2 {
            return Err("`--trials` must be at least 2".to_owned());
        }
        Ok(options)
    }
}

fn text(flag: &str, value: Option<String>) -> Result<String, String> {
    value.ok_or_else(|| format!("`{flag}` needs a value"))
}

fn number<T: std::str::FromStr>(flag: &str, value: Option<String>) -> Result<T, String> {
    let value = text(flag, value)?;
    value.parse().map_err(|_| format!("`{flag}` needs a number, not `{value}`"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(line: &str) -> Result<Options, String> {
        Options::parse(line.split_whitespace().map(str::to_owned))
    }

    #[test]
    fn flags_are_read_in_any_order() {
        let expected = Options { quick: true, trials: 60, seed: 7, ..Options::default() };
        assert_eq!(parse("--seed 7 --quick --trials 60"), Ok(expected));
        assert_eq!(parse(""), Ok(Options::default()));
        let against = Options {
            only: Some("stack".to_owned()),
            against: Some("report.json".into()),
            out: Some("here".into()),
            ..Options::default()
        };
        assert_eq!(parse("--only stack --out here --against report.json"), Ok(against));
    }

    #[test]
    fn bad_flags_are_named() {
        let bad = [
            "--trials",
            "--trials many",
            "--trials 1",
            "--seed -1",
            "--fast",
            "--only",
            "--against",
            "--out",
        ];
        for bad in bad {
            let flag = bad.split_whitespace().next().unwrap();
            assert!(parse(bad).unwrap_err().contains(flag), "{bad}");
        }
    }
}
