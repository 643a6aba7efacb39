//! Mail through a server that takes it.

use std::path::Path;

use lettre::{
    Message, SmtpTransport, Transport,
    message::{Mailbox, SinglePart},
    transport::smtp::authentication::Credentials,
};

use super::{Attempt, subject, webhook::secret};
use crate::{alerts::digest::parts, limits::DELIVERY_TIMEOUT, store::MessageRow, time::UnixMs};

/// Sends a message to all of `to`.
pub(super) fn send(
    smtp: &str,
    password_file: Option<&Path>,
    from: &str,
    to: &[String],
    message: &MessageRow,
) -> Attempt {
    let prepared = mail(from, to, message).and_then(|mail| Ok((mail, transport(smtp, password_file)?)));
    let (mail, transport) = match prepared {
        Ok(prepared) => prepared,
        Err(text) => return Attempt::Failed(text),
    };
    match transport.send(&mail) {
        Ok(_) => Attempt::Delivered,
        // A server that answers has not taken it; without an answer it may have.
        Err(error)
            if error.is_permanent()
                || error.is_transient()
                || error.is_client()
                || error.is_tls()
                || is_unreached(&error) =>
        {
            Attempt::Failed(error.to_string())
        }
        Err(error) => Attempt::Doubtful(error.to_string()),
    }
}

/// Whether there was no connection to the mail server: what breaks afterwards is a "network error". The library says it in
/// its text only.
fn is_unreached(error: &lettre::transport::smtp::Error) -> bool {
    error.to_string().starts_with("Connection error")
}

/// Why no mail could be sent.
pub(super) fn problem(smtp: &str, password_file: Option<&Path>, from: &str, to: &[String]) -> Option<String> {
    let message = MessageRow {
        id: 0,
        channel: String::new(),
        created_at: UnixMs(0),
        next_at: UnixMs(0),
        attempts: 0,
        doubtful: false,
        subject: String::new(),
        body: String::new(),
    };
    mail(from, to, &message).map(drop).and_then(|()| transport(smtp, password_file).map(drop)).err()
}

fn mail(from: &str, to: &[String], message: &MessageRow) -> Result<Message, String> {
    let address = |text: &str| {
        text.parse::<Mailbox>().map_err(|error| format!("{text:?} is not a mail address: {error}"))
    };
    let from = address(from)?;
    // The same at each attempt, so that what arrives twice is seen to be one mail.
    let id = format!("<{}.{}@{}>", message.created_at.0, message.id, from.email.domain());
    let mut mail = Message::builder().message_id(Some(id)).from(from).subject(subject(message));
    for to in to {
        mail = mail.to(address(to)?);
    }
    // With its character set: without one, "80 °C" is not readable everywhere.
    let text = SinglePart::plain(parts(&message.body).0.to_owned());
    mail.singlepart(text).map_err(|error| error.to_string())
}

fn transport(smtp: &str, password_file: Option<&Path>) -> Result<SmtpTransport, String> {
    let mut builder = SmtpTransport::from_url(smtp).map_err(|error| format!("{smtp:?}: {error}"))?;
    if let Some(path) = password_file {
        let rest = smtp.split_once("://").map_or(smtp, |(_, rest)| rest);
        let user = rest.rsplit_once('@').map_or("", |(user, _)| user);
        let user = percent_encoding::percent_decode_str(user).decode_utf8_lossy().into_owned();
        builder = builder.credentials(Credentials::new(user, secret(path)?));
    }
    Ok(builder.timeout(Some(DELIVERY_TIMEOUT)).build())
}
