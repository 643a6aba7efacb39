//! `CONNECT` of HTTP/1.1 (RFC 9110, section 9.3.6), with a password by the scheme Basic (RFC 7617).

use base64::{Engine as _, prelude::BASE64_STANDARD};

use super::{
    super::head::{HeadError, HeadReader},
    Progress, Refusal, TunnelTarget,
};

/// What the proxy is asked.
pub(super) fn request(target: &TunnelTarget) -> Vec<u8> {
    let authority = target.authority();
    let mut text = format!("CONNECT {authority} HTTP/1.1\r\nHost: {authority}\r\n");
    if let Some(credentials) = &target.credentials {
        let pair = format!("{}:{}", credentials.user.reveal(), credentials.password.reveal());
        text.push_str(&format!("Proxy-Authorization: Basic {}\r\n", BASE64_STANDARD.encode(pair)));
    }
    text.push_str("\r\n");
    text.into_bytes()
}

/// Waits for the answer.
#[derive(Debug)]
pub(super) struct Connect {
    reader: HeadReader,
    has_credentials: bool,
}

impl Connect {
    pub(super) fn new(target: &TunnelTarget) -> Self {
        Self { reader: HeadReader::new(), has_credentials: target.credentials.is_some() }
    }

    pub(super) fn receive(&mut self, bytes: &[u8]) -> Result<Progress, Refusal> {
        let read =
            self.reader.read(bytes).map_err(|error: HeadError| Refusal::Protocol(error.to_string()))?;
        let (used, Some(head)) = read else { return Ok(Progress::More) };
        let status = head.status;
        match status {
            // A server speaks only when it is spoken to. The length of a body means nothing here.
            200..=299 if used < bytes.len() => {
                Err(Refusal::Protocol("more bytes than its answer".to_owned()))
            }
            200..=299 => Ok(Progress::Open),
            // tinyproxy answers 401 to a wrong password.
            401 | 407 if self.has_credentials => {
                Err(Refusal::Refused(format!("it does not accept the user and the password ({status})")))
            }
            401 | 407 => Err(Refusal::Refused(format!("it wants a user and a password ({status})"))),
            // tinyproxy answers 500 if it cannot reach the server.
            500..=599 => Err(Refusal::Unreached(format!("status {status}"))),
            _ => Err(Refusal::Refused(format!("status {status}"))),
        }
    }
}
