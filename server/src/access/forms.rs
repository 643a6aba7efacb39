//! Requests that another site has a browser make.
//!
//! A form is taken only if the browser says that it comes from a page of this server (`Sec-Fetch-Site`, `Origin`), and
//! if it holds the secret that the page had. Cookies are `SameSite=Lax` besides.

use axum::http::{HeaderMap, header};
use ring::hmac::{HMAC_SHA256, Key, sign, verify};

/// Name of the key of forms among the settings.
pub(crate) const SETTING: &str = "form_key";

/// Makes the secrets of forms: each login has one of its own.
#[derive(Debug)]
pub(crate) struct FormKey(Key);

impl FormKey {
    /// The key that is kept in the database.
    pub(crate) fn new(secret: &str) -> Self {
        Self(Key::new(HMAC_SHA256, secret.as_bytes()))
    }

    /// The secret of the forms of a login.
    pub(crate) fn for_login(&self, login: &str) -> String {
        sign(&self.0, login.as_bytes()).as_ref().iter().map(|byte| format!("{byte:02x}")).collect()
    }

    /// Whether a form of this login holds its secret.
    pub(crate) fn is_right(&self, login: &str, secret: &str) -> bool {
        let bytes: Option<Vec<u8>> = (0..secret.len() / 2)
            .map(|n| secret.get(2 * n..2 * n + 2).and_then(|pair| u8::from_str_radix(pair, 16).ok()))
            .collect();
        bytes.is_some_and(|bytes| verify(&self.0, login.as_bytes(), &bytes).is_ok())
    }
}

/// Whether a request comes from a page of this server, as far as its browser says.
pub(crate) fn is_same_site(headers: &HeaderMap) -> bool {
    let text = |name: header::HeaderName| headers.get(name).and_then(|value| value.to_str().ok());
    if let Some(site) = headers.get("sec-fetch-site") {
        return site == "same-origin" || site == "none";
    }
    let Some(origin) = text(header::ORIGIN) else { return true };
    let host = text(header::HOST).unwrap_or_default();
    origin.split_once("://").is_some_and(|(_, origin)| origin.eq_ignore_ascii_case(host))
}

/// Whether the name by which the server was asked for is one of this machine. An open page is not shown under any other:
/// a hostile site could have its own name lead here (DNS rebinding).
pub(crate) fn is_local_name(headers: &HeaderMap) -> bool {
    // A second name would be for somebody who reads requests in another way.
    let mut hosts = headers.get_all(header::HOST).iter();
    let (Some(host), None) = (hosts.next().and_then(|host| host.to_str().ok()), hosts.next()) else {
        return false;
    };
    let name = match host.rsplit_once(':') {
        Some((name, port)) if port.chars().all(|c| c.is_ascii_digit()) => name,
        _ => host,
    };
    let address = name.trim_start_matches('[').trim_end_matches(']').parse::<std::net::IpAddr>();
    name.eq_ignore_ascii_case("localhost") || address.is_ok_and(|address| address.is_loopback())
}

/// Whether a proxy says that it passes this request on for somebody else. Then the client may be anybody, although it is the
/// proxy, on this machine, that asks for a local name.
pub(crate) fn is_passed_on(headers: &HeaderMap) -> bool {
    ["forwarded", "via", "x-forwarded-for", "x-forwarded-host", "x-forwarded-proto", "x-real-ip"]
        .into_iter()
        .any(|name| headers.contains_key(name))
}

/// Whether a page in a browser has made this request. Programs send none of these headers, and the address bar sends
/// `none`.
pub(crate) fn is_from_a_page(headers: &HeaderMap) -> bool {
    headers.contains_key(header::ORIGIN) || headers.get("sec-fetch-site").is_some_and(|site| site != "none")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(pairs: &[(&'static str, &'static str)]) -> HeaderMap {
        pairs.iter().map(|(name, value)| (name.parse().unwrap(), value.parse().unwrap())).collect()
    }

    #[test]
    fn forms_of_other_sites_are_told_apart() {
        let cases = [
            (&[("host", "hb:8080"), ("origin", "http://hb:8080")][..], true),
            (&[("host", "hb:8080"), ("origin", "http://evil.example")], false),
            (&[("host", "hb:8080"), ("origin", "null")], false),
            (&[("host", "hb"), ("sec-fetch-site", "cross-site"), ("origin", "http://hb")], false),
            (&[("host", "hb"), ("sec-fetch-site", "same-site")], false),
            (&[("host", "hb"), ("sec-fetch-site", "same-origin")], true),
            (&[("host", "hb")], true),
        ];
        for (pairs, right) in cases {
            assert_eq!(is_same_site(&headers(pairs)), right, "{pairs:?}");
        }
    }

    #[test]
    fn only_names_of_this_machine_are_local() {
        for name in ["localhost", "localhost:8080", "127.0.0.1:80", "[::1]:8080", "127.1.2.3"] {
            assert!(
                is_local_name(&headers(&[("host", Box::leak(name.to_owned().into_boxed_str()))])),
                "{name}"
            );
        }
        for name in ["evil.example", "evil.example:8080", "192.168.1.1", "localhost.evil.example", ""] {
            assert!(
                !is_local_name(&headers(&[("host", Box::leak(name.to_owned().into_boxed_str()))])),
                "{name}"
            );
        }
    }

    #[test]
    fn requests_of_pages_and_of_proxies_are_told_from_those_of_programs() {
        let program = headers(&[("host", "127.0.0.1"), ("content-type", "application/json")]);
        assert!(!is_from_a_page(&program) && !is_passed_on(&program));
        assert!(!is_from_a_page(&headers(&[("sec-fetch-site", "none")])), "the address bar");
        for page in [("sec-fetch-site", "cross-site"), ("sec-fetch-site", "same-origin"), ("origin", "null")]
        {
            assert!(is_from_a_page(&headers(&[page])), "{page:?}");
        }
        for proxy in [("x-forwarded-for", "192.0.2.1"), ("via", "1.1 proxy"), ("forwarded", "for=x")] {
            assert!(is_passed_on(&headers(&[proxy])), "{proxy:?}");
        }
    }

    #[test]
    fn rejects_two_names() {
        let mut two = headers(&[("host", "127.0.0.1")]);
        assert!(is_local_name(&two));
        two.append("host", "evil.example".parse().unwrap());
        assert!(!is_local_name(&two));
    }

    #[test]
    fn a_form_of_another_login_is_refused() {
        let key = FormKey::new("k");
        let secret = key.for_login("alice");
        assert!(key.is_right("alice", &secret));
        assert!(!key.is_right("bob", &secret));
        assert!(!key.is_right("alice", ""));
        assert!(!key.is_right("alice", "zz"));
    }
}
