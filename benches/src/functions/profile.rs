//! The functions in the output of callgrind.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

/// Functions that ran, by file.
#[derive(Debug, Default)]
pub(super) struct Profile(BTreeMap<String, BTreeSet<String>>);

impl Profile {
    /// Reads the functions of the files below `folder`. Instances of one generic function count
    /// once, and a closure counts as a part of the function that contains it.
    pub(super) fn parse(text: &str, folder: &str) -> Profile {
        let mut profile = Profile::default();
        let mut file = None;
        for line in text.lines() {
            if let Some(path) = line.strip_prefix("fl=") {
                file = path.split_once(folder).map(|(_, file)| file.to_owned());
            } else if let (Some(name), Some(file)) = (line.strip_prefix("fn="), &file) {
                let name = name.split("::{{closure}}").next().unwrap_or(name);
                profile.0.entry(file.clone()).or_default().insert(name.to_owned());
            }
        }
        profile
    }

    pub(super) fn functions(&self) -> usize {
        self.0.values().map(BTreeSet::len).sum()
    }

    pub(super) fn files(&self) -> usize {
        self.0.len()
    }
}

impl fmt::Display for Profile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (file, functions) in &self.0 {
            writeln!(f, "  {file}")?;
            for function in functions {
                writeln!(f, "    {function}")?;
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn functions_of_other_folders_are_left_out() {
        let text = "fl=/a/src/one.rs\nfn=f\n1 2\nfn=f::{{closure}}\nfn=g\nfl=/std/lib.rs\nfn=h\nfl=/a/src/one.rs\nfn=f\n";
        let profile = Profile::parse(text, "a/src/");
        assert_eq!((profile.functions(), profile.files()), (2, 1));
        assert_eq!(profile.to_string(), "  one.rs\n    f\n    g\n");
    }
}
