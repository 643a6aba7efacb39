//! The one thread that changes anything: it takes heartbeats, commits them in groups, and answers afterwards.
//!
//! One batch goes this way: numbers of devices and starts from the store, then the ledger and conditions of each device
//! on a copy, then one commit, then the copies in place of the old ones, the fleet, the answers. If the commit fails
//! nothing has changed and every device is told to retry.
//!
//! - [`batch`][]: heartbeats
//! - [`calendar`][]: times that were noted before the clock was set
//! - [`follow`][]: what other processes on the same database have done
//! - [`lease`][]: how long this process may send messages
//! - [`outage`][]: times in which nothing can be stored
//! - [`tick`][]: what falls due with time: offline, messages, minutes
//! - [`run`][]: the thread

#[cfg(test)]
mod alert_tests;
mod batch;
mod calendar;
#[cfg(test)]
mod clock_tests;
#[cfg(test)]
mod device_tests;
mod follow;
#[cfg(test)]
mod late_tests;
pub(crate) mod lease;
mod outage;
pub(crate) mod run;
#[cfg(test)]
mod shared_tests;
#[cfg(test)]
mod tests;
mod tick;

use std::{
    collections::{BTreeMap, HashMap},
    sync::{
        Arc, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard,
        mpsc::{Sender, SyncSender, TrySendError},
    },
    time::Duration,
};

use lease::Lease;
use tokio::sync::oneshot;

use crate::{
    access::tokens::Tokens,
    alerts::{attempt::Attempt, digest::Digest, kind::Kind, watch::Notice, watch::Watch},
    clock::since_boot,
    config::{Alerts, Config, Expectations},
    fleet::{Device, Fleet},
    limits::LEASE,
    model::{
        DeviceId,
        document::{Beat, Document},
        ledger::Ledger,
    },
    presence::Presence,
    store::{AlertRow, Applied, DeviceRow, EventRow, MessageRow, Result, Retention, Revision, Store, Writes},
    time::{Now, UnixMs, Uptime},
};

/// The fleet, shared with pages.
pub(crate) type SharedFleet = Arc<RwLock<Fleet>>;

/// Reads the fleet. A thread that panicked while it held the lock has left it whole: changes are assignments.
pub(crate) fn read(fleet: &SharedFleet) -> RwLockReadGuard<'_, Fleet> {
    fleet.read().unwrap_or_else(PoisonError::into_inner)
}

fn write(fleet: &SharedFleet) -> RwLockWriteGuard<'_, Fleet> {
    fleet.write().unwrap_or_else(PoisonError::into_inner)
}

/// What became of a heartbeat.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// It is in the database, and stays there.
    Stored,
    /// It was there already.
    Repeated,
    /// The device was removed.
    Removed,
    /// The device is new, and no new ones are taken.
    Unknown,
    /// The database is not available; nothing was stored.
    Unavailable,
}

/// A heartbeat that waits for its commit.
#[derive(Debug)]
pub(crate) struct Incoming {
    pub(crate) beat: Beat,
    /// Group of the token that it came with.
    pub(crate) group: Option<String>,
    pub(crate) answer: oneshot::Sender<Verdict>,
}

/// What the engine is told.
#[derive(Debug)]
pub(crate) enum Command {
    Beat(Box<Incoming>),
    /// Labels or tokens have changed; answered when they are in effect.
    Reload(oneshot::Sender<()>),
    /// An attempt to deliver a message has ended.
    Attempted(i64, Attempt),
    Stop,
}

/// The way to the engine.
#[derive(Debug, Clone)]
pub(crate) struct Handle(SyncSender<Command>);

impl Handle {
    /// A handle whose commands arrive at the other end of `sender`.
    pub(crate) fn new(sender: SyncSender<Command>) -> Self {
        Self(sender)
    }

    /// Hands over a heartbeat. `None`: too many wait already.
    pub(crate) fn submit(&self, beat: Beat, group: Option<String>) -> Option<oneshot::Receiver<Verdict>> {
        let (answer, verdict) = oneshot::channel();
        match self.0.try_send(Command::Beat(Box::new(Incoming { beat, group, answer }))) {
            Ok(()) => Some(verdict),
            Err(TrySendError::Full(_) | TrySendError::Disconnected(_)) => None,
        }
    }

    /// Puts changes of labels and tokens into effect. Blocks while many heartbeats wait.
    pub(crate) fn reload(&self) -> oneshot::Receiver<()> {
        let (answer, done) = oneshot::channel();
        // An engine that has stopped drops the sender, which ends the wait.
        let _ = self.0.send(Command::Reload(answer));
        done
    }

    /// Says how an attempt to deliver a message ended.
    pub(crate) fn attempted(&self, message: i64, attempt: Attempt) {
        let _ = self.0.send(Command::Attempted(message, attempt));
    }

    /// Asks the engine to end after what it has.
    pub(crate) fn stop(&self) {
        let _ = self.0.send(Command::Stop);
    }
}

/// What is known of one device besides what pages show.
#[derive(Debug, Clone, Default)]
struct Tracked {
    ledger: Ledger,
    watch: Watch,
}

