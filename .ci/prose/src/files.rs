//! The texts of the repository.

use std::io;
use std::path::Path;

/// Folders that hold no text of ours.
const LEFT_OUT: [&str; 7] =
    ["target", ".git", "corpus", "book", "node_modules", "proptest-regressions", "ui"];

/// A source file or a document.
pub struct Text {
    /// The path from the root of the repository, with `/`.
    pub path: String,
    /// The content.
    pub content: String,
}

impl Text {
    /// Returns `true` if the text is this file, or in this folder.
    pub fn is_in(&self, part: &str) -> bool {
        self.path.strip_prefix(part).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
    }

    /// Returns `true` for Rust.
    pub fn is_rust(&self) -> bool {
        has_extension(&self.path, "rs")
    }
}

fn has_extension(path: &str, extension: &str) -> bool {
    Path::new(path).extension().is_some_and(|it| it == extension)
}

/// Reads all Rust and Markdown files, sorted by path.
pub fn read(root: &Path) -> io::Result<Vec<Text>> {
    let mut texts = Vec::new();
    read_folder(root, "", &mut texts)?;
    texts.sort_by(|a, b| a.path.cmp(&b.path));
    Ok(texts)
}

fn read_folder(folder: &Path, prefix: &str, texts: &mut Vec<Text>) -> io::Result<()> {
    for entry in std::fs::read_dir(folder)? {
        let entry = entry?;
        let name = entry.file_name().to_string_lossy().into_owned();
        let path = format!("{prefix}{name}");
        if entry.file_type()?.is_dir() {
            if !LEFT_OUT.contains(&name.as_str()) {
                read_folder(&entry.path(), &format!("{path}/"), texts)?;
            }
        } else if has_extension(&name, "rs") || has_extension(&name, "md") {
            texts.push(Text { path, content: std::fs::read_to_string(entry.path())? });
        }
    }
    Ok(())
}
