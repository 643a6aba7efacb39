//! The real server with the real daemon, with the sensors of this machine, and simulated devices beside it.

use std::{io, path::Path};

use heartbeat_core::{Config, Verdict, time::Instant};
use heartbeat_daemon::{
    config::{Layers, Settings, SettingsError},
    daemon::{Daemon, Observer, StartError, Turn, open_root},
    sensors::hardware_id,
};

use heartbeat_server::local::LocalServer;

use crate::{receiver::Line, schema::Schema, swarm::Swarm};

/// Why the demonstration failed.
#[derive(Debug, thiserror::Error)]
pub enum DemoError {
    /// A flag has a value that cannot be used.
    #[error(transparent)]
    Config(#[from] SettingsError),
    /// The daemon could not be started.
    #[error(transparent)]
    Start(#[from] StartError),
    /// The server could not be started.
    #[error("the server: {0}")]
    Server(String),
    /// The system failed.
    #[error(transparent)]
    System(#[from] io::Error),
    /// Heartbeats were lost on the way to this machine itself.
    #[error("{0} of the heartbeats were not delivered")]
    NotDelivered(u64),
}

/// Beats every `interval` seconds until `beats` requests have ended, or until Ctrl-C, with `devices` simulated devices
/// beside. Calls `print` for every line. The server keeps its database in a temporary directory until the end.
///
/// Neither files nor the environment are read: nothing can make it send to another machine.
///
/// # Errors
///
/// See [`DemoError`].
pub fn run(
    beats: Option<u64>,
    interval: &str,
    devices: u32,
    mut print: impl FnMut(&str),
) -> Result<(), DemoError> {
    let root = open_root(Path::new("/"))?;
    let state = tempfile::tempdir()?;
    let server = LocalServer::start(state.path()).map_err(DemoError::Server)?;
    let url = format!("http://{}/heartbeat.php", server.address());
    let mut flags = Layers::default();
    flags.add_flag("url", &url);
    flags.add_flag("interval", interval);
    let mut settings = Settings::new(&flags)?;
    if hardware_id::find(&root).is_err() {
        settings.hardware_id = Some("demo".to_owned());
    }
    let mut daemon = Daemon::start(&settings, root)?;
    print(&format!("The page: http://{}/", server.address()));
    print(&format!("A heartbeat of this machine every {} to {url}", seconds(settings.rhythm)));
    let swarm =
        (devices > 0).then(|| Swarm::start(devices, settings.rhythm, server.address())).transpose()?;
    if swarm.is_some() {
        print(&format!("{devices} simulated devices beside it"));
    }
    let stop = daemon.stopper();
    let mut watcher = Watcher { schema: Schema::new(), beats, ended: 0, print, stop };
    daemon.run(|| None, &mut watcher)?;
    let stats = daemon.stats();
    (watcher.print)(&format!("{} delivered, {} failed", stats.delivered, stats.failed));
    match stats.failed {
        0 => Ok(()),
        failed => Err(DemoError::NotDelivered(failed)),
    }
}

fn seconds(rhythm: Config) -> String {
    format!("{} s", std::time::Duration::from(rhythm.interval()).as_secs_f64())
}

/// Prints a line whenever a request has ended, and stops after enough of them.
struct Watcher<P, S> {
    schema: Schema,
    beats: Option<u64>,
    ended: u64,
    print: P,
    stop: S,
}

impl<P: FnMut(&str), S: Fn()> Observer for Watcher<P, S> {
    fn turned(&mut self, turn: &Turn<'_>) -> Option<Instant> {
        let stats = turn.agent.stats();
        let ended = stats.delivered + stats.failed;
        let latest = stats.last.as_ref().filter(|_| ended > self.ended)?;
        self.ended = ended;
        let body = turn.agent.last_body();
        let outcome = &latest.outcome;
        match (outcome.verdict, self.schema.check(body)) {
            (Verdict::Accepted, Ok(value)) => {
                let round_trip = Some(latest.round_trip.into());
                (self.print)(&Line { value: &value, size: body.len(), round_trip }.to_string());
            }
            (Verdict::Failed { .. } | Verdict::Refused { .. }, _) => {
                (self.print)(&format!("not delivered: {}", outcome.detail));
            }
            (Verdict::Accepted, Err(error)) => (self.print)(&format!("not valid: {error}")),
        }
        if self.beats.is_some_and(|beats| ended >= beats) {
            (self.stop)();
        }
        None
    }

    // So that each line has its heartbeat and comes at once.
    fn needs_each_delivery(&self) -> bool {
        true
    }
}
