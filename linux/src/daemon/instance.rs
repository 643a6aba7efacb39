//! One daemon for one device: what two of them must not share, and where each looks for another.
//!
//! Two daemons are the same device when they send the same hardware id to the same server (scheme, host and port). The
//! second of them ends with status 75. Every daemon looks at these places, started by hand or as a service:
//!
//! - the configured pidfile;
//! - the Python service's pidfile, because that writes no other and may lock none;
//! - a lock in the runtime directory, which names the device and belongs to the daemon that publishes its status there;
//! - the status of the service, for a user who may not open the service's lock;
//! - a lock beside the backlog's file.
//!
//! No user can stop a daemon of another one, or of root, by what they create or lock: only files of this user, of root and
//! in directories that those own count ([`pidfile`](super::pidfile)). So a service does not notice a daemon that another
//! user has started by hand, but for a warning about the pidfile; that one would have noticed the service.
//!
//! An empty `pidfile` means that a second daemon is meant, as tests do. It still does not share the backlog's file, nor
//! overwrite another's status.

use std::{
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
    task::Poll,
    time::{Duration, Instant},
};

use super::{
    pidfile::{Pidfile, PidfileError, check_old_service},
    process,
};
use crate::{
    config::{Endpoint, Settings},
    files, runtime_directory,
    side_thread::SideThread,
    status_file,
};

/// Name of the Python service's pidfile in the application's `/tmp`.
const OLD_PIDFILE: &str = "heartbeat_daemon.pid";
/// Name of the lock in a runtime directory.
const LOCK: &str = "lock";

/// This daemon as the only one of its device, for as long as this lives.
#[derive(Debug)]
pub struct Instance {
    /// They are released in this order.
    held: Vec<Pidfile>,
    publishes_in: Option<PathBuf>,
}

impl Instance {
    /// As [`Instance::claim`], for so long at most: another user's filesystem in one of the places may never answer. Then
    /// this daemon goes on alone, which is logged.
    ///
    /// # Errors
    ///
    /// As [`Instance::claim`].
    pub fn claim_within(
        limit: Duration,
        settings: &Settings,
        hardware_id: &str,
    ) -> Result<Self, PidfileError> {
        let (settings, hardware_id) = (settings.clone(), hardware_id.to_owned());
        let mut thread =
            match SideThread::start("instance", None, move |()| Self::claim(&settings, &hardware_id)) {
                Ok(thread) => thread,
                Err(error) => {
                    log::warn!("another daemon is not looked for: {error}");
                    return Ok(Self { held: Vec::new(), publishes_in: None });
                }
            };
        thread.begin(());
        if let Poll::Ready(Some(claimed)) = thread.wait(Instant::now() + limit) {
            return claimed;
        }
        log::warn!(
            "another daemon is not looked for, and status is not published: the places for that do not answer"
        );
        Ok(Self { held: Vec::new(), publishes_in: None })
    }

    /// Looks for another daemon of this device, and keeps later ones away. A place that cannot be used for this is
    /// logged and skipped.
    ///
    /// # Errors
    ///
    /// [`PidfileError::Running`] when there is one.
    pub fn claim(settings: &Settings, hardware_id: &str) -> Result<Self, PidfileError> {
        let is_alone = settings.pidfile.is_some();
        let mut claim = Self { held: Vec::new(), publishes_in: None };
        if let Some(backlog) = settings.backlog_file.as_deref().filter(|_| settings.rhythm.backlog() > 0) {
            claim.hold(&files::beside(backlog, ".lock"), "", "the backlog is not locked")?;
        }
        if is_alone {
            let old = settings.app_tmp.join(OLD_PIDFILE);
            // As the configured pidfile, it is complained about below.
            let is_own = settings.pidfile.as_deref() == Some(old.as_path());
            match check_old_service(&old) {
                Err(error @ PidfileError::Unusable { .. }) if !is_own => {
                    log::warn!("an older service is not looked for: {error}");
                }
                Err(PidfileError::Unusable { .. }) | Ok(()) => {}
                Err(running) => return Err(running),
            }
        }
        if let Some(pidfile) = &settings.pidfile {
            claim.hold(pidfile, "", "going on without a pidfile")?;
        }
        let device = format!("{hardware_id} {}", origin(&settings.endpoint));
        if let Some(directory) = runtime_directory::own(is_alone) {
            claim.take_runtime_directory(directory, &device, is_alone)?;
        }
        if is_alone && claim.publishes_in.as_deref() != Some(Path::new(runtime_directory::OF_THE_SERVICE)) {
            check_service(Path::new(runtime_directory::OF_THE_SERVICE), &origin(&settings.endpoint))?;
        }
        Ok(claim)
    }

    /// The directory in which this daemon publishes its status.
    pub fn publishes_in(&self) -> Option<&Path> {
        self.publishes_in.as_deref()
    }

    fn hold(&mut self, path: &Path, about: &str, without: &str) -> Result<(), PidfileError> {
        match Pidfile::acquire(path, about) {
            Ok(pidfile) => self.held.push(pidfile),
            // A file that another user has put there must not stop the heartbeats of a device.
            Err(error @ PidfileError::Unusable { .. }) => log::warn!("{without}: {error}"),
            Err(running) => return Err(running),
        }
        Ok(())
    }

    fn take_runtime_directory(
        &mut self,
        directory: PathBuf,
        device: &str,
        is_alone: bool,
    ) -> Result<(), PidfileError> {
        match Pidfile::acquire(&directory.join(LOCK), device) {
            Ok(lock) => self.held.push(lock),
            Err(PidfileError::Running { about, pid, path }) if is_alone && about == device => {
                return Err(PidfileError::Running { about, pid, path });
            }
            Err(PidfileError::Running { pid, .. }) => {
                log::info!("status is not published: daemon {pid} does that in {}", directory.display());
                return Ok(());
            }
            // Publishing will say what is wrong with the directory.
            Err(error @ PidfileError::Unusable { .. }) => log::debug!("{error}"),
        }
        self.publishes_in = Some(directory);
        Ok(())
    }
}

/// Looks whether the service runs, which sends to the same server, by what it publishes: its lock is not open to others.
fn check_service(directory: &Path, origin: &str) -> Result<(), PidfileError> {
    let path = directory.join(status_file::NAME);
    let Ok(owner) = directory.metadata().map(|directory| directory.uid()) else { return Ok(()) };
    let Ok(status) = status_file::read(&path) else { return Ok(()) };
    let is_same = Endpoint::parse(&status.server).is_ok_and(|server| self::origin(&server) == origin);
    if status.running && is_same && process::is_daemon_of(status.pid, &[owner, 0]) {
        return Err(PidfileError::Running { pid: status.pid.to_string(), path, about: String::new() });
    }
    Ok(())
}

/// Scheme, host and port of a server.
fn origin(endpoint: &Endpoint) -> String {
    let uri = endpoint.uri();
    let (scheme, default) = if endpoint.is_https() { ("https", 443) } else { ("http", 80) };
    let host = uri.host().unwrap_or_default().to_ascii_lowercase();
    format!("{scheme}://{host}:{}", uri.port_u16().unwrap_or(default))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_server_is_its_scheme_host_and_port() {
        let of = |url: &str| origin(&Endpoint::parse(url).expect("a URL"));
        assert_eq!(of("https://X.example/a?b"), "https://x.example:443");
        assert_eq!(of("https://x.example:443/other"), "https://x.example:443");
        assert_eq!(of("http://x.example"), "http://x.example:80");
        assert_eq!(of("http://[::1]:8080/"), "http://[::1]:8080");
    }
}
