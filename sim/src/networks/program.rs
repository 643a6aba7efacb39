//! The daemon as a process on a device of a [`Site`](super::Site).

use std::{
    fs::{self, File},
    io,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
};

use heartbeat_daemon::status_file;

use super::namespace::Namespace;

/// A running daemon. Killed when dropped.
#[derive(Debug)]
pub struct Program {
    child: Child,
    dir: tempfile::TempDir,
}

/// What a daemon has done so far, as its status says.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Beats {
    /// Heartbeats delivered in time.
    pub delivered: u64,
    /// Heartbeats that were sent, or should have been, and not delivered.
    pub failed: u64,
    /// Heartbeats that were withheld to back off.
    pub withheld: u64,
    /// Heartbeats that were skipped.
    pub skipped: u64,
}

impl Program {
    /// Starts `program` inside `namespace`, sending to `url`, with these lines of configuration. `authority`: whom it trusts,
    /// in PEM form.
    ///
    /// # Errors
    ///
    /// When it cannot be started.
    pub fn start(
        program: &Path,
        namespace: &Namespace,
        url: &str,
        authority: &str,
        config: &str,
    ) -> io::Result<Self> {
        let dir = tempfile::tempdir()?;
        let at = |name: &str| dir.path().join(name);
        fs::write(at("ca.pem"), authority)?;
        fs::write(at("config.toml"), format!("hardware_id = \"device-of-a-test\"\n{config}"))?;
        let mut command = Command::new(program);
        command.args(["run", "--url", url, "--pidfile", "", "--verbose", "--config"]);
        command.arg(at("config.toml")).arg("--ca-file").arg(at("ca.pem"));
        for name in ["HEARTBEAT_URL", "HEARTBEAT_INTERVAL", "REQUEST_TIMEOUT", "PIDFILE", "NOTIFY_SOCKET"] {
            command.env_remove(name);
        }
        command.env_remove("JOURNAL_STREAM").env("RUNTIME_DIRECTORY", dir.path());
        let mut outer = namespace.exec(&command);
        let log = File::create(at("log"))?;
        let child = outer.stdin(Stdio::null()).stdout(Stdio::null()).stderr(log).spawn()?;
        Ok(Self { child, dir })
    }

    /// What it has done so far; nothing before it has published anything.
    pub fn beats(&self) -> Beats {
        let Ok(status) = status_file::ask(&self.file("status.json")) else { return Beats::default() };
        Beats {
            delivered: status.delivered,
            failed: status.failed,
            withheld: status.withheld,
            skipped: status.skipped,
        }
    }

    /// What it has logged.
    pub fn log(&self) -> String {
        fs::read(self.file("log")).map(|log| String::from_utf8_lossy(&log).into_owned()).unwrap_or_default()
    }

    /// Whether it still runs.
    ///
    /// # Errors
    ///
    /// When the system does not say.
    pub fn is_running(&mut self) -> io::Result<bool> {
        Ok(self.child.try_wait()?.is_none())
    }

    fn file(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Beats {
    /// All that were due.
    pub fn due(&self) -> u64 {
        self.delivered + self.failed + self.withheld + self.skipped
    }

    /// What came after `earlier`.
    #[must_use]
    pub fn since(&self, earlier: &Self) -> Self {
        Self {
            delivered: self.delivered.saturating_sub(earlier.delivered),
            failed: self.failed.saturating_sub(earlier.failed),
            withheld: self.withheld.saturating_sub(earlier.withheld),
            skipped: self.skipped.saturating_sub(earlier.skipped),
        }
    }
}
