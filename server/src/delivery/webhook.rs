//! Webhooks: JSON for programs, ntfy, and what takes Slack's form.

use std::{fs, path::Path, sync::Arc, time::Duration};

use rustls::crypto::ring;
use serde_json::json;
use ureq::{
    Agent, Error,
    tls::{RootCerts, TlsConfig, TlsProvider},
};

use super::{Attempt, subject};
use crate::{
    alerts::digest::parts,
    config::Channel,
    limits::{DELIVERY_CONNECT_TIMEOUT, DELIVERY_TIMEOUT},
    store::MessageRow,
};

/// A client that trusts the system's authorities.
pub(super) fn client() -> Agent {
    client_within(DELIVERY_CONNECT_TIMEOUT)
}

/// One that gives up the name of a webhook, and a connection to it, after `connect` each.
pub(super) fn client_within(connect: Duration) -> Agent {
    let loaded = rustls_native_certs::load_native_certs();
    let roots = loaded.certs.into_iter().map(|root| ureq::tls::Certificate::from_der(&root).to_owned());
    let tls = TlsConfig::builder()
        .provider(TlsProvider::Rustls)
        .unversioned_rustls_crypto_provider(Arc::new(ring::default_provider()))
        .root_certs(RootCerts::new_with_certs(&roots.collect::<Vec<_>>()))
        .build();
    Agent::config_builder()
        .timeout_global(Some(DELIVERY_TIMEOUT))
        .timeout_resolve(Some(connect))
        .timeout_connect(Some(connect))
        .max_redirects(0)
        .tls_config(tls)
        .build()
        .new_agent()
}

/// Why no message could be sent to this address.
pub(super) fn problem(url: &str, token_file: Option<&Path>) -> Option<String> {
    let parsed = url.parse::<ureq::http::Uri>();
    if !parsed.is_ok_and(|uri| uri.host().is_some_and(|host| !host.is_empty())) {
        return Some(format!("{url:?} is not an address"));
    }
    match token_file.map(secret) {
        Some(Err(error)) => Some(error),
        Some(Ok(token)) if token.is_empty() || !token.chars().all(|c| c.is_ascii_graphic()) => {
            Some("the file of the token does not hold one line of printable characters".to_owned())
        }
        _ => None,
    }
}

/// Posts a message.
pub(super) fn send(client: &Agent, channel: &Channel, message: &MessageRow) -> Attempt {
    let (text, programs) = parts(&message.body);
    let subject = subject(message);
    let (url, token_file, kind, body) = match channel {
        Channel::Json { url, token_file } => {
            let body = json!({
                "id": message.id, "time": message.created_at.rfc3339(), "subject": subject, "text": text,
                "alerts": programs.alerts, "more_alerts": programs.more, "attempt": message.attempts, "may_be_repeated": message.doubtful,
            });
            (url, token_file.as_deref(), "application/json", body.to_string())
        }
        Channel::Ntfy { url, token_file } => {
            (url, token_file.as_deref(), "text/plain", format!("{subject}\n{text}"))
        }
        Channel::Slack { url } => {
            let text = escaped(&format!("*{subject}*\n{text}"));
            (url, None, "application/json", json!({ "text": text }).to_string())
        }
        Channel::Mail { .. } => return Attempt::Failed("not a webhook".to_owned()),
    };
    let mut request = client.post(url).header("Content-Type", kind);
    match token_file.map(secret).transpose() {
        Ok(Some(token)) => request = request.header("Authorization", format!("Bearer {token}")),
        Ok(None) => {}
        Err(error) => return Attempt::Failed(error),
    }
    match request.send(body) {
        Ok(response) if response.status().is_success() => Attempt::Delivered,
        Ok(response) => not_taken(response.status().as_u16()),
        Err(Error::StatusCode(status)) => not_taken(status),
        Err(
            error @ (Error::HostNotFound | Error::ConnectionFailed | Error::BadUri(_) | Error::Rustls(_)),
        ) => Attempt::Failed(error.to_string()),
        Err(error @ Error::Timeout(ureq::Timeout::Connect | ureq::Timeout::Resolve)) => {
            Attempt::Failed(error.to_string())
        }
        Err(Error::Io(error)) if error.kind() == std::io::ErrorKind::ConnectionRefused => {
            Attempt::Failed(error.to_string())
        }
        Err(error) => Attempt::Doubtful(error.to_string()),
    }
}

/// A gateway does not say whether what is behind it has taken the message.
fn not_taken(status: u16) -> Attempt {
    let text = format!("answered {status}");
    if matches!(status, 502 | 504) { Attempt::Doubtful(text) } else { Attempt::Failed(text) }
}

/// Text of which nothing is a link or a mention: <https://docs.slack.dev/messaging/formatting-message-text#escaping>.
fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}

/// A secret from a file, without the line break at its end.
pub(super) fn secret(path: &Path) -> Result<String, String> {
    let text = fs::read_to_string(path).map_err(|error| format!("{}: {error}", path.display()))?;
    Ok(text.trim_end().to_owned())
}
