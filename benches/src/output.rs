//! Where results go: `target/benches` of this workspace, whatever directory the command ran in, and the book.

use std::path::{Path, PathBuf};
use std::{fs, io};

/// Writes `contents` to a file of this name, and says where.
pub(crate) fn write(name: &str, contents: &str) -> io::Result<()> {
    put(&workspace().join("target/benches"), name, contents)
}

/// Writes a chart, and to the book as well if it is for the record.
pub(crate) fn chart(name: &str, contents: &str, docs: bool) -> io::Result<()> {
    let name = format!("{name}.svg");
    write(&name, contents)?;
    if docs { put(&workspace().join("docs/src/img"), &name, contents) } else { Ok(()) }
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
