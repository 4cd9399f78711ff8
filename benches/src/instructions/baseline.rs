//! The committed counts.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::{Value, json};
use tower::BoxError;

/// Instructions of a call, by the name of the subject.
#[derive(Debug, Default)]
pub(super) struct Baseline {
    pub(super) compiler: String,
    counts: BTreeMap<String, f64>,
}

impl Baseline {
    pub(super) fn of(compiler: String) -> Baseline {
        Baseline { compiler, counts: BTreeMap::new() }
    }

    /// Reads the committed baseline. Returns an empty baseline if the file does not exist.
    pub(super) fn read() -> Result<Baseline, BoxError> {
        match std::fs::read_to_string(path()) {
            Ok(text) => Baseline::parse(&text),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(Baseline::default()),
            Err(error) => Err(error.into()),
        }
    }

    fn parse(text: &str) -> Result<Baseline, BoxError> {
        let value: Value = serde_json::from_str(text)?;
        let compiler = value["compiler"].as_str().ok_or("`compiler` is missing")?.to_owned();
        let counts = value["instructions"].as_object().ok_or("`instructions` is missing")?;
        let counts =
            counts.iter().filter_map(|(name, count)| Some((name.clone(), count.as_f64()?)));
        Ok(Baseline { compiler, counts: counts.collect() })
    }

    pub(super) fn set(&mut self, name: String, count: f64) {
        self.counts.insert(name, count.round());
    }

    pub(super) fn write(&self) -> Result<(), BoxError> {
        let value = json!({ "compiler": self.compiler, "instructions": self.counts });
        Ok(std::fs::write(path(), format!("{value:#}\n"))?)
    }

    /// Why this is not as it was, if it is not: a part too many, or too few to leave unsaid. Half
    /// an instruction is rounding.
    pub(super) fn verdict(&self, name: &str, count: f64, tolerance: f64) -> Result<(), String> {
        let Some(&known) = self.counts.get(name) else {
            return Err("not in the baseline (`instructions --bless` writes it)".to_owned());
        };
        if (count - known).abs() <= (known * tolerance).max(0.5) {
            return Ok(());
        }
        Err(format!("{known} in the baseline, {:+.1} %", (count / known - 1.0) * 100.0))
    }
}

/// Returns the version of the compiler, on which the counts depend.
pub(super) fn compiler() -> Result<String, BoxError> {
    let version =
        Command::new(option_env!("RUSTC").unwrap_or("rustc")).arg("--version").output()?;
    Ok(String::from_utf8(version.stdout)?.trim().to_owned())
}

fn path() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("instructions.json")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn three_percent_either_way_are_as_before() {
        let mut baseline = Baseline::of("rustc".to_owned());
        baseline.set("a".to_owned(), 200.0);
        for (count, good) in [(206.0, true), (194.0, true), (206.5, false), (193.0, false)] {
            assert_eq!(baseline.verdict("a", count, 0.03).is_ok(), good, "{count}");
        }
        assert!(baseline.verdict("b", 1.0, 0.03).unwrap_err().contains("--bless"));
    }

    #[test]
    fn garbage_is_named() {
        assert!(Baseline::parse("{}").unwrap_err().to_string().contains("compiler"));
        let parsed = Baseline::parse(r#"{"compiler": "x", "instructions": {"a": 3}}"#).unwrap();
        assert_eq!(parsed.counts["a"], 3.0);
    }
}
