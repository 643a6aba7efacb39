//! A network that goes away, in namespaces of its own, so that the machine's own network stays as it is.

use std::{net::Ipv4Addr, time::Duration};

use super::{
    installed,
    trial::{INTERVAL, Plan, Trial},
};
use crate::{
    checks::Context,
    finding::{Evidence, Stop},
    program::{self, ProgramError},
    undo::{self, NAMESPACES},
};

const DEVICE: &str = NAMESPACES[0];
const SERVER: &str = NAMESPACES[1];
/// Of a block that is for documentation (RFC 5737), which no network has.
const SERVER_ADDRESS: Ipv4Addr = Ipv4Addr::new(198, 51, 100, 1);
/// How long the network is away.
const OUTAGE: Duration = Duration::from_secs(12);

/// Two namespaces and a cable between them.
struct Networks;

impl Networks {
    fn make() -> Result<Self, ProgramError> {
        let _guard = undo::changing();
        let networks = Self;
        for name in [DEVICE, SERVER] {
            ip(&["netns", "add", name])?;
            ip(&["-n", name, "link", "set", "lo", "up"])?;
        }
        ip(&["-n", SERVER, "link", "add", "eth0", "type", "veth", "peer", "name", "eth0", "netns", DEVICE])?;
        ip(&["-n", SERVER, "address", "add", &format!("{SERVER_ADDRESS}/24"), "dev", "eth0"])?;
        ip(&["-n", DEVICE, "address", "add", "198.51.100.2/24", "dev", "eth0"])?;
        ip(&["-n", SERVER, "link", "set", "eth0", "up"])?;
        ip(&["-n", DEVICE, "link", "set", "eth0", "up"])?;
        ip(&["-n", DEVICE, "route", "add", "default", "via", &SERVER_ADDRESS.to_string()])?;
        Ok(networks)
    }
}

impl Drop for Networks {
    fn drop(&mut self) {
        remove();
    }
}

fn remove() {
    for name in NAMESPACES {
        // Usually there is none.
        let _ = ip(&["netns", "del", name]);
    }
}

fn ip(arguments: &[&str]) -> Result<String, ProgramError> {
    program::ask("ip", arguments)
}

/// Nothing arrives while the cable is down, and heartbeats go on by themselves when it is up again.
pub(crate) fn outage(context: &Context, evidence: &mut Evidence) -> Result<(), Stop> {
    installed(context)?;
    let networks = Networks::make()?;
    let plan = Plan {
        address: Some(SERVER_ADDRESS),
        receiver_namespace: Some(format!("/run/netns/{SERVER}").into()),
        service_namespace: Some(format!("/run/netns/{DEVICE}").into()),
        ..Plan::default()
    };
    let trial = Trial::begin(context, plan)?;
    trial.beat(context)?;
    let (before, _) = trial.beat(context)?;
    let pid = trial.pid()?;
    ip(&["-n", SERVER, "link", "set", "eth0", "down"])?;
    trial.forget();
    // What was under way when the link went down may arrive; what is sent later may not.
    trial.beat_within(context, INTERVAL)?;
    let during = trial.beat_within(context, OUTAGE)?;
    let arrived = u8::from(during.is_some());
    evidence.holds("heartbeats while the link is down", arrived, 0, "the receiver", arrived == 0);
    ip(&["-n", SERVER, "link", "set", "eth0", "up"])?;
    let (after, _) = trial.beat(context)?;
    evidence.holds("heartbeats when it is up", true, true, "the receiver", true);
    evidence.holds("process", trial.pid()?, pid, "systemd", trial.pid()? == pid);
    evidence.text("boot_id", after.text("/boot_id"), before.text("/boot_id"), "the heartbeats before");
    // First the service leaves the namespace.
    drop(trial);
    drop(networks);
    Ok(())
}
