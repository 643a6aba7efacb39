//! Delivers messages: one thread, one message after the other, each with a deadline.
//!
//! Before each attempt the engine has written that it begins, after each what became of it. So a message survives a
//! kill, and one that may have arrived already says so when it is sent again.

mod mail;
#[cfg(test)]
mod tests;
mod webhook;

use std::{
    collections::BTreeMap,
    sync::mpsc::{Receiver, Sender, channel},
    thread,
};

use crate::{alerts::attempt::Attempt, config::Channel, engine::Handle, store::MessageRow};

/// Starts the thread. It ends when the engine does.
pub(crate) fn start(
    channels: BTreeMap<String, Channel>,
    engine: Handle,
) -> std::io::Result<Sender<MessageRow>> {
    let (sender, receiver) = channel();
    thread::Builder::new().name("delivery".to_owned()).spawn(move || run(&channels, &engine, &receiver))?;
    Ok(sender)
}

fn run(channels: &BTreeMap<String, Channel>, engine: &Handle, messages: &Receiver<MessageRow>) {
    let client = webhook::client();
    while let Ok(message) = messages.recv() {
        let attempt = match channels.get(&message.channel) {
            Some(Channel::Mail { smtp, password_file, from, to }) => {
                mail::send(smtp, password_file.as_deref(), from, to, &message)
            }
            Some(channel) => webhook::send(&client, channel, &message),
            None => Attempt::Failed("there is no such channel in the configuration any more".to_owned()),
        };
        if let Attempt::Failed(text) | Attempt::Doubtful(text) = &attempt {
            log::warn!("channel {}: message {} not delivered: {text}", message.channel, message.id);
        }
        engine.attempted(message.id, attempt);
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
