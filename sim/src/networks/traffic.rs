//! What each state of a server costs on a metered link: bytes of the wire, both directions, with the headers of IP and TCP
//! and with name lookups, of the real daemon with its defaults.

use std::{fmt, io, path::Path, thread, time::Duration};

use super::{
    program::{Beats, Program},
    site::Site,
    wire::Volume,
};
use crate::{
    hostile_servers::{Authority, Fault, HostileServer},
    receiver::Receiver,
};

const DAY: Duration = Duration::from_secs(86_400);

/// A state of a server.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct State {
    /// For people.
    pub about: &'static str,
    /// The name of the fault; `None` for a server that does what it should.
    pub fault: Option<&'static str>,
}

/// The states that are measured.
pub const STATES: &[State] = &[
    State { about: "delivers, connection kept", fault: None },
    State { about: "delivers, closes each connection", fault: Some("closes-each") },
    State { about: "refuses (401)", fault: Some("unauthorized") },
    State { about: "refuses (404), page of 150 kB", fault: Some("page-404") },
    State { about: "refuses (404), page of 1 MB", fault: Some("page-404-1m") },
    State { about: "redirects (302)", fault: Some("redirect") },
    State { about: "fails (500)", fault: Some("fails") },
    State { about: "certificate of an unknown authority", fault: Some("unknown-authority") },
    State { about: "certificate not valid yet", fault: Some("not-yet-valid") },
    State { about: "certificate has expired", fault: Some("expired") },
    State { about: "long chain of certificates", fault: Some("long-chain") },
    State { about: "silent before TLS", fault: Some("tls-silent") },
    State { about: "silent after the request", fault: Some("no-reply") },
    State { about: "closes before TLS", fault: Some("hang-up") },
    State { about: "captive portal, its own certificate", fault: Some("wrong-host") },
    State { about: "captive portal, login page (302) of 150 kB", fault: Some("login-page") },
    State { about: "captive portal, no TLS", fault: Some("tls-plain") },
];

/// What a state costs.
#[derive(Debug, Clone, Copy)]
pub struct Row {
    /// The state.
    pub state: State,
    /// What went over the wire.
    pub volume: Volume,
    /// In this time.
    pub length: Duration,
    /// What became of the heartbeats.
    pub beats: Beats,
}

impl Row {
    /// Megabytes a day at this rate.
    pub fn megabytes_a_day(&self) -> f64 {
        // Far below 2^52.
        #[allow(clippy::cast_precision_loss)]
        let bytes = (self.volume.up + self.volume.down) as f64;
        bytes / 1e6 * DAY.as_secs_f64() / self.length.as_secs_f64()
    }
}

impl fmt::Display for Row {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Volume { up, down, packets } = self.volume;
        let Beats { delivered, failed, withheld, .. } = self.beats;
        let about = self.state.about;
        let day = self.megabytes_a_day();
        write!(
            f,
            "| {about} | {delivered} | {failed} | {withheld} | {up} | {down} | {packets} | {day:.1} MB |"
        )
    }
}

/// The head of the table.
pub const HEAD: &str = "| the server | delivered | failed | withheld | bytes up | bytes down | packets | a day |\n|---|---|---|---|---|---|---|---|";

/// How it is measured.
#[derive(Debug, Clone, Copy)]
pub struct Plan {
    /// The time to the server and back.
    pub round_trip: Duration,
    /// What is measured begins after this, when back-off has reached its longest pause.
    pub settling: Duration,
    /// It lasts for so long.
    pub length: Duration,
}

/// Runs `program` against a server in each state, all at once.
///
/// # Errors
///
/// When this user may not make networks, or when the program ends.
pub fn run(program: &Path, states: &[State], plan: Plan) -> io::Result<Vec<Row>> {
    thread::scope(|scope| {
        let measure = |state: &State| measure(program, *state, plan);
        let runs: Vec<_> = states.iter().map(|state| scope.spawn(move || measure(state))).collect();
        let joined =
            runs.into_iter().map(|run| run.join().unwrap_or_else(|_| Err(io::Error::other("a panic"))));
        joined.collect()
    })
}

fn measure(program: &Path, state: State, plan: Plan) -> io::Result<Row> {
    let site = Site::new()?;
    let authority = Authority::new();
    let pem = authority.pem();
    site.wire.set_round_trip(plan.round_trip);
    let address = (Site::SERVER, 443).into();
    let _receiver = match state.fault {
        None => Some(site.server.inside(move || Receiver::secured(address, &authority, Site::NAME))?),
        Some(name) => {
            let fault = Fault::named(name).ok_or_else(|| {
                io::Error::new(io::ErrorKind::NotFound, format!("no server is called {name}"))
            })?;
            site.server.inside(move || {
                HostileServer::listen_as(Site::NAME, address, fault, Some(&authority)).map(drop)
            })?;
            None
        }
    };
    let url = format!("https://{}/heartbeat.php", Site::NAME);
    let mut program = Program::start(program, &site.device, &url, &pem, "")?;
    thread::sleep(plan.settling);
    let (volume, beats) = (site.wire.volume(), program.beats());
    thread::sleep(plan.length);
    let volume = site.wire.volume().since(&volume);
    let beats = program.beats().since(&beats);
    if !program.is_running()? {
        return Err(io::Error::other(format!("the daemon has ended: {}", program.log())));
    }
    Ok(Row { state, volume, length: plan.length, beats })
}
