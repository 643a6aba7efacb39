//! `receive`: heartbeats from elsewhere, taken as they should be or as they should not.

use std::{
    fs, io,
    net::SocketAddr,
    path::{Path, PathBuf},
    thread,
    time::Duration,
};

use clap::Args;
use heartbeat_daemon::logging;

use super::print;
use crate::{
    hostile_servers::{Authority, Fault, HostileServer},
    receiver::{Event, Line, Receiver},
};

/// How often a server that misbehaves is looked at.
const LOOK_EVERY: Duration = Duration::from_millis(200);

const LOCALHOST: &str = "localhost";

/// A server.
#[derive(Debug, Args)]
pub(super) struct Receive {
    /// Where to listen
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:8080")]
    listen: SocketAddr,
    /// Speak TLS, and write whom to trust for that into this file, for --ca-file
    #[arg(long, value_name = "FILE")]
    tls: Option<PathBuf>,
    /// The name of this server in its certificate
    #[arg(long, value_name = "NAME", default_value = LOCALHOST, requires = "tls")]
    name: String,
    /// Print the documents as they came
    #[arg(long)]
    json: bool,
    /// Do this wrong instead; see --faults
    #[arg(long, value_name = "NAME", value_parser = named, conflicts_with = "json")]
    fault: Option<&'static Fault>,
    /// List what can be done wrong
    #[arg(long, exclusive = true)]
    faults: bool,
}

fn named(name: &str) -> Result<&'static Fault, String> {
    Fault::named(name).ok_or_else(|| "there is no such fault; --faults lists them".to_owned())
}

impl Receive {
    pub(super) fn run(&self) -> Result<(), String> {
        logging::install(log::LevelFilter::Info);
        if self.faults {
            list();
            return Ok(());
        }
        let authority = match &self.tls {
            Some(file) => Some(publish(file).map_err(|error| format!("{}: {error}", file.display()))?),
            None => None,
        };
        let result = match self.fault {
            Some(fault) if fault.needs_tls() && authority.is_none() => {
                return Err(format!("the fault {} needs --tls", fault.name));
            }
            Some(fault) => self.serve_fault(fault, authority.as_ref()),
            None => self.receive(authority.as_ref()),
        };
        result.map_err(|error| format!("{}: {error}", self.listen))
    }

    fn receive(&self, authority: Option<&Authority>) -> io::Result<()> {
        let receiver = match authority {
            Some(authority) => Receiver::secured(self.listen, authority, &self.name),
            None => Receiver::listen(self.listen),
        }?;
        print(&format!("Receiving at {}", self.url(receiver.address())));
        for event in receiver.events() {
            match event {
                Event::Beat(beat) if self.json => print(&String::from_utf8_lossy(&beat.document)),
                Event::Beat(beat) => {
                    print(
                        &Line { value: &beat.value, size: beat.document.len(), round_trip: None }.to_string(),
                    );
                }
                Event::Refused(refusal) => {
                    print(&format!("refused with {}: {}", refusal.status, refusal.reason))
                }
            }
        }
        Ok(())
    }

    fn serve_fault(&self, fault: &'static Fault, authority: Option<&Authority>) -> io::Result<()> {
        let server = HostileServer::listen_as(&self.name, self.listen, fault, authority)?;
        print(&format!("At {}: {}", self.url(server.address()), fault.about));
        print(&format!("A daemon should say: {}", should_say(fault)));
        let mut seen = (0, 0);
        loop {
            let now = (server.connections(), server.requests());
            if now != seen {
                print(&format!("{} connections, {} requests", now.0, now.1));
                seen = now;
            }
            thread::sleep(LOOK_EVERY);
        }
    }

    fn url(&self, address: SocketAddr) -> String {
        match self.tls {
            Some(_) => format!("https://{}:{}/", self.name, address.port()),
            None => format!("http://{address}/"),
        }
    }
}

fn publish(file: &Path) -> io::Result<Authority> {
    let authority = Authority::new();
    fs::write(file, authority.pem())?;
    Ok(authority)
}

fn should_say(fault: &Fault) -> String {
    match fault.expected {
        [] => "nothing, as heartbeats count as delivered".to_owned(),
        errors => errors.iter().map(ToString::to_string).collect::<Vec<_>>().join(", or "),
    }
}

fn list() {
    for fault in Fault::all() {
        let tls = if fault.needs_tls() { "needs --tls" } else { "" };
        print(&format!("{:20} {:8} {:11}  {}", fault.name, fault.rows, tls, fault.about));
    }
}
