//! Access to the headers of requests and responses of any type.

use http::HeaderMap;

/// A request or a response with headers: `http`'s, and with the feature `reqwest` reqwest's.
pub trait HasHeaders {
    /// Returns the headers.
    fn headers(&self) -> &HeaderMap;
}

/// A request with writable headers.
pub trait HasHeadersMut: HasHeaders {
    /// Returns the headers.
    fn headers_mut(&mut self) -> &mut HeaderMap;
}

impl<B> HasHeaders for http::Request<B> {
    fn headers(&self) -> &HeaderMap {
        self.headers()
    }
}

impl<B> HasHeadersMut for http::Request<B> {
    fn headers_mut(&mut self) -> &mut HeaderMap {
        self.headers_mut()
    }
}

impl<B> HasHeaders for http::Response<B> {
    fn headers(&self) -> &HeaderMap {
        self.headers()
    }
}

#[cfg(feature = "reqwest")]
impl HasHeaders for reqwest::Request {
    fn headers(&self) -> &HeaderMap {
        self.headers()
    }
}

#[cfg(feature = "reqwest")]
impl HasHeadersMut for reqwest::Request {
    fn headers_mut(&mut self) -> &mut HeaderMap {
        self.headers_mut()
    }
}

#[cfg(feature = "reqwest")]
impl HasHeaders for reqwest::Response {
    fn headers(&self) -> &HeaderMap {
        self.headers()
    }
}