/// What the engine follows of the configuration.
#[derive(Debug, Clone)]
pub(crate) struct Rules {
    pub(crate) expectations: Expectations,
    pub(crate) retention: Retention,
    pub(crate) alerts: Alerts,
    /// Names of the channels.
    pub(crate) channels: Vec<String>,
    pub(crate) new_devices: bool,
    pub(crate) devices_max: usize,
}

impl Rules {
    /// The rules of a configuration.
    pub(crate) fn of(config: &Config) -> Self {
        Self {
            expectations: config.expectations(),
            retention: config.retention(),
            alerts: config.alerts,
            channels: config.channels.keys().cloned().collect(),
            new_devices: config.receive.new_devices,
            devices_max: config.receive.devices,
        }
    }
}

/// The engine. Time is an argument of everything that it does.
pub(crate) struct Engine {
    store: Box<dyn Store>,
    rules: Rules,
    fleet: SharedFleet,
    tokens: Arc<Tokens>,
    /// In the order of the fleet.
    tracked: Vec<Tracked>,
    alerts: BTreeMap<(DeviceId, Kind), AlertRow>,
    messages: BTreeMap<i64, MessageRow>,
    /// Messages that are being delivered, and whether they may have arrived before.
    in_flight: BTreeMap<i64, bool>,
    attempts: Vec<(i64, Attempt)>,
    delivery: Sender<MessageRow>,
    digest: Digest,
    /// Since when heartbeats could be received; see `ALERT_GRACE_MS`.
    watching_since: Uptime,
    /// When the last turn began.
    turned_at: Uptime,
    /// When a commit or a turn failed last; `None`: something has been written since.
    failed_at: Option<Uptime>,
    revision: Revision,
    /// Devices may be marked for being forgotten.
    purging: bool,
    /// A commit of alerts or messages may have been made, although it failed here.
    duties_unsure: bool,
    /// The term in which this process, of all on this database, raises alerts, sends messages and deletes old rows.
    /// `None`: another one does.
    term: Option<i64>,
    lease: Lease,
}

impl Engine {
    /// Begins with what the store has.
    ///
    /// # Errors
    /// Those of the store.
    pub(crate) fn new(
        mut store: Box<dyn Store>,
        rules: Rules,
        now: Now,
        tokens: Arc<Tokens>,
        delivery: Sender<MessageRow>,
        lease: Lease,
    ) -> Result<Self> {
        let mut fleet = Fleet::default();
        let devices = store.load()?;
        // Only now: to load a large fleet takes longer than a leading process may be silent.
        let asked = since_boot();
        let term = store.lead()?;
        let duties = store.duties()?;
        let raised = raised(&duties.alerts);
        let mut tracked = Vec::with_capacity(devices.len());
        for row in devices {
            let (mut device, ledger) = known_device(row);
            device.heard = device.seen_at.map(|seen_at| now.then(seen_at));
            let expect = rules.expectations.of(device.labels.group.as_deref());
            device.presence = Presence::after(device.silence(now), expect);
            device.alerts = raised.get(&device.id).cloned().unwrap_or_default();
            let watch = Watch::resume(device.alerts.iter().copied(), device.reading.app_version.clone());
            tracked.push(Tracked { ledger, watch });
            fleet.add(device);
        }
        let mut engine = Self {
            store,
            rules,
            fleet: Arc::new(RwLock::new(fleet)),
            tokens,
            tracked,
            alerts: BTreeMap::new(),
            messages: BTreeMap::new(),
            in_flight: BTreeMap::new(),
            attempts: Vec::new(),
            delivery,
            digest: Digest::default(),
            watching_since: now.up,
            turned_at: now.up,
            failed_at: None,
            revision: Revision::default(),
            purging: false,
            duties_unsure: false,
            term,
            lease,
        };
        if term.is_some() {
            engine.renew_lease(asked);
            engine.take_duties(now, duties);
        }
        engine.reload()?;
        engine.at_work(now);
        Ok(engine)
    }

    /// What pages show.
    pub(crate) fn fleet(&self) -> SharedFleet {
        Arc::clone(&self.fleet)
    }

    /// Puts labels and tokens into effect that people have changed.
    ///
    /// # Errors
    /// Those of the store; then nothing has changed.
    pub(crate) fn reload(&mut self) -> Result<()> {
        let revision = self.store.revision()?;
        if revision == self.revision {
            return Ok(());
        }
        if revision.only_adds_tokens_to(self.revision) {
            // A fleet that enrols does this once for each device: it costs what is new, and not what there is.
            self.tokens.add(self.store.tokens(self.tokens.newest())?);
            self.revision = revision;
            return Ok(());
        }
        let (tokens, labels) = (self.store.tokens(0)?, self.store.labels()?);
        self.tokens.replace(tokens);
        // Not before all has been read: pages would wait for the database.
        let mut fleet = write(&self.fleet);
        for (id, _, labels) in labels {
            if let Some(device) = fleet.place_of(id).and_then(|place| fleet.at_mut(place))
                && device.labels != labels
            {
                device.labels = labels;
            }
        }
        fleet.revision += 1;
        self.purging = true;
        self.revision = revision;
        Ok(())
    }

