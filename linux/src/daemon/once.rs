//! One heartbeat without a daemon: the real agent against a server that only keeps the document.

use std::{io, sync::Arc, task::Poll};

use heartbeat_core::{
    Agent, Config, Identity, Outcome, Uplink, Verdict, Wake, time::Duration, uplink::Fault,
};

use super::sleeper::Sleeper;
use crate::{clock, config::Settings, sensors::LinuxHal, sources::sysroot::Sysroot, waker};

/// Twice the time over which processor use is measured: with phase 0 the second beat follows after half of it.
const INTERVAL: Duration = Duration::from_secs(2);

/// Answers every heartbeat at once, and counts.
#[derive(Debug, Default)]
struct Kept {
    beats: u32,
    answered: bool,
}

impl Uplink for Kept {
    fn send(&mut self, _: &[u8], _: Duration) {
        self.beats = self.beats.saturating_add(1);
        self.answered = false;
    }

    fn poll(&mut self) -> Poll<Outcome> {
        if std::mem::replace(&mut self.answered, true) {
            Poll::Pending
        } else {
            Poll::Ready(Outcome::new(Verdict::Accepted, ""))
        }
    }

    fn cancel(&mut self) -> Outcome {
        Outcome::new(Verdict::Failed { fault: Fault::Device, may_have_arrived: false }, "")
    }
}

/// Samples the device as the daemon does, for two beats, because the first knows nothing about the processor. Takes
/// a second, one and a half when a sensor hangs.
///
/// # Errors
///
/// When the system has no resources left.
pub fn sample_once(settings: &Settings, root: Arc<Sysroot>, identity: Identity) -> io::Result<Vec<u8>> {
    let (waker, wake_ups) = waker::pair()?;
    let mut sleeper = Sleeper::new(wake_ups)?;
    let mut hal = LinuxHal::new(root, settings, &waker);
    let rhythm = Config::new(INTERVAL, INTERVAL).unwrap_or_default().with_phase(0);
    let mut agent = Agent::new(identity.clone(), rhythm);
    let mut kept = Kept::default();
    while kept.beats < 2 {
        let wake = agent.poll(clock::now(), &mut hal, &mut kept);
        if kept.beats == 1 {
            // As if the second went to another server: it tells the board, too, of which one told is enough otherwise.
            agent.reconfigure(identity.clone(), rhythm);
        }
        let hal_due = hal.dispatch();
        match wake {
            Wake::At(when) if kept.beats < 2 => {
                sleeper.sleep_until(hal_due.map_or(when, |due| when.min(due)))?;
            }
            _ => break,
        }
    }
    Ok(agent.last_body().to_vec())
}
