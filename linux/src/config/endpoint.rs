//! The server's address.

use std::{fmt, net::IpAddr};

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, percent_encode};
use serde::{Deserialize, Serialize, Serializer};
use ureq::http::Uri;

/// What may stand in a query unescaped: RFC 3986's unreserved characters.
const QUERY: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

/// An `http` or `https` URL to which heartbeats are sent.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub struct Endpoint {
    uri: Uri,
    text: String,
}

impl Endpoint {
    /// Checks a URL.
    ///
    /// # Errors
    ///
    /// What is wrong with it, for people.
    pub fn parse(text: &str) -> Result<Self, String> {
        let Some((scheme, rest)) = text.split_once("://") else {
            return Err(format!("expected a URL such as https://example.org/heartbeat, found {text:?}"));
        };
        if !scheme.eq_ignore_ascii_case("http") && !scheme.eq_ignore_ascii_case("https") {
            return Err(format!("expected an http or https URL, found the scheme {scheme:?}"));
        }
        if !text.is_ascii() || text.bytes().any(|byte| byte.is_ascii_control() || byte == b' ') {
            return Err("a URL has no spaces and no characters outside ASCII: write names as punycode and \
                        the rest percent-encoded"
                .to_owned());
        }
        if rest.contains('#') {
            return Err("a URL for requests has no fragment (#...)".to_owned());
        }
        let uri: Uri = text.parse().map_err(|error| format!("not a URL: {error}"))?;
        let authority = uri.authority().ok_or("the host is missing")?;
        if authority.as_str().contains('@') {
            return Err("user names and passwords in URLs are not supported".to_owned());
        }
        if authority.host().is_empty() {
            return Err("the host is missing".to_owned());
        }
        let port = authority.as_str().strip_prefix(authority.host()).unwrap_or_default();
        if !port.is_empty() && authority.port_u16().is_none_or(|port| port == 0) {
            return Err(format!("expected a port from 1 to 65535, found {port:?}"));
        }
        Ok(Self { uri, text: text.to_owned() })
    }

    /// The address for a request.
    pub fn uri(&self) -> &Uri {
        &self.uri
    }

    /// The address of the deprecated form: the document in the parameter `params`.
    pub fn with_params(&self, body: &[u8]) -> String {
        let separator = if self.uri.query().is_some() { '&' } else { '?' };
        format!("{}{separator}params={}", self.text, percent_encode(body, QUERY))
    }

    /// The address for logs: a query may hold a secret.
    pub fn without_query(&self) -> &str {
        self.text.split('?').next().unwrap_or_default()
    }

    /// Whether what is sent is encrypted.
    pub fn is_https(&self) -> bool {
        self.uri.scheme_str() == Some("https")
    }

    /// Whether the server is this machine.
    pub fn is_loopback(&self) -> bool {
        let host = self.uri.host().unwrap_or_default();
        let address: Result<IpAddr, _> = host.trim_start_matches('[').trim_end_matches(']').parse();
        address.map_or(host.eq_ignore_ascii_case("localhost"), |address| address.is_loopback())
    }
}

impl Default for Endpoint {
    /// The server of the Python service that this program replaces.
    fn default() -> Self {
        const TEXT: &str = "https://streamer.lambda-tek.com/heartbeat.php";
        Self { uri: Uri::from_static(TEXT), text: TEXT.to_owned() }
    }
}

impl TryFrom<String> for Endpoint {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        Self::parse(&text)
    }
}

impl Serialize for Endpoint {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl fmt::Display for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn rejects_bad_url() {
        for (bad, reason) in [
            ("", "such as https://"),
            ("example.org/heartbeat.php", "such as https://"),
            ("ftp://example.org/", "scheme \"ftp\""),
            ("file:///etc/passwd", "scheme \"file\""),
            ("https://", "not a URL"),
            ("https:///path", "not a URL"),
            ("https://user:secret@example.org/", "passwords"),
            ("https://example.org:0/", "port from 1"),
            ("https://example.org:70000/", "port from 1"),
            ("https://example.org:/", "port from 1"),
            ("https://example.org/a b", "no spaces"),
            ("https://exämple.org/", "punycode"),
            ("https://example.org/#here", "fragment"),
        ] {
            let problem = Endpoint::parse(bad).expect_err(bad);
            assert!(problem.contains(reason), "{bad}: {problem}");
        }
    }

    #[test]
    fn recognises_loopback() {
        for (url, loopback) in [
            ("http://127.0.0.1:8080/", true),
            ("http://127.9.9.9/", true),
            ("http://[::1]:8080/x", true),
            ("http://LocalHost/", true),
            ("http://localhost.example.org/", false),
            ("http://192.0.2.1/", false),
        ] {
            assert_eq!(Endpoint::parse(url).expect(url).is_loopback(), loopback, "{url}");
        }
    }

    #[test]
    fn escapes_and_appends_params() {
        let plain = Endpoint::parse("http://localhost/h.php").expect("a URL");
        assert_eq!(plain.with_params(br#"{"a":1}"#), "http://localhost/h.php?params=%7B%22a%22%3A1%7D");
        let query = Endpoint::parse("http://localhost/h.php?key=7").expect("a URL");
        assert_eq!(query.with_params("ü&".as_bytes()), "http://localhost/h.php?key=7&params=%C3%BC%26");
    }

    proptest! {
        #[test]
        fn any_text_never_panics(text: String, rest in "https?://[a-z0-9.:@\\[\\]/?#% -]{0,30}") {
            for text in [text, rest] {
                if let Ok(endpoint) = Endpoint::parse(&text) {
                    prop_assert!(endpoint.with_params(b"{}").parse::<Uri>().is_ok(), "{}", text);
                }
            }
        }
    }
}
