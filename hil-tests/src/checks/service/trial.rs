//! Lets the installed service send to a receiver of this process for a while.

use std::{
    fs, io,
    net::Ipv4Addr,
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use super::{
    UNIT, Unit, installed,
    receiver::{Beat, Receiver},
    systemctl,
};
use crate::{checks::Context, document::Document, finding::Stop};

/// The interval of heartbeats in a trial. An emulated board does not reach a shorter one.
pub(super) const INTERVAL: Duration = Duration::from_secs(2);
/// How long a heartbeat is waited for: a start, a sample and a TLS handshake on the slowest board.
pub(super) const BEAT_DEADLINE: Duration = Duration::from_secs(90);

const DROP_IN: &str = "/run/systemd/system/heartbeat-daemon.service.d/90-heartbeat-hil.conf";
const FOLDER: &str = "/run/heartbeat-hil";

/// What a trial changes besides where the service sends.
#[derive(Debug, Default)]
pub(super) struct Plan {
    /// Seconds without a sign of life after which systemd kills it.
    pub(super) watchdog_s: Option<u32>,
    /// Where the receiver listens; loopback if not said.
    pub(super) address: Option<Ipv4Addr>,
    /// The network namespace of the receiver.
    pub(super) receiver_namespace: Option<PathBuf>,
    /// The network namespace of the service.
    pub(super) service_namespace: Option<PathBuf>,
}

/// A trial. What it changed is put back when it is dropped.
#[derive(Debug)]
pub(super) struct Trial {
    receiver: Receiver,
}

impl Trial {
    /// Starts the service anew according to the plan.
    pub(super) fn begin(context: &Context, plan: Plan) -> Result<Self, Stop> {
        installed(context)?;
        let address = plan.address.unwrap_or(Ipv4Addr::LOCALHOST);
        let receiver = Receiver::listen(address, plan.receiver_namespace)
            .map_err(|error| Stop::skipped(format_args!("no receiver can listen on {address}: {error}")))?;
        let trial = Self { receiver };
        let certificate = Path::new(FOLDER).join("ca.pem");
        let cannot = |error: io::Error| Stop::skipped(format_args!("/run: {error}"));
        fs::create_dir_all(FOLDER).map_err(cannot)?;
        fs::write(&certificate, trial.receiver.certificate()).map_err(cannot)?;
        let mut exec = context.daemon.program().display().to_string();
        for flag in context.daemon.flags() {
            exec.push_str(&format!(" {}", quoted(&flag.to_string_lossy())));
        }
        let seconds = INTERVAL.as_secs();
        // Flags win over the environment and the file, the last of the same over those before.
        let url = trial.receiver.url();
        let ca = certificate.display();
        exec.push_str(&format!(" --url {url} --ca-file {ca} --interval {seconds} --timeout {seconds} run"));
        let mut lines = format!("[Service]\nExecStart=\nExecStart={exec}\nRestartSec=1\n");
        if let Some(seconds) = plan.watchdog_s {
            lines.push_str(&format!("WatchdogSec={seconds}\n"));
        }
        if let Some(namespace) = plan.service_namespace {
            lines.push_str(&format!("NetworkNamespacePath={}\n", namespace.display()));
        }
        install(&lines).map_err(cannot)?;
        systemctl(&["daemon-reload"])?;
        systemctl(&["restart", UNIT]).map_err(Stop::failed)?;
        Ok(trial)
    }

    /// The next heartbeat; it must fit the schema.
    pub(super) fn beat(&self, context: &Context) -> Result<(Document, Instant), Stop> {
        self.beat_within(context, BEAT_DEADLINE)?.ok_or_else(|| {
            Stop::failed(format_args!("no heartbeat arrived within {} s", BEAT_DEADLINE.as_secs()))
        })
    }

    /// The next heartbeat, if one arrives within the time.
    pub(super) fn beat_within(
        &self,
        context: &Context,
        within: Duration,
    ) -> Result<Option<(Document, Instant)>, Stop> {
        let Some(Beat { body, arrived }) = self.receiver.next(within) else { return Ok(None) };
        let document =
            context.daemon.schema().check(&body).map_err(|error| {
                Stop::failed(format_args!("a heartbeat does not fit the schema: {error}"))
            })?;
        Ok(Some((document, arrived)))
    }

    /// Forgets what has arrived so far.
    pub(super) fn forget(&self) {
        self.receiver.forget();
    }

    /// The main process of the service.
    pub(super) fn pid(&self) -> Result<u32, Stop> {
        let unit = Unit::find().map_err(Stop::failed)?;
        unit.pid().ok_or_else(|| Stop::failed("the service has no process"))
    }
}

impl Drop for Trial {
    fn drop(&mut self) {
        restore();
    }
}

/// Runs the service once with the drop-in `lines`; what it changed is put back by the caller with [`restore`].
pub(super) fn install(lines: &str) -> io::Result<()> {
    if let Some(folder) = Path::new(DROP_IN).parent() {
        fs::create_dir_all(folder)?;
    }
    fs::write(DROP_IN, format!("# Of heartbeat-hil, which takes it away when it ends.\n{lines}"))
}

/// Takes away the drop-in, also that of a run that was killed, and starts the service as it was.
pub(crate) fn restore() {
    if fs::remove_file(DROP_IN).is_err() {
        return;
    }
    // Errors show in the next check and in the state of the service.
    let _ = fs::remove_dir_all(FOLDER);
    let _ = systemctl(&["daemon-reload"]);
    let _ = systemctl(&["reset-failed", UNIT]);
    let _ = systemctl(&["restart", UNIT]);
}

/// An argument as systemd.service(5) wants it.
fn quoted(argument: &str) -> String {
    let escaped = argument.replace('\\', "\\\\").replace('"', "\\\"").replace('%', "%%").replace('$', "$$");
    format!("\"{escaped}\"")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn arguments_are_quoted_for_systemd() {
        assert_eq!(quoted(r#"a b"c\d%e$f"#), r#""a b\"c\\d%%e$$f""#);
    }
}
