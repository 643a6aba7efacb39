//! The protocol of `sd_notify(3)`: messages to systemd. Without systemd none are sent.
//!
//! The main loop never waits for systemd, which may be stopped or busy while its socket is full. What cannot be sent then
//! stays pending and is tried again soon: `READY=1` is never lost, of several statuses the latest counts. Every message
//! feeds the watchdog, so that a full socket holds no message that does not. Only a turn of the main loop sends one.

use std::{
    env, io,
    os::{
        linux::net::SocketAddrExt,
        unix::{
            ffi::OsStrExt,
            net::{SocketAddr, UnixDatagram},
        },
    },
};

use heartbeat_core::time::{Duration, Instant};
use nix::errno::Errno;
use sd_notify::NotifyState;

use crate::printable::printable;

/// How soon a message that found no room is tried again.
const RETRY: Duration = Duration::from_secs(1);

/// Sends messages to systemd.
#[derive(Debug)]
pub(super) struct Notifier {
    /// `None` without a supervisor.
    supervisor: Option<Supervisor>,
    /// Whether the service has been reported as ready.
    ready: bool,
    pending: Pending,
    /// How often systemd wants to hear that the loop turns: three times as often as it waits.
    every: Option<Duration>,
    /// When the last message was sent or dropped.
    fed: Option<Instant>,
}

/// What has not been sent yet.
#[derive(Debug, Default)]
struct Pending {
    reloading: bool,
    ready: bool,
    stopping: bool,
    status: Option<String>,
}

impl Notifier {
    pub(super) fn new() -> Self {
        let every = sd_notify::watchdog_enabled().map(|limit| Duration::from(limit / 3));
        Self::with(Supervisor::from_environment(), every)
    }

    fn with(supervisor: Option<Supervisor>, every: Option<Duration>) -> Self {
        Self { supervisor, ready: false, pending: Pending::default(), every, fed: None }
    }

    /// Whether there is a supervisor.
    pub(super) const fn is_heard(&self) -> bool {
        self.supervisor.is_some()
    }

    /// Whether a sample has been taken, with the first of which the service is ready, and what it is doing, for
    /// `systemctl status`.
    pub(super) fn news(&mut self, sampled: bool, headline: Option<&str>) {
        self.pending.ready |= sampled && !self.ready;
        self.ready |= sampled;
        if let Some(headline) = headline {
            // A line end in it would begin another assignment, and systemctl prints it to a terminal.
            self.pending.status = Some(printable(headline).into_owned());
        }
    }

    pub(super) fn reloading(&mut self) {
        self.pending.reloading = true;
    }

    pub(super) fn reloaded(&mut self) {
        self.pending.ready = true;
    }

    pub(super) fn stopping(&mut self) {
        self.pending.stopping = true;
    }

    /// Sends what is pending, and that the loop turns if that is due. The answer is when it must turn again.
    pub(super) fn tell(&mut self, now: Instant) -> Option<Instant> {
        let supervisor = self.supervisor.as_mut()?;
        let fed = self.fed;
        // A little early, together with a heartbeat, instead of on time with a wake-up for it alone.
        let is_due =
            self.every.is_some_and(|every| fed.is_none_or(|fed| now.since(fed) + every / 4 >= every));
        if is_due || self.pending.is_any() {
            match self.pending.send(supervisor, self.every.is_some()) {
                Err(error) if is_transient(&error) => {
                    return Some(now + self.every.map_or(RETRY, |every| every.min(RETRY)));
                }
                // After any other error the message is dropped: the supervisor's watchdog decides what follows.
                Ok(()) | Err(_) => self.fed = Some(now),
            }
        }
        Some(self.fed? + self.every?)
    }
}

impl Pending {
    const fn is_any(&self) -> bool {
        self.reloading || self.ready || self.stopping || self.status.is_some()
    }

    /// In one message, but for the beginning of a reload, whose end must come in another. What has not been sent stays
    /// pending after a transient error.
    fn send(&mut self, supervisor: &mut Supervisor, feeds: bool) -> io::Result<()> {
        if self.reloading {
            let now = NotifyState::monotonic_usec_now();
            let states: Vec<_> = [NotifyState::Reloading].into_iter().chain(now).collect();
            supervisor.send(&states)?;
            self.reloading = false;
        }
        let mut states = Vec::new();
        states.extend(self.ready.then_some(NotifyState::Ready));
        states.extend(self.stopping.then_some(NotifyState::Stopping));
        states.extend(self.status.as_deref().map(NotifyState::Status));
        states.extend(feeds.then_some(NotifyState::Watchdog));
        let sent = if states.is_empty() { Ok(()) } else { supervisor.send(&states) };
        if !sent.as_ref().is_err_and(is_transient) {
            *self = Self::default();
        }
        sent
    }
}

/// The socket's owner exists and has no room, or this system has none.
fn is_transient(error: &io::Error) -> bool {
    let transient =
        [Errno::EAGAIN, Errno::ENOBUFS, Errno::ENOMEM, Errno::EMFILE, Errno::ENFILE, Errno::EINTR];
    error.raw_os_error().is_some_and(|code| transient.contains(&Errno::from_raw(code)))
}

/// Where systemd listens. `sd_notify::notify` would wait for room.
#[derive(Debug)]
struct Supervisor {
    address: SocketAddr,
    /// Made when it is needed first, again if that failed.
    socket: Option<UnixDatagram>,
}

impl Supervisor {
    fn from_environment() -> Option<Self> {
        let path = env::var_os("NOTIFY_SOCKET")?;
        let address = match path.as_bytes().split_first() {
            None => return None,
            // The abstract namespace (unix(7)), as the manual has it.
            Some((b'@', name)) => SocketAddr::from_abstract_name(name),
            Some(_) => SocketAddr::from_pathname(&path),
        };
        Some(Self { address: address.ok()?, socket: None })
    }

