//! Heartbeats one after the other, each as soon as the one before it has ended: a year's worth in an hour, and nothing but
//! their cost for a profiler.
//!
//! Everything is real but the agent's time, which jumps to the next beat: the sensors of a machine or a tree, the
//! uplink, the server.

use std::{io, os::fd::AsFd, sync::Arc};

use heartbeat_core::{
    Agent, Stats, Wake,
    time::{Duration, Instant},
};
use heartbeat_daemon::{
    clock,
    config::Settings,
    daemon::{StartError, identity},
    sensors::LinuxHal,
    sources::sysroot::Sysroot,
    uplink::{Client, HttpUplink, Traffic},
    waker::{self, WakeUps},
};
use nix::{
    errno::Errno,
    poll::{PollFd, PollFlags, PollTimeout, poll},
};

/// Sends heartbeats until so many have ended. `each` is told the counts after each of them.
///
/// # Errors
///
/// When this machine cannot be identified, no certificate authority is usable, or the system has no resources left.
pub fn send(
    settings: &Settings,
    root: Arc<Sysroot>,
    beats: u64,
    mut each: impl FnMut(&Stats),
) -> Result<(), StartError> {
    let identity = identity(settings, &root)?;
    let (waker, mut wake_ups) = waker::pair()?;
    let mut hal = LinuxHal::new(root, settings, &waker);
    let mut uplink = HttpUplink::start(Client::new(settings, &Traffic::default())?, waker)?;
    let mut agent = Agent::new(identity.with_boot_id(1), settings.rhythm);
    let (mut now, mut ended) = (clock::now(), 0);
    while ended < beats {
        let wake = agent.poll(now, &mut hal, &mut uplink);
        let hal_due = hal.dispatch();
        let stats = agent.stats();
        if ended_in(stats) > ended {
            ended = ended_in(stats);
            each(stats);
        }
        let is_idle = stats.attempted == ended_in(stats) && wake == Wake::At(agent.next_beat());
        match wake {
            Wake::At(next) if is_idle => now = next,
            Wake::At(_) => wait(&mut wake_ups, hal_due)?,
            Wake::Stopped => break,
        }
    }
    Ok(())
}

fn ended_in(stats: &Stats) -> u64 {
    stats.delivered.saturating_add(stats.failed)
}

/// Waits for a sensor or for the end of a request, or until the device is to be asked again.
fn wait(wake_ups: &mut WakeUps, due: Option<Instant>) -> io::Result<()> {
    // The uplink gives up by itself in time.
    let timeout = due.map_or(PollTimeout::NONE, |due| {
        let left = due.since(clock::now()) + Duration::from_millis(1);
        PollTimeout::from(u16::try_from(left.as_micros() / 1_000).unwrap_or(u16::MAX))
    });
    match poll(&mut [PollFd::new(wake_ups.as_fd(), PollFlags::POLLIN)], timeout) {
        Ok(_) | Err(Errno::EINTR) => wake_ups.clear(),
        Err(error) => Err(error.into()),
    }
}
