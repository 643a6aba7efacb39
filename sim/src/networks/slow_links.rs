//! What heartbeats come to over slow links: the real daemon with its defaults, over TLS, by name, in real time.

use std::{fmt, io, path::Path, thread, time::Duration};

use super::{
    program::{Beats, Program},
    rules::loses,
    site::Site,
};
use crate::{
    hostile_servers::{Authority, Fault, HostileServer},
    receiver::Receiver,
};

/// A link, and how the daemon is set for it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Link {
    /// The time to the server and back.
    pub round_trip: Duration,
    /// Packets that are lost of each direction, in percent.
    pub loss_percent: u64,
    /// Seconds between heartbeats, and for one of them.
    pub rhythm: [u64; 2],
    /// The server closes each connection after its reply.
    pub closes: bool,
}

/// The rhythm of the defaults.
const DEFAULT: [u64; 2] = [5, 2];

/// Links from good to bad.
pub const LINKS: [Link; 11] = [
    link(100, 0, DEFAULT),
    link(250, 0, DEFAULT),
    link(500, 0, DEFAULT),
    link(600, 0, DEFAULT),
    link(700, 0, DEFAULT),
    link(1_000, 0, DEFAULT),
    link(1_500, 0, DEFAULT),
    // A reply cannot come within 2 s here.
    link(3_000, 5, [30, 15]),
    Link { closes: true, ..link(500, 0, DEFAULT) },
    Link { closes: true, ..link(700, 0, DEFAULT) },
    Link { closes: true, ..link(1_500, 0, DEFAULT) },
];

const fn link(millis: u64, loss_percent: u64, rhythm: [u64; 2]) -> Link {
    Link { round_trip: Duration::from_millis(millis), loss_percent, rhythm, closes: false }
}

/// What came of it.
#[derive(Debug, Clone, Copy)]
pub struct Row {
    /// The link.
    pub link: Link,
    /// In the first minute.
    pub first_minute: Beats,
    /// After it.
    pub later: Beats,
}

impl Row {
    /// Heartbeats delivered after the first minute, in percent of those that were due; 0 if none was.
    pub fn percent(&self) -> u64 {
        (self.later.delivered * 100).checked_div(self.later.due()).unwrap_or(0)
    }
}

impl fmt::Display for Row {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Link { round_trip, loss_percent, rhythm: [interval, timeout], closes } = self.link;
        let server = if closes { "closes each" } else { "keeps" };
        let of = |beats: &Beats| format!("{}/{}", beats.delivered, beats.due());
        write!(
            f,
            "| {} s | {loss_percent} % | {server} | {interval} s | {timeout} s | {} | {} | {} % |",
            round_trip.as_secs_f64(),
            of(&self.first_minute),
            of(&self.later),
            self.percent()
        )
    }
}

/// The head of the table.
pub const HEAD: &str = "| round trip | loss | connection | interval | timeout | first minute | after it | |\n|---|---|---|---|---|---|---|---|";

/// Runs `program` over each link, all at once, for a minute and then for `length`.
///
/// # Errors
///
/// When this user may not make networks, or when the program ends.
pub fn run(program: &Path, links: &[Link], length: Duration) -> io::Result<Vec<Row>> {
    thread::scope(|scope| {
        let runs: Vec<_> = links.iter().map(|link| scope.spawn(|| measure(program, *link, length))).collect();
        let joined =
            runs.into_iter().map(|run| run.join().unwrap_or_else(|_| Err(io::Error::other("a panic"))));
        joined.collect()
    })
}

fn measure(program: &Path, link: Link, length: Duration) -> io::Result<Row> {
    let site = Site::new()?;
    let authority = Authority::new();
    let pem = authority.pem();
    let address = (Site::SERVER, 443).into();
    let receiver = if link.closes {
        let fault = Fault::named("closes-each").ok_or(io::ErrorKind::NotFound)?;
        let listen = move || HostileServer::listen_as(Site::NAME, address, fault, Some(&authority)).map(drop);
        site.server.inside(listen)?;
        None
    } else {
        Some(site.server.inside(move || Receiver::secured(address, &authority, Site::NAME))?)
    };
    site.wire.set_round_trip(link.round_trip);
    if link.loss_percent > 0 {
        site.wire.set_rules(vec![loses(link.loss_percent, 1)]);
    }
    let [interval, timeout] = link.rhythm;
    let config = format!("interval = {interval}\ntimeout = {timeout}\n");
    let url = format!("https://{}/", Site::NAME);
    let mut program = Program::start(program, &site.device, &url, &pem, &config)?;
    thread::sleep(Duration::from_secs(60));
    let first_minute = program.beats();
    // As many beats on a slower rhythm.
    let factor = u32::try_from(interval / DEFAULT[0]).unwrap_or(1);
    thread::sleep(length * factor);
    let later = program.beats().since(&first_minute);
    drop(receiver);
    if !program.is_running()? {
        return Err(io::Error::other(format!("the daemon has ended: {}", program.log())));
    }
    Ok(Row { link, first_minute, later })
}
