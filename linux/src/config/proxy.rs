//! The proxy through which the server is reached, as a URL: `http://user:password@proxy.example:3128`, `socks5://...`.

use std::fmt;

use percent_encoding::percent_decode_str;
use serde::{Deserialize, Serialize, Serializer};
use ureq::http::uri::Authority;

use super::Secret;

/// Bytes of a user's name and of a password: SOCKS has one byte for the length of each (RFC 1929, section 2).
const CREDENTIAL_MAX: usize = 255;

/// The protocol of a proxy.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ProxyKind {
    /// `CONNECT` of HTTP (RFC 9110, section 9.3.6).
    Http,
    /// SOCKS version 5 (RFC 1928). The proxy resolves the server's name.
    Socks5,
}

/// A user of a proxy. Neither part is shown.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Credentials {
    /// The user's name.
    pub user: Secret,
    /// The password.
    pub password: Secret,
}

/// A proxy.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub struct Proxy {
    /// Its protocol.
    pub kind: ProxyKind,
    /// Its host: a name, or an address without brackets.
    pub host: String,
    /// Its port.
    pub port: u16,
    /// What it is asked with; `None` without a user.
    pub credentials: Option<Credentials>,
}

impl Proxy {
    /// Reads the URL of a proxy. No message shows the text, because it may hold a password.
    ///
    /// # Errors
    ///
    /// What is wrong with it, for people.
    pub fn parse(text: &str) -> Result<Self, String> {
        let expected = "expected a URL such as http://proxy.example:3128 or socks5://proxy.example:1080";
        let (scheme, rest) = text.split_once("://").ok_or(expected)?;
        let kind = match scheme.to_ascii_lowercase().as_str() {
            "http" => ProxyKind::Http,
            // The name with `h` is curl's for a proxy that resolves names, as this program has it always.
            "socks5" | "socks5h" => ProxyKind::Socks5,
            "https" => return Err("proxies that are reached over TLS are not supported".to_owned()),
            _ => return Err(expected.to_owned()),
        };
        let rest = rest.strip_suffix('/').unwrap_or(rest);
        let (credentials, place) = match rest.rsplit_once('@') {
            Some((credentials, place)) => (Some(Credentials::parse(credentials)?), place),
            None => (None, rest),
        };
        let authority: Authority =
            place.parse().map_err(|_| "expected host and port after the scheme, and nothing else")?;
        let host = authority.host();
        let port = authority.port_u16().filter(|port| *port > 0).ok_or("expected a port from 1 to 65535")?;
        if host.is_empty() {
            return Err("the proxy's host is missing".to_owned());
        }
        let host = host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host);
        Ok(Self { kind, host: host.to_owned(), port, credentials })
    }
}

impl Credentials {
    fn parse(text: &str) -> Result<Self, String> {
        let (user, password) = text.split_once(':').ok_or("expected user:password before the @")?;
        let [user, password] = [user, password].map(|part| percent_decode_str(part).decode_utf8());
        let (Ok(user), Ok(password)) = (user, password) else {
            return Err("user and password must be UTF-8 when they are percent-decoded".to_owned());
        };
        for part in [&user, &password] {
            if part.is_empty() || part.len() > CREDENTIAL_MAX || part.contains(char::is_control) {
                return Err(format!(
                    "expected 1 to {CREDENTIAL_MAX} bytes without control characters for user and password"
                ));
            }
        }
        if user.contains(':') {
            return Err("a user's name has no colon (RFC 7617)".to_owned());
        }
        Ok(Self { user: Secret::new(user), password: Secret::new(password) })
    }
}

impl TryFrom<String> for Proxy {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        Self::parse(&text)
    }
}

impl Serialize for Proxy {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

/// Without user and password.
impl fmt::Display for Proxy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let scheme = match self.kind {
            ProxyKind::Http => "http",
            ProxyKind::Socks5 => "socks5",
        };
        let user = if self.credentials.is_some() { "(not shown)@" } else { "" };
        let [before, after] = if self.host.contains(':') { ["[", "]"] } else { ["", ""] };
        write!(f, "{scheme}://{user}{before}{}{after}:{}", self.host, self.port)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn reads_kind_place_and_user() {
        let proxy = |text| Proxy::parse(text).expect(text);
        let plain = proxy("http://proxy.example:3128/");
        assert_eq!((plain.kind, plain.host.as_str(), plain.port), (ProxyKind::Http, "proxy.example", 3128));
        assert_eq!(plain.credentials, None);
        for text in ["socks5://[2001:db8::1]:1080", "SOCKS5H://[2001:db8::1]:1080"] {
            let socks = proxy(text);
            assert_eq!(
                (socks.kind, socks.host.as_str(), socks.port),
                (ProxyKind::Socks5, "2001:db8::1", 1080)
            );
            assert_eq!(socks.to_string(), "socks5://[2001:db8::1]:1080");
        }
        let user = proxy("http://us%40er:p:a%2Fss@10.0.0.1:8080").credentials.expect("a user");
        assert_eq!((user.user.reveal(), user.password.reveal()), ("us@er", "p:a/ss"));
    }

    #[test]
    fn rejects_what_is_no_proxy_and_never_shows_the_password() {
        for (text, reason) in [
            ("proxy.example:3128", "expected a URL such as"),
            ("ftp://u:s3cret@p:1", "expected a URL such as"),
            ("https://u:s3cret@p:1", "over TLS are not supported"),
            ("http://u:s3cret@p", "expected a port"),
            ("http://u:s3cret@p:0", "expected a port"),
            ("http://u:s3cret@p:1/s3cret", "and nothing else"),
            ("http://u:s3cret@:1", "the proxy's host is missing"),
            ("http://s3cret@p:1", "expected user:password"),
            ("http://:s3cret@p:1", "expected 1 to 255"),
            ("http://s3cret:@p:1", "expected 1 to 255"),
            ("http://u:s3cret%0a@p:1", "expected 1 to 255"),
            ("http://u%3a:s3cret@p:1", "no colon"),
            ("http://u:s3cret%ff@p:1", "UTF-8"),
        ] {
            let problem = Proxy::parse(text).expect_err(text);
            assert!(problem.contains(reason) && !problem.contains("s3cret"), "{text}: {problem}");
        }
        let long = format!("http://u:{}@p:1", "x".repeat(256));
        assert!(Proxy::parse(&long).is_err());
    }

    #[test]
    fn password_is_in_no_output() {
        let proxy = Proxy::parse("http://someone:s3cret@p:1").expect("a proxy");
        for shown in [proxy.to_string(), format!("{proxy:?}"), serde_json::json!(proxy).to_string()] {
            assert!(!shown.contains("s3cret") && !shown.contains("someone"), "{shown}");
        }
        assert_eq!(proxy.to_string(), "http://(not shown)@p:1");
    }

    proptest! {
        #[test]
        fn any_text_never_panics(text: String, url in "(http|socks5)://[a-z:%@\\[\\]0-9./]{0,30}") {
            for text in [text, url] {
                let _ = Proxy::parse(&text);
            }
        }
    }
}
