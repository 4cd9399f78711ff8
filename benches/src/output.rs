//! Where results go: `target/benches` of this workspace, whatever directory the command ran in, or
//! where they were asked for; and the book.

use std::path::{Path, PathBuf};
use std::{fs, io};

use crate::options::Options;

/// Writes `contents` to a file of this name, and prints its path.
pub(crate) fn write(options: &Options, name: &str, contents: &str) -> io::Result<()> {
    match &options.out {
        Some(folder) => put(folder, name, contents),
        None => put(&workspace().join("target/benches"), name, contents),
    }
}

/// Writes a chart, with a copy in the book if `--docs` is set.
pub(crate) fn chart(options: &Options, name: &str, contents: &str) -> io::Result<()> {
    let name = format!("{name}.svg");
    write(options, &name, contents)?;
    if options.docs { put(&workspace().join("docs/src/img"), &name, contents) } else { Ok(()) }
}

/// Writes a table for a page of the book if `--docs` is set; otherwise does nothing.
pub(crate) fn table(options: &Options, name: &str, contents: &str) -> io::Result<()> {
    let folder = workspace().join("docs/src/tables");
    if options.docs { put(&folder, &format!("{name}.md"), contents) } else { Ok(()) }
}

fn put(folder: &Path, name: &str, contents: &str) -> io::Result<()> {
    fs::create_dir_all(folder)?;
    let path = folder.join(name);
    fs::write(&path, contents)?;
    eprintln!("wrote {}", path.display());
    Ok(())
}

fn workspace() -> PathBuf {
    let package = Path::new(env!("CARGO_MANIFEST_DIR"));
    package.parent().unwrap_or(Path::new(".")).to_owned()
}
