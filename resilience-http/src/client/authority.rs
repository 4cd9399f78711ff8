//! Whose state a request belongs to.

use std::fmt::{self, Write as _};

use http::Uri;
use resilience_core::Name;
use resilience_core::keyed::{Key, Text};

/// Scheme, host and port, as `https://api.example:8443`: what has one connection pool, one circuit and one
/// limit.
///
/// Hosts are compared in lower case, and a port that is the scheme's own is left out: addresses that reach
/// the same server are the same key.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct Authority(String);

/// The longest that there can be: a name in the DNS has 253 octets. Whatever a stranger writes into an
/// address, a key is small.
const MAX_HOST: usize = 255;

impl Authority {
    /// The authority of these parts, if that can be one.
    #[must_use]
    pub fn new(scheme: &str, host: &str, port: Option<u16>) -> Option<Authority> {
        let host = host.strip_suffix('.').unwrap_or(host);
        if !matches!(scheme, "http" | "https") || host.is_empty() || host.len() > MAX_HOST {
            return None;
        }
        let own = if scheme == "http" { 80 } else { 443 };
        let mut text = String::with_capacity(scheme.len() + 3 + host.len() + 6);
        text.extend([scheme, "://", host]);
        text.make_ascii_lowercase();
        if let Some(port) = port.filter(|port| *port != own) {
            // Into a text nothing fails.
            let _written = write!(text, ":{port}");
        }
        Some(Authority(text))
    }

    /// The authority of an absolute address.
    #[must_use]
    pub fn of(uri: &Uri) -> Option<Authority> {
        Authority::new(uri.scheme_str()?, uri.host()?, uri.port_u16())
    }

    /// As text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl AsRef<str> for Authority {
    fn as_ref(&self) -> &str {
        &self.0
    }
}

impl Key for Authority {
    type Kept = Text;

    fn name(&self) -> Name {
        self.0.clone().into()
    }
}

impl fmt::Debug for Authority {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl fmt::Display for Authority {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(uri: &str) -> Option<String> {
        Authority::of(&uri.parse().ok()?).map(|it| it.to_string())
    }

    #[test]
    fn a_port_is_a_number() {
        for port in [0_u16, 7, 10, 8_080, 65_535] {
            let authority = Authority::new("http", "a", Some(port)).unwrap();
            assert_eq!(authority.as_str(), format!("http://a:{port}"));
        }
    }

    #[test]
    fn the_same_server_is_the_same_key() {
        for uri in ["http://A.example/x", "http://a.example:80", "http://user@a.EXAMPLE./?q"] {
            assert_eq!(of(uri).as_deref(), Some("http://a.example"), "{uri}");
        }
        assert_eq!(of("https://a.example:80/").as_deref(), Some("https://a.example:80"));
        assert_eq!(of("https://[::1]:443/").as_deref(), Some("https://[::1]"));
    }

    #[test]
    fn what_has_no_host_has_no_key() {
        for uri in ["/relative", "a.example", "ftp://a.example/", "http://./"] {
            assert_eq!(of(uri), None, "{uri}");
        }
        assert_eq!(Authority::new("http", &"a".repeat(256), None), None);
    }
}
