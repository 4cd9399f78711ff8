//! Where a server listens.

use std::error::Error as StdError;
use std::fmt;
use std::io;

use tokio::net::{TcpListener, ToSocketAddrs};

/// A listener on `address`.
///
/// # Errors
/// If there cannot be one. Unlike the operating system's, the error says which address.
pub async fn bind<A: ToSocketAddrs + fmt::Display>(address: A) -> Result<TcpListener, BindError> {
    let shown = address.to_string();
    TcpListener::bind(address).await.map_err(|source| BindError { address: shown, source })
}

/// There can be no listener on an address.
#[derive(Debug)]
pub struct BindError {
    address: String,
    source: io::Error,
}

impl BindError {
    /// Which address.
    #[must_use]
    pub fn address(&self) -> &str {
        &self.address
    }

    /// Why.
    #[must_use]
    pub const fn reason(&self) -> &io::Error {
        &self.source
    }
}

impl fmt::Display for BindError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "cannot listen on {}: {}", self.address, self.source)
    }
}

impl StdError for BindError {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        Some(&self.source)
    }
}
