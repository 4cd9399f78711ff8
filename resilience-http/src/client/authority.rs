//! [`Authority`]: the server that a request goes to, as the key of its state.

use std::fmt::{self, Write as _};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::net::Ipv6Addr;

use http::Uri;
use resilience_core::Name;
use resilience_core::keyed::{InlineStr, Key};

/// Scheme, host and port, as in `https://api.example:8443`: the key of a connection pool, a circuit
/// and a limit (RFC 9110 §4.3.1 calls it the origin).
///
/// All addresses of the same server are the same key: the host is in lower case and without a
/// trailing dot, an IPv6 address in its shortest form, and the default port of the scheme is left
/// out.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct Authority(String);

/// The longest host. A DNS name has at most 253 octets; the bound keeps keys small for any address.
const MAX_HOST: usize = 255;

impl Authority {
    /// Returns the authority of these parts, or `None` if the scheme is not `http` or `https`, or
    /// the host is empty or longer than 255 bytes.
    #[must_use]
    pub fn new(scheme: &str, host: &str, port: Option<u16>) -> Option<Authority> {
        let host = host.strip_suffix('.').unwrap_or(host);
        let default_port = match scheme {
            _ if scheme.eq_ignore_ascii_case("http") => 80,
            _ if scheme.eq_ignore_ascii_case("https") => 443,
            _ => return None,
        };
        if host.is_empty() || host.len() > MAX_HOST {
            return None;
        }
        let mut text = String::with_capacity(scheme.len() + 3 + host.len() + 6);
        text.extend([scheme, "://"]);
        match ipv6(host) {
            // Writing into a `String` cannot fail.
            Some(address) => {
                let _written = write!(text, "[{address}]");
            }
            None => text.push_str(host),
        }
        text.make_ascii_lowercase();
        if let Some(port) = port.filter(|port| *port != default_port) {
            // Writing into a `String` cannot fail.
            let _written = write!(text, ":{port}");
        }
        Some(Authority(text))
    }

    /// Returns the authority of an absolute URI, or `None` if the URI has none.
    #[must_use]
    pub fn of(uri: &Uri) -> Option<Authority> {
        Authority::new(uri.scheme_str()?, uri.host()?, uri.port_u16())
    }

    /// Returns the key under which hyper-util's pool stores connections: the authority as written,
    /// in lower case. An address that is not [`normalized`] has another key than
    /// [`Authority::of`]. User info is hashed, since keys appear in events and a password must not.
    pub(super) fn of_pool(uri: &Uri) -> Option<Authority> {
        let known = Authority::of(uri)?;
        let written = uri.authority()?.as_str();
        let (user, host) = match written.rsplit_once('@') {
            Some((user, host)) => (Some(user), host),
            None => (None, written),
        };
        let mut text = format!("{}://{host}", uri.scheme_str()?);
        text.make_ascii_lowercase();
        if let Some(user) = user {
            let mut hasher = DefaultHasher::new();
            user.hash(&mut hasher);
            // Writing into a `String` cannot fail.
            let _written = write!(text, "#{:016x}", hasher.finish());
        }
        Some(if text == known.0 { known } else { Authority(text) })
    }

    /// Returns the authority as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Returns the host (an IPv6 address in brackets) and the port.
    pub(super) fn host_and_port(&self) -> (&str, u16) {
        let (scheme, written) = self.0.split_once("://").unwrap_or(("http", &self.0));
        let default_port = if scheme == "http" { 80 } else { 443 };
        let with_port = written.rsplit_once(':').filter(|_| !written.ends_with(']'));
        match with_port.map(|(host, port)| (host, port.parse())) {
            Some((host, Ok(port))) => (host, port),
            _ => (written, default_port),
        }
    }
}

/// Parses a host as an IPv6 address, with or without brackets.
fn ipv6(host: &str) -> Option<Ipv6Addr> {
    let bare = host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host);
    bare.contains(':').then(|| bare.parse().ok())?
}

/// Returns this address without user info, without the default port, without leading zeros in the
/// port, and with an IPv6 address in its shortest form. `None` if the address is already in this
/// form.
pub(super) fn normalized(uri: &Uri) -> Option<Uri> {
    let authority = uri.authority()?;
    let default_port = match uri.scheme_str()? {
        "http" => 80,
        "https" => 443,
        _ => return None,
    };
    let written = authority.as_str();
    let host = authority.host();
    let port = authority.port_u16().filter(|port| *port != default_port);
    // The text after the host, if there is no user info before it.
    let rest = written.strip_prefix(host).filter(|_| !written.contains('@'));
    let is_plain = match (rest, port) {
        (Some(""), _) => true,
        (Some(rest), Some(_)) => rest == ":0" || !rest.starts_with(":0"),
        _ => false,
    };
    let shortest = ipv6(host).map(|address| format!("[{address}]"));
    let host = shortest.as_deref().filter(|it| !it.eq_ignore_ascii_case(host)).unwrap_or(host);
    if is_plain && host == authority.host() {
        return None;
    }
    let authority = match port {
        Some(port) => format!("{host}:{port}").parse(),
        None => host.parse(),
    };
    let mut parts = uri.clone().into_parts();
    parts.authority = Some(authority.ok()?);
    Uri::from_parts(parts).ok()
}

