//! Patterns of the hosts that receive the headers of the caller's own services.

use resilience_core::InvalidConfig;

use super::authority::Authority;

/// Host patterns of the servers that are operated by the caller.
#[derive(Debug, Clone)]
pub(super) struct TrustedHosts(Vec<Pattern>);

/// A pattern: `host`, `*.suffix`, or either with a port.
#[derive(Debug, Clone)]
struct Pattern {
    /// In lower case. For a suffix, with the dot in front.
    host: String,
    is_suffix: bool,
    /// `None` matches every port.
    port: Option<u16>,
}

impl TrustedHosts {
    /// Parses the patterns.
    ///
    /// # Errors
    /// If a pattern is not a host, a `*.suffix`, or either with a port.
    pub(super) fn new(patterns: &[String]) -> Result<TrustedHosts, InvalidConfig> {
        let bound = "`host`, `*.suffix`, or either with a port, in ASCII";
        let parse = |text: &String| {
            Pattern::parse(text).ok_or_else(|| InvalidConfig::new("trusted_hosts", text, bound))
        };
        patterns.iter().map(parse).collect::<Result<_, _>>().map(TrustedHosts)
    }

    /// Returns `true` if a pattern matches the host and port of this authority. The scheme is
    /// ignored.
    pub(super) fn contains(&self, authority: &Authority) -> bool {
        let (host, port) = authority.host_and_port();
        self.0.iter().any(|pattern| pattern.matches(host, port))
    }
}

impl Pattern {
    fn parse(text: &str) -> Option<Pattern> {
        let (is_suffix, named) = match text.strip_prefix("*.") {
            Some(named) => (true, named),
            None => (false, text),
        };
        // A host with an optional port has the syntax of a URI authority.
        let written: http::uri::Authority = named.parse().ok()?;
        let port = written.port_u16();
        let rest = named.strip_prefix(written.host())?;
        let is_plain = rest.is_empty() || (rest.starts_with(':') && port.is_some());
        let is_address = written.host().starts_with('[');
        if !is_plain
            || (is_suffix && is_address)
            || written.host().starts_with('.')
            || named.contains('*')
        {
            return None;
        }
        let known = Authority::new("http", written.host(), None)?;
        let (host, _) = known.host_and_port();
        let host = if is_suffix { format!(".{host}") } else { host.to_owned() };
        Some(Pattern { host, is_suffix, port })
    }

    fn matches(&self, host: &str, port: u16) -> bool {
        let is_host = match self.is_suffix {
            true => host.len() > self.host.len() && host.ends_with(&self.host),
            false => host == self.host,
        };
        is_host && self.port.is_none_or(|it| it == port)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn matches(pattern: &str, uri: &str) -> bool {
        let hosts = TrustedHosts::new(&[pattern.to_owned()]).unwrap();
        hosts.contains(&Authority::of(&uri.parse().unwrap()).unwrap())
    }

    #[test]
    fn a_pattern_matches_its_hosts_and_not_similar_ones() {
        for (pattern, uri, expected) in [
            ("a.example", "http://a.example/", true),
            ("a.example", "https://user@A.EXAMPLE.:8443/", true),
            ("A.example.", "https://a.example/", true),
            ("a.example", "http://b.a.example/", false),
            ("a.example", "http://xa.example/", false),
            ("a.example", "http://a.example.evil/", false),
            ("a.example:443", "https://a.example/", true),
            ("a.example:443", "http://a.example/", false),
            ("a.example:80", "http://a.example/", true),
            ("a.example:8080", "http://a.example:8080/", true),
            ("*.a.example", "http://b.a.example/", true),
            ("*.a.example", "http://c.b.a.example:81/", true),
            ("*.a.example", "http://a.example/", false),
            ("*.a.example", "http://xa.example/", false),
            ("*.a.example:81", "http://b.a.example/", false),
            ("*.internal", "http://a.internal.evil/", false),
            ("localhost", "http://localhost:1234/", true),
            ("127.0.0.1", "http://127.0.0.1:1234/", true),
            ("[::1]", "http://[::1]:1234/", true),
            ("[::1]:81", "http://[::1]:82/", false),
            ("[0:0::1]", "http://[::1]/", true),
            ("xn--bcher-kva.example", "http://xn--bcher-kva.example/", true),
        ] {
            assert_eq!(matches(pattern, uri), expected, "{pattern} {uri}");
        }
    }

    #[test]
    fn an_invalid_pattern_is_an_error_that_names_it() {
        for text in [
            "",
            "*",
            "*.",
            ".",
            ".a.example",
            "a.*.example",
            "*.*.example",
            "https://a.example",
            "a.example/",
            "user@a.example",
            "a.example:",
            "a.example:http",
            "a.example:99999",
            "*.[::1]",
            "[::1",
            "bücher.example",
            "a example",
        ] {
            let error = TrustedHosts::new(&["b.example".into(), text.into()]).unwrap_err();
            assert_eq!((error.field(), error.value()), ("trusted_hosts", text), "{text:?}");
        }
    }
}
