//! Lets the installed service send to a receiver of this process for a while.
//!
//! It runs with settings of its own: those that decide what it reports are the owner's, those that decide where and how it
//! sends are not. So nothing of the owner's backlog comes here, and no proxy, token or certificate of the owner is used.

use std::{
    fs, io,
    net::Ipv4Addr,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    rc::Rc,
    time::{Duration, Instant},
};

use toml::{Table, Value};

use super::{
    Unit, installed,
    receiver::{Beat, Receiver},
    systemctl,
};
use crate::{
    checks::Context,
    daemon::Source,
    document::Document,
    finding::Stop,
    undo::{self, DROP_IN, UNIT},
};

/// The interval of heartbeats in a trial. An emulated board does not reach a shorter one.
pub(super) const INTERVAL: Duration = Duration::from_secs(2);
/// How long a heartbeat is waited for: a start, a sample and a TLS handshake on the slowest board.
pub(super) const BEAT_DEADLINE: Duration = Duration::from_secs(90);

const CONFIGURATION: &str = "config.toml";
/// Settings that decide where and how the owner's heartbeats are sent, and where its files are.
const NOT_TAKEN_OVER: &[&str] =
    &["proxy", "headers", "token_file", "client_cert", "client_key", "backlog", "pidfile", "backoff_cap"];

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
    /// What it takes for the `/tmp` of the streaming application.
    pub(super) application: Option<PathBuf>,
}

/// A trial. What it changed is put back when it is dropped.
#[derive(Debug)]
pub(super) struct Trial {
    receiver: Receiver,
}

impl Trial {
    /// Starts the service anew according to the plan.
    pub(super) fn begin(context: &Context, plan: Plan) -> Result<Self, Stop> {
        let unit = installed(context)?;
        unit.must_run(context.daemon.program())?;
        let address = plan.address.unwrap_or(Ipv4Addr::LOCALHOST);
        let receiver = Receiver::listen(address, plan.receiver_namespace)
            .map_err(|error| Stop::skipped(format_args!("no receiver can listen on {address}: {error}")))?;
        let trial = Self { receiver };
        let cannot = |error: io::Error| Stop::skipped(format_args!("{}: {error}", undo::FOLDER));
        let _guard = undo::changing();
        let certificate = publish("ca.pem", trial.receiver.certificate()).map_err(cannot)?;
        let mut settings = own_settings(context.settings()?, &trial.receiver.url(), &certificate);
        let mut variables = "HEARTBEAT_URL HEARTBEAT_INTERVAL REQUEST_TIMEOUT HEARTBEAT_TOKEN".to_owned();
        if let Some(application) = plan.application {
            settings.insert("app_tmp".to_owned(), application.display().to_string().into());
            variables.push_str(" HEARTBEAT_APP_TMP");
        }
        let configuration =
            publish(CONFIGURATION, &settings.to_string()).map_err(cannot)?.display().to_string();
        let program = context.daemon.program().to_string_lossy();
        let exec = format!("{} --config {} run", quoted(&program), quoted(&configuration));
        // The environment would win over the file. What a namespace has is not the network that the receiver is in.
        let mut lines = format!(
            "ExecStart=\nExecStart={exec}\nRestartSec=1\n\
             UnsetEnvironment={variables}\n\
             NetworkNamespacePath=\n"
        );
        if let Some(seconds) = plan.watchdog_s {
            lines.push_str(&format!("WatchdogSec={seconds}\n"));
        }
        if let Some(namespace) = plan.service_namespace {
            lines.push_str(&format!("NetworkNamespacePath={}\n", namespace.display()));
        }
        install(&lines, &configuration)?;
        systemctl(&["restart", UNIT]).map_err(Stop::failed)?;
        Ok(trial)
    }

    /// The next heartbeat; it must fit the schema.
    pub(super) fn beat(&self, context: &Context) -> Result<(Document, Instant), Stop> {
        self.beat_within(context, BEAT_DEADLINE)?.ok_or_else(nothing_arrived)
    }

    /// The next heartbeat, if one arrives within the time.
    pub(super) fn beat_within(
        &self,
        context: &Context,
        within: Duration,
    ) -> Result<Option<(Document, Instant)>, Stop> {
        let Some(Beat { body, arrived }) = self.receiver.next(within) else { return Ok(None) };
        let document = context.daemon.schema().check(&body).map_err(not_valid)?;
        Ok(Some((document, arrived)))
    }

