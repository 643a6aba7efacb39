//! What this device proves its identity with: headers of its own, a token, a client certificate.

use std::{collections::BTreeMap, fmt, path::PathBuf};

use serde::{Deserialize, Serialize, Serializer};
use ureq::http::{HeaderName, HeaderValue, header};

use super::Endpoint;

/// Bytes of all names and values of configured headers: common servers take 8 KiB for a whole head.
const HEADERS_MAX: usize = 4 * 1024;
/// What the program or the HTTP library sets, and what would change how the request is read.
const RESERVED: [HeaderName; 9] = [
    header::CONNECTION,
    header::CONTENT_LENGTH,
    header::CONTENT_TYPE,
    header::EXPECT,
    header::HOST,
    header::TE,
    header::TRAILER,
    header::TRANSFER_ENCODING,
    header::UPGRADE,
];
/// Headers whose value is a secret by their meaning.
const PROOFS: [HeaderName; 3] = [header::AUTHORIZATION, header::COOKIE, header::PROXY_AUTHORIZATION];

/// A text that is never shown.
#[derive(Clone, Default, PartialEq, Eq, Deserialize)]
pub struct Secret(String);

impl Secret {
    /// Hides this text.
    pub fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    /// The text, to be sent.
    pub(crate) fn reveal(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret")
    }
}

impl Serialize for Secret {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str("(not shown)")
    }
}

/// Headers that are sent with each heartbeat, by their names. The values are not shown, because they may be secrets.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "BTreeMap<String, Secret>")]
pub(super) struct Headers(BTreeMap<String, Secret>);

impl TryFrom<BTreeMap<String, Secret>> for Headers {
    type Error = String;

    fn try_from(headers: BTreeMap<String, Secret>) -> Result<Self, String> {
        let bytes: usize = headers.iter().map(|(name, value)| name.len() + value.reveal().len()).sum();
        if bytes > HEADERS_MAX {
            return Err(format!("expected at most {HEADERS_MAX} bytes of names and values, found {bytes}"));
        }
        for (name, value) in &headers {
            let parsed = HeaderName::try_from(name)
                .map_err(|_| format!("expected the name of a header, found {name:?}"))?;
            if RESERVED.contains(&parsed) {
                return Err(format!("{name} is set by the program"));
            }
            if !is_header_value(value.reveal()) {
                return Err(format!("{name}: expected visible ASCII characters and spaces between them"));
            }
        }
        Ok(Self(headers))
    }
}

impl Headers {
    /// The names and the values.
    pub(super) fn pairs(&self) -> Vec<(HeaderName, HeaderValue)> {
        let pair = |(name, value): (&String, &Secret)| {
            let mut value = HeaderValue::try_from(value.reveal()).ok()?;
            value.set_sensitive(true);
            Some((HeaderName::try_from(name).ok()?, value))
        };
        self.0.iter().filter_map(pair).collect()
    }
}

/// Whether this can be sent as a header's value, without a space that a server would cut off.
pub(crate) fn is_header_value(text: &str) -> bool {
    text == text.trim() && text.bytes().all(|byte| byte == b' ' || byte.is_ascii_graphic())
}

/// What this device proves its identity with.
#[derive(Debug, Clone, Default)]
pub struct Proof {
    /// Sent with each heartbeat.
    pub headers: Vec<(HeaderName, HeaderValue)>,
    /// Where the token is.
    pub token: Option<TokenSource>,
    /// For TLS.
    pub client_certificate: Option<ClientCertificate>,
}

/// Where the token for `Authorization: Bearer` is (RFC 6750).
#[derive(Debug, Clone)]
pub enum TokenSource {
    /// In this file.
    File(PathBuf),
    /// It was given.
    Given(Secret),
}

/// Files of a certificate of this device, in PEM form.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClientCertificate {
    /// The certificate, and those between it and the authority.
    pub certificate: PathBuf,
    /// Its private key.
    pub key: PathBuf,
}

/// Why a proof of identity cannot be used with this server; the key, and what is wrong.
pub(super) type Unusable = (&'static str, &'static str);

impl Proof {
    /// Checks that nothing secret would leave this device in the clear, and that no proof contradicts another.
    pub(super) fn check(&self, endpoint: &Endpoint) -> Result<(), Unusable> {
        let is_readable_on_the_way = !endpoint.is_https() && !endpoint.is_loopback();
        let sends_proof = self.headers.iter().any(|(name, _)| PROOFS.contains(name));
        let token = match self.token {
            Some(TokenSource::Given(_)) => "token",
            _ => "token_file",
        };
        if self.token.is_some() && is_readable_on_the_way {
            return Err((token, "needs an https url: over http everybody on the way could read the token"));
        }
        if sends_proof && is_readable_on_the_way {
            return Err(("headers", "a proof of identity needs an https url: over http it could be read"));
        }
        if self.token.is_some() && self.headers.iter().any(|(name, _)| *name == header::AUTHORIZATION) {
            return Err((token, "sets Authorization, which is among the headers already"));
        }
        if self.client_certificate.is_some() && !endpoint.is_https() {
            return Err(("client_cert", "needs an https url: it is a part of TLS"));
        }
        Ok(())
    }
}
