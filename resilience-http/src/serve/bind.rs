//! Binding of a listener, with the address in its error.

use std::error::Error as StdError;
use std::fmt;
use std::io;

use tokio::net::{TcpListener, ToSocketAddrs};

/// Binds a TCP listener to `address`, with the defaults of [`TcpListener::bind`].
///
/// # Errors
/// If the address cannot be bound. Unlike the error of the operating system, a [`BindError`] has
/// the address.
pub async fn bind<A: ToSocketAddrs + fmt::Display>(address: A) -> Result<TcpListener, BindError> {
    let shown = address.to_string();
    TcpListener::bind(address).await.map_err(|source| BindError { address: shown, source })
}

/// An error of [`bind`].
#[derive(Debug)]
pub struct BindError {
    address: String,
    source: io::Error,
}

impl BindError {
    /// Returns the address, as it was passed to [`bind`].
    #[must_use]
    pub fn address(&self) -> &str {
        &self.address
    }

    /// Returns the error of the operating system.
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