    /// Sends one message, without waiting.
    fn send(&mut self, states: &[NotifyState<'_>]) -> io::Result<()> {
        let socket = match &self.socket {
            Some(socket) => socket,
            None => {
                let socket = UnixDatagram::unbound()?;
                socket.set_nonblocking(true)?;
                self.socket.insert(socket)
            }
        };
        let lines: Vec<_> = states.iter().map(ToString::to_string).collect();
        socket.send_to_addr(lines.join("\n").as_bytes(), &self.address).map(drop)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const EVERY: Duration = Duration::from_secs(10);

    /// A supervisor, and who tells it.
    struct Scene {
        _dir: tempfile::TempDir,
        socket: UnixDatagram,
        notifier: Notifier,
    }

    impl Scene {
        fn new(every: Option<Duration>) -> Self {
            let dir = tempfile::tempdir().expect("a directory");
            let path = dir.path().join("notify");
            let socket = UnixDatagram::bind(&path).expect("bound");
            socket.set_nonblocking(true).expect("set");
            let address = SocketAddr::from_pathname(&path).expect("an address");
            let notifier = Notifier::with(Some(Supervisor { address, socket: None }), every);
            Self { _dir: dir, socket, notifier }
        }

        /// All messages, which are removed.
        fn told(&self) -> Vec<String> {
            let mut buffer = [0; 4096];
            let mut next = || self.socket.recv(&mut buffer).ok().map(|len| buffer[..len].to_vec());
            std::iter::from_fn(&mut next).map(|told| String::from_utf8(told).expect("text")).collect()
        }

        /// Takes all the room that the socket has.
        fn fill(&mut self) {
            let supervisor = self.notifier.supervisor.as_mut().expect("there is one");
            while supervisor.send(&[NotifyState::Custom("X_FILL=1")]).is_ok() {}
        }
    }

    fn at(secs: u64) -> Instant {
        Instant::ZERO + Duration::from_secs(secs)
    }

    #[test]
    fn it_is_ready_once_and_never_after_the_end_of_a_heartbeat() {
        let mut scene = Scene::new(None);
        let mut told = |sampled, headline| {
            scene.notifier.news(sampled, headline);
            assert_eq!(scene.notifier.tell(at(1)), None, "no watchdog wants to hear again");
            scene.told()
        };
        assert_eq!(told(false, Some("taking")), ["STATUS=taking"]);
        assert_eq!(told(false, None), [""; 0]);
        assert_eq!(told(true, Some("delivered")), ["READY=1\nSTATUS=delivered"]);
        assert_eq!(told(true, Some("delivered")), ["STATUS=delivered"]);
        assert_eq!(told(true, None), [""; 0]);
        assert_eq!(
            told(true, Some("refused: a\nMAINPID=1\u{1b}")),
            ["STATUS=refused: a\\u000aMAINPID=1\\u001b"]
        );
    }

    #[test]
    fn each_message_feeds_the_watchdog_and_one_is_sent_when_that_is_due() {
        let mut scene = Scene::new(Some(EVERY));
        assert_eq!(scene.notifier.tell(at(1)), Some(at(11)));
        assert_eq!(scene.told(), ["WATCHDOG=1"]);
        scene.notifier.news(true, None);
        assert_eq!(scene.notifier.tell(at(5)), Some(at(15)));
        assert_eq!(scene.told(), ["READY=1\nWATCHDOG=1"]);
        assert_eq!(scene.notifier.tell(at(12)), Some(at(15)));
        assert_eq!(scene.told(), [""; 0]);
        assert_eq!(scene.notifier.tell(at(15)), Some(at(25)));
        assert_eq!(scene.told(), ["WATCHDOG=1"]);
        assert_eq!(scene.notifier.tell(at(23)), Some(at(33)), "with the last heartbeat before it is due");
        assert_eq!(scene.told(), ["WATCHDOG=1"]);
    }

    #[test]
    fn a_full_socket_loses_nothing_but_old_statuses() {
        let mut scene = Scene::new(Some(EVERY));
        scene.fill();
        scene.notifier.news(true, Some("old"));
        assert_eq!(scene.notifier.tell(at(1)), Some(at(2)), "tried again soon");
        scene.notifier.reloading();
        scene.notifier.news(true, Some("new"));
        assert_eq!(scene.notifier.tell(at(2)), Some(at(3)));
        scene.notifier.reloaded();
        assert!(scene.told().iter().all(|told| told == "X_FILL=1"));
        assert_eq!(scene.notifier.tell(at(3)), Some(at(13)));
        let told = scene.told();
        assert!(
            matches!(told.as_slice(), [first, second]
            if first.starts_with("RELOADING=1\nMONOTONIC_USEC=") && second == "READY=1\nSTATUS=new\nWATCHDOG=1"),
            "{told:?}"
        );
        assert_eq!(scene.notifier.tell(at(4)), Some(at(13)));
        assert_eq!(scene.told(), [""; 0], "once");
    }

    #[test]
    fn a_supervisor_that_is_gone_is_not_tried_again_at_once() {
        let mut scene = Scene::new(Some(EVERY));
        std::fs::remove_dir_all(scene._dir.path()).expect("removed");
        scene.notifier.news(true, Some("delivered"));
        assert_eq!(scene.notifier.tell(at(1)), Some(at(11)));
        assert!(scene.notifier.is_heard());
        let mut unsupervised = Notifier::with(None, Some(EVERY));
        assert!(!unsupervised.is_heard());
        unsupervised.news(true, Some("delivered"));
        assert_eq!(unsupervised.tell(at(1)), None);
    }
}
