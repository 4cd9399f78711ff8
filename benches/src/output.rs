//! Where results go: `target/benches` of this workspace, whatever directory the command ran in.

use std::path::{Path, PathBuf};
use std::{fs, io};

/// Writes `contents` to a file of this name, and says where.
pub(crate) fn write(name: &str, contents: &str) -> io::Result<()> {
    let folder = folder();
    fs::create_dir_all(&folder)?;
    let path = folder.join(name);
    fs::write(&path, contents)?;
    eprintln!("wrote {}", path.display());
    Ok(())
}

fn folder() -> PathBuf {
    let workspace = Path::new(env!("CARGO_MANIFEST_DIR")).parent();
    workspace.unwrap_or(Path::new(".")).join("target/benches")
}
