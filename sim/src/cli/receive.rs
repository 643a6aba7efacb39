//! `receive`: heartbeats from elsewhere.

use std::{io, net::SocketAddr};

use super::print;
use crate::receiver::{Event, Line, Receiver};

pub(super) fn run(listen: SocketAddr) -> io::Result<()> {
    let receiver = Receiver::listen(listen)?;
    print(&format!("Receiving at http://{}/", receiver.address()));
    for event in receiver.events() {
        match event {
            Event::Beat(beat) => {
                print(&Line { value: &beat.value, size: beat.document.len(), round_trip: None }.to_string());
            }
            Event::Refused(refusal) => print(&format!("refused with {}: {}", refusal.status, refusal.reason)),
        }
    }
    Ok(())
}
