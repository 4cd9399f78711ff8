//! Certificate and key files for reqwest's client.

mod error;
mod files;
mod identity;
mod pem;

pub use error::{TlsFileError, TlsFileProblem};
pub(super) use files::TlsFiles;