impl AsRef<str> for Authority {
    fn as_ref(&self) -> &str {
        &self.0
    }
}

impl Key for Authority {
    type Stored = InlineStr;

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
    use proptest::prelude::*;

    use super::*;

    fn of(uri: &str) -> Option<String> {
        Authority::of(&uri.parse().ok()?).map(|it| it.to_string())
    }

    #[test]
    fn a_port_is_written_as_a_number() {
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
        for uri in ["https://[::1]:443/", "https://[0:0:0:0:0:0:0:1]", "https://[::0.0.0.1]"] {
            assert_eq!(of(uri).as_deref(), Some("https://[::1]"), "{uri}");
        }
    }

    /// All spellings of a server have one key in the pool after normalization.
    #[test]
    fn normalized_addresses_have_one_key_in_the_pool() {
        for (written, expected) in [
            ("http://a.example/x?q", None),
            ("http://a.example:8080/", None),
            ("http://[::1]/", None),
            ("http://a.example:0/", None),
            ("http://a.example:08080/", Some("http://a.example:8080/")),
            ("http://a.example:80/x?q", Some("http://a.example/x?q")),
            ("http://user@a.example/", Some("http://a.example/")),
            ("http://u:p%40x@a.example:80/", Some("http://a.example/")),
            ("http://user@a.example:8080/", Some("http://a.example:8080/")),
            ("https://a.example:443/", Some("https://a.example/")),
            ("https://a.example:80/", None),
            ("http://[::1]:80/", Some("http://[::1]/")),
            ("http://user@[::1]:81/", Some("http://[::1]:81/")),
            ("http://[0:0:0::1]/", Some("http://[::1]/")),
            ("http://[2001:DB8::0a]:81/", Some("http://[2001:db8::a]:81/")),
            ("http://[2001:DB8::a]/", None),
        ] {
            let uri: Uri = written.parse().unwrap();
            let changed = normalized(&uri);
            assert_eq!(changed.as_ref().map(Uri::to_string).as_deref(), expected, "{written}");
            let pooled = changed.unwrap_or(uri.clone());
            assert_eq!(Authority::of_pool(&pooled), Authority::of(&uri), "{written}");
        }
    }

    proptest! {
                /// Holds for every spelling except a trailing dot, which is another host name in
                /// the DNS.
        #[test]
                fn every_spelling_has_the_pool_key_of_its_authority(
            scheme in "(http|https|HTTP)",
            user in "([a-zA-Z0-9._~%:-]{0,12}@)?",
            host in "([a-zA-Z0-9]{1,8}(\\.[a-zA-Z0-9-]{1,8}){0,3}|\\[([0-9a-fA-F]{1,4}:){0,3}:[0-9a-fA-F]{1,4}\\])",
            port in "(:(80|443|8080|[0-9]{1,4})?)?",
            path in "(/[a-z@:]{0,8}(\\?[a-z@:]{0,8})?)?",
        ) {
            let written = format!("{scheme}://{user}{host}{port}{path}");
            if let Ok(uri) = written.parse::<Uri>() {
                let sent = normalized(&uri).unwrap_or_else(|| uri.clone());
                prop_assert_eq!(Authority::of_pool(&sent), Authority::of(&uri), "{}", written);
                prop_assert_eq!(sent.path_and_query(), uri.path_and_query());
                prop_assert!(normalized(&sent).is_none(), "{}", sent);
            }
        }
    }

    #[test]
    fn a_pool_keeps_other_spellings_apart() {
        let of_pool = |uri: &str| Authority::of_pool(&uri.parse().unwrap()).unwrap().to_string();
        assert_eq!(of_pool("http://A.example"), "http://a.example");
        assert_eq!(of_pool("http://a.example:80"), "http://a.example:80");
        assert_eq!(of_pool("http://a.example."), "http://a.example.");
        let secret = of_pool("http://user:secret@a.example");
        assert!(secret.starts_with("http://a.example#") && !secret.contains("secret"), "{secret}");
    }

    #[test]
    fn all_spellings_of_the_parts_are_normalized() {
        for (scheme, host, port, expected) in [
            ("HTTP", "A.Example.", Some(80), "http://a.example"),
            ("Https", "a.example", Some(80), "https://a.example:80"),
            ("http", "::1", None, "http://[::1]"),
            ("http", "[0:0::1]", Some(81), "http://[::1]:81"),
            ("http", "[fe80::1%25eth0]", None, "http://[fe80::1%25eth0]"),
            ("http", "xn--bcher-kva.example", None, "http://xn--bcher-kva.example"),
        ] {
            let authority = Authority::new(scheme, host, port).unwrap();
            assert_eq!(authority.as_str(), expected, "{scheme} {host} {port:?}");
            let (host, port) = authority.host_and_port();
            let again = Authority::new(scheme, host, Some(port)).unwrap();
            assert_eq!(again, authority, "{host} {port}");
        }
    }

    #[test]
    fn an_address_without_a_host_has_no_authority() {
        for uri in ["/relative", "a.example", "ftp://a.example/", "http://./"] {
            assert_eq!(of(uri), None, "{uri}");
        }
        assert_eq!(Authority::new("http", &"a".repeat(256), None), None);
    }
}
