//! The flags of both experiments. Two experiments and three flags do not pay for a parser crate.

/// What was asked for on the command line.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Options {
    /// Fewer points and fewer rounds, for a look.
    pub quick: bool,
    /// How often each point of the contention experiment is run.
    pub trials: u32,
    /// Where its random numbers start.
    pub seed: u64,
}

impl Default for Options {
    /// As many trials as the published table was made with.
    fn default() -> Options {
        Options { quick: false, trials: 400, seed: 2026 }
    }
}

impl Options {
    /// Reads `--trials N`, `--seed N` and `--quick`.
    ///
    /// # Errors
    /// If a flag is unknown or its value not a number in range.
    pub fn parse(mut args: impl Iterator<Item = String>) -> Result<Options, String> {
        let mut options = Options::default();
        while let Some(flag) = args.next() {
            match flag.as_str() {
                "--quick" => options.quick = true,
                "--trials" => options.trials = number(&flag, args.next())?,
                "--seed" => options.seed = number(&flag, args.next())?,
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

fn number<T: std::str::FromStr>(flag: &str, value: Option<String>) -> Result<T, String> {
    let value = value.ok_or_else(|| format!("`{flag}` needs a number"))?;
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
        let expected = Options { quick: true, trials: 60, seed: 7 };
        assert_eq!(parse("--seed 7 --quick --trials 60"), Ok(expected));
        assert_eq!(parse(""), Ok(Options::default()));
    }

    #[test]
    fn bad_flags_are_named() {
        for bad in ["--trials", "--trials many", "--trials 1", "--seed -1", "--fast"] {
            let flag = bad.split_whitespace().next().unwrap();
            assert!(parse(bad).unwrap_err().contains(flag), "{bad}");
        }
    }
}
