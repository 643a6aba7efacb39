//! Delivers messages: a thread for each channel, one message after the other in each. A webhook has a deadline; a mail server
//! has one for each part of its answers. A channel that hangs delays its own messages only.
//!
//! Before each attempt the engine has written that it begins, after each what became of it. So a message survives a
//! kill, and one that may have arrived already says so when it is sent again.

mod mail;
#[cfg(test)]
mod tests;
mod webhook;

use std::{
    collections::BTreeMap,
    io,
    sync::mpsc::{Receiver, Sender, channel},
    thread,
};

use crate::{
    alerts::attempt::Attempt,
    config::Channel,
    engine::{Handle, lease::Lease},
    store::MessageRow,
    time::UnixMs,
};

/// Starts a thread for each channel, and one that gives each message to its channel. They end when the engine does.
///
/// # Errors
/// A thread cannot be started.
pub(crate) fn start(
    channels: BTreeMap<String, Channel>,
    engine: Handle,
    lease: Lease,
) -> io::Result<Sender<MessageRow>> {
    let mut lines = BTreeMap::new();
    for (name, to) in channels {
        let (line, messages) = channel();
        let (engine, lease) = (engine.clone(), lease.clone());
        thread::Builder::new()
            .name(format!("to {name}"))
            .spawn(move || deliver(&to, &engine, &lease, &messages))?;
        lines.insert(name, line);
    }
    let (sender, messages) = channel();
    thread::Builder::new().name("delivery".to_owned()).spawn(move || route(&lines, &engine, &messages))?;
    Ok(sender)
}

fn route(lines: &BTreeMap<String, Sender<MessageRow>>, engine: &Handle, messages: &Receiver<MessageRow>) {
    while let Ok(message) = messages.recv() {
        let id = message.id;
        if let Some(line) = lines.get(&message.channel) {
            if line.send(message).is_err() {
                engine.attempted(id, Attempt::Failed("its thread has ended".to_owned()));
            }
            continue;
        }
        let text = "there is no such channel in the configuration any more";
        log::warn!("channel {}: message {id} not delivered: {text}", message.channel);
        engine.attempted(id, Attempt::Failed(text.to_owned()));
    }
}

fn deliver(to: &Channel, engine: &Handle, lease: &Lease, messages: &Receiver<MessageRow>) {
    let client = webhook::client();
    while let Ok(message) = messages.recv() {
        let attempt = if lease.is_valid() {
            attempt(&client, to, &message)
        } else {
            Attempt::Failed("another process may have taken over".to_owned())
        };
        if let Attempt::Failed(text) | Attempt::Doubtful(text) = &attempt {
            log::warn!("channel {}: message {} not delivered: {text}", message.channel, message.id);
        }
        engine.attempted(message.id, attempt);
    }
}

/// Sends a message that says that it is a test.
pub(crate) fn test(name: &str, to: &Channel) -> Attempt {
    let now = UnixMs::of_this_machine();
    let message = MessageRow {
        id: 0,
        channel: name.to_owned(),
        created_at: now,
        next_at: now,
        attempts: 1,
        doubtful: false,
        subject: "test message".to_owned(),
        body: format!("heartbeat-server sends its alerts here, through the channel {name}.\n"),
    };
    attempt(&webhook::client(), to, &message)
}

/// Why no message could be sent through a channel, as far as this can be known without sending one.
pub(crate) fn problem(to: &Channel) -> Option<String> {
    match to {
        Channel::Mail { smtp, password_file, from, to } => {
            mail::problem(smtp, password_file.as_deref(), from, to)
        }
        Channel::Json { url, token_file } | Channel::Ntfy { url, token_file } => {
            webhook::problem(url, token_file.as_deref())
        }
        Channel::Slack { url } => webhook::problem(url, None),
    }
}

/// Tries to deliver a message once.
fn attempt(client: &ureq::Agent, to: &Channel, message: &MessageRow) -> Attempt {
    match to {
        Channel::Mail { smtp, password_file, from, to } => {
            mail::send(smtp, password_file.as_deref(), from, to, message)
        }
        webhook => webhook::send(client, webhook, message),
    }
}

/// The subject, which says so if the message may have arrived before.
fn subject(message: &MessageRow) -> String {
    if message.doubtful {
        format!("{} (sent again: an earlier attempt may have arrived)", message.subject)
    } else {
        message.subject.clone()
    }
}