    /// A heartbeat whose values were all read after the call; it must fit the schema.
    pub(super) fn fresh_beat(&self, context: &Context) -> Result<Document, Stop> {
        context.daemon.schema().check(&self.fresh()?).map_err(not_valid)
    }

    fn fresh(&self) -> Result<Vec<u8>, Stop> {
        self.forget();
        // What arrives next may have been read before the call. One heartbeat is read when the one before has been sent.
        self.receiver.next(BEAT_DEADLINE).ok_or_else(nothing_arrived)?;
        Ok(self.receiver.next(BEAT_DEADLINE).ok_or_else(nothing_arrived)?.body)
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

fn not_valid(error: String) -> Stop {
    Stop::failed(format_args!("a heartbeat does not fit the schema: {error}"))
}

fn nothing_arrived() -> Stop {
    Stop::failed(format_args!("no heartbeat arrived within {} s", BEAT_DEADLINE.as_secs()))
}

/// Heartbeats of the service that runs the trial.
impl Source for Rc<Trial> {
    fn document(&self) -> Result<Vec<u8>, Stop> {
        self.fresh()
    }
}

impl Drop for Trial {
    fn drop(&mut self) {
        // What fails here shows in the check service.restored.
        let _ = undo::service();
    }
}

/// Settings of a trial: the owner's where they decide what is reported.
fn own_settings(settings: &Table, url: &str, ca_file: &Path) -> Table {
    let mut own = settings.clone();
    for key in NOT_TAKEN_OVER {
        own.remove(*key);
    }
    let seconds = INTERVAL.as_secs_f64();
    for (key, value) in [
        ("url", Value::from(url)),
        ("ca_file", Value::from(ca_file.display().to_string())),
        ("interval", Value::from(seconds)),
        ("timeout", Value::from(seconds)),
    ] {
        own.insert(key.to_owned(), value);
    }
    // Only if this version of the daemon knows them.
    for (key, value) in
        [("method", Value::from("post")), ("sequence", Value::from(true)), ("wire", Value::from("full"))]
    {
        if own.contains_key(key) {
            own.insert(key.to_owned(), value);
        }
    }
    own
}

/// A file that the service may read.
fn publish(name: &str, content: &str) -> io::Result<PathBuf> {
    let path = undo::folder()?.join(name);
    fs::write(&path, content)?;
    fs::set_permissions(&path, fs::Permissions::from_mode(0o644))?;
    Ok(path)
}

/// Changes the unit by these lines of its section `Service`. `mark` is in their `ExecStart=`: another drop-in may win.
pub(super) fn install(lines: &str, mark: &str) -> Result<(), Stop> {
    let write = || {
        if let Some(folder) = Path::new(DROP_IN).parent() {
            fs::create_dir_all(folder)?;
        }
        fs::write(
            DROP_IN,
            format!("# Of heartbeat-hil, which takes it away when it ends.\n[Service]\n{lines}"),
        )
    };
    write().map_err(|error: io::Error| Stop::skipped(format_args!("{DROP_IN}: {error}")))?;
    systemctl(&["daemon-reload"])?;
    let command = Unit::find().map_err(Stop::failed)?.command_line().to_owned();
    if command.contains(mark) {
        return Ok(());
    }
    Err(Stop::failed(format_args!(
        "another drop-in replaces ExecStart= of heartbeat-hil (systemctl cat {UNIT}): {command}"
    )))
}

/// An argument as systemd.service(5) wants it.
pub(super) fn quoted(argument: &str) -> String {
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

    #[test]
    fn a_trial_has_the_owners_values_and_its_own_way() {
        let settings: Table = r#"
            url = "https://owner.example/"
            interval = 60
            method = "get"
            proxy = "http://proxy.example"
            disk_path = "/srv"
            sequence = false
            backlog.beats = 720
            backlog.file = "/var/lib/heartbeat-daemon/backlog"
            ups.address = 0x41
        "#
        .parse()
        .expect("TOML");
        let own = own_settings(&settings, "https://127.0.0.1:1/", Path::new("/run/ca.pem"));
        let expected: Table = r#"
            url = "https://127.0.0.1:1/"
            ca_file = "/run/ca.pem"
            interval = 2.0
            timeout = 2.0
            method = "post"
            disk_path = "/srv"
            sequence = true
            ups.address = 0x41
        "#
        .parse()
        .expect("TOML");
        assert_eq!(own, expected);
    }
}