    /// Whether this process raises alerts, sends messages and deletes old rows.
    pub(crate) fn leads(&self) -> bool {
        self.term.is_some()
    }

    /// Writes. If the answer of a shared database is lost, the commit may have been made: what is in it about alerts and
    /// messages is read again before anything else is said.
    fn apply(&mut self, writes: &Writes) -> Result<Applied> {
        let applied = self.store.apply(writes);
        let says =
            !(writes.alerts.is_empty() && writes.messages.is_empty() && writes.messages_done.is_empty());
        self.duties_unsure |= applied.is_err() && says && self.store.is_shared();
        applied
    }

    fn renew_lease(&self, asked: Duration) {
        // Nobody else can lead on a database that is not shared, however long the disk takes.
        let time = if self.store.is_shared() { LEASE } else { Duration::from_hours(24) };
        self.lease.renew(asked, time);
    }

    /// Silence counts from `now` on: the server was not running until now, or could not store anything.
    fn restart_watch(&mut self, now: Now) {
        self.watching_since = now.up;
    }

    /// Says that the engine is at work.
    fn at_work(&self, now: Now) {
        read(&self.fleet).at_work(now.up);
    }

    fn may_raise(&self, now: Now) -> bool {
        now.up.since(self.watching_since) >= crate::limits::ALERT_GRACE_MS
    }

    /// How old a late heartbeat may be to go where it was sampled. As far back as minutes are kept; where heartbeats are not,
    /// it stays until the next round of the retention, which is long enough to tell one that is repeated.
    fn late_ms(&self) -> i64 {
        self.rules.retention.minutes.max(self.rules.retention.beats)
    }

    /// What is stored of a notice: an event of the device, and the state of the alert.
    fn record(&self, now: Now, device: DeviceId, notice: &Notice) -> (EventRow, AlertRow) {
        let word = notice.kind.word();
        let lasting = notice.kind != Kind::Version;
        let kind = if notice.raised { word.to_owned() } else { format!("{word}_over") };
        let label = if notice.raised { notice.kind.label() } else { notice.kind.over() };
        let detail =
            if notice.detail.is_empty() { label.to_owned() } else { format!("{label}, {}", notice.detail) };
        // A message is worth it if people believe something else. What was over before they heard of it they never believed,
        // and what is raised again before they heard that it was over they believe still.
        let believed =
            self.alerts.get(&(device, notice.kind)).is_some_and(|before| before.raised != before.unannounced);
        let alert = AlertRow {
            device,
            kind: word.to_owned(),
            since: notice.since,
            raised: notice.raised && lasting,
            unannounced: !self.rules.channels.is_empty() && (!lasting || notice.raised != believed),
            detail: notice.detail.clone(),
        };
        (EventRow { at: now.at, device, kind, detail }, alert)
    }

    fn keep_alert(&mut self, row: AlertRow) {
        let Some(kind) = Kind::from_word(&row.kind) else { return };
        if row.raised || row.unannounced {
            self.alerts.insert((row.device, kind), row);
        } else {
            self.alerts.remove(&(row.device, kind));
        }
    }
}

/// What is raised for each device. A change of the version is told, and never raised.
fn raised(alerts: &[AlertRow]) -> HashMap<DeviceId, Vec<(Kind, UnixMs)>> {
    let mut raised: HashMap<DeviceId, Vec<(Kind, UnixMs)>> = HashMap::new();
    for row in alerts.iter().filter(|row| row.raised) {
        if let Some(kind) = Kind::from_word(&row.kind).filter(|kind| *kind != Kind::Version) {
            raised.entry(row.device).or_default().push((kind, row.since));
        }
    }
    raised
}

/// A device that the database knows, without its presence and its alerts.
fn known_device(row: DeviceRow) -> (Device, Ledger) {
    let mut device = Device::new(row.id, &row.hardware_id, row.labels, row.added_at);
    // What was stored was valid then; should a later version think otherwise, the device has no latest state.
    let latest = row.latest.and_then(|(at, text)| Some((at, Beat::parse(text.as_bytes()).ok()?)));
    if let Some((at, beat)) = latest {
        show(&mut device, at, beat);
    }
    if let Some(board) = row.board {
        device.board = Some(board.into());
    }
    device.lost = row.ledger.lost();
    (device, row.ledger)
}

/// Takes a live heartbeat into what pages show.
fn show(device: &mut Device, at: UnixMs, beat: Beat) {
    device.seen_at = Some(at);
    device.skew_ms = beat.sampled_at.map(|sampled| sampled.since(at));
    device.reading = beat.reading;
    if let Some(board) = beat.board {
        device.board = Some(board.into());
    }
    device.document = beat.text.into();
}

/// The parts of the last document of a device, if it has sent one.
pub(crate) fn document(device: &Device) -> Option<Document> {
    Document::parse(&device.document).ok()
}
