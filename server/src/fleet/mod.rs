//! The fleet as it is now, in memory: what pages, the API and the metrics show.
//!
//! The engine writes it after each commit, so that nothing is shown that is not stored.
//!
//! - [`query`][]: filters, orders and pages of the list
//! - [`order`][]: which devices a page shows

mod order;
pub(crate) mod query;

use std::{
    collections::HashMap,
    sync::{
        Arc,
        atomic::{AtomicI64, Ordering},
    },
};

use crate::{
    alerts::kind::Kind,
    limits::ENGINE_SILENT_MS,
    model::{DeviceId, document::Reading},
    presence::Presence,
    store::Labels,
    time::{Now, UnixMs, Uptime},
};

/// One device as it is now.
#[derive(Debug, Clone)]
pub(crate) struct Device {
    pub(crate) id: DeviceId,
    pub(crate) hardware_id: Arc<str>,
    pub(crate) labels: Labels,
    pub(crate) added_at: UnixMs,
    /// When its last live heartbeat came.
    pub(crate) seen_at: Option<UnixMs>,
    /// The same on the clock of this process.
    pub(crate) heard: Option<Uptime>,
    pub(crate) presence: Presence,
    pub(crate) reading: Reading,
    /// The device's clock less the server's at the last live heartbeat, milliseconds; the way of the heartbeat included.
    pub(crate) skew_ms: Option<i64>,
    /// The last live heartbeat as it came.
    pub(crate) document: Arc<str>,
    /// What its board is, as JSON, as it was said last: most heartbeats do not say it.
    pub(crate) board: Option<Arc<str>>,
    /// Heartbeats that were sent and have not come, of the starts that are in memory.
    pub(crate) lost: u64,
    /// What is wrong with it, and since when.
    pub(crate) alerts: Vec<(Kind, UnixMs)>,
}

impl Device {
    /// A device that has just been heard of, or that has not been heard of since it was loaded.
    pub(crate) fn new(id: DeviceId, hardware_id: &str, labels: Labels, added_at: UnixMs) -> Self {
        Self {
            id,
            hardware_id: hardware_id.into(),
            labels,
            added_at,
            seen_at: None,
            heard: None,
            presence: Presence::Offline,
            reading: Reading::default(),
            skew_ms: None,
            document: "".into(),
            board: None,
            lost: 0,
            alerts: Vec::new(),
        }
    }

    /// Milliseconds since it was heard last.
    pub(crate) fn silence(&self, now: Now) -> Option<i64> {
        self.heard.map(|heard| now.up.since(heard))
    }

    /// Whether something is wrong with it other than being offline.
    pub(crate) fn is_unwell(&self) -> bool {
        self.alerts.iter().any(|(kind, _)| *kind != Kind::Offline)
    }

    /// The name that an operator gave it, otherwise its hardware id.
    pub(crate) fn title(&self) -> &str {
        self.labels.name.as_deref().unwrap_or(&self.hardware_id)
    }
}

/// All devices.
#[derive(Debug, Default)]
pub(crate) struct Fleet {
    devices: Vec<Device>,
    by_hardware_id: HashMap<Arc<str>, usize>,
    by_id: HashMap<DeviceId, usize>,
    /// Rises with every commit.
    pub(crate) revision: u64,
    /// Live heartbeats since the start.
    pub(crate) beats: u64,
    /// Repeated heartbeats since the start.
    pub(crate) repeated: u64,
    /// Heartbeats that could not be stored since the start.
    pub(crate) failed: u64,
    /// Why the last commit failed; `None` when it succeeded.
    pub(crate) trouble: Option<String>,
    /// When the engine was last at work, milliseconds on the clock of the process.
    worked_at: AtomicI64,
    /// Messages that have not arrived yet.
    pub(crate) messages: usize,
}

/// How many devices are in which state. Removed ones are not counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Counts {
    pub(crate) online: usize,
    pub(crate) late: usize,
    pub(crate) offline: usize,
    /// With something wrong other than being offline.
    pub(crate) unwell: usize,
}

impl Counts {
    /// All devices.
    pub(crate) fn total(&self) -> usize {
        self.online + self.late + self.offline
    }

    fn add(&mut self, device: &Device) {
        match device.presence {
            Presence::Online => self.online += 1,
            Presence::Late => self.late += 1,
            Presence::Offline => self.offline += 1,
        }
        self.unwell += usize::from(device.is_unwell());
    }
}

impl Fleet {
    /// The engine is at work.
    pub(crate) fn at_work(&self, now: Uptime) {
        self.worked_at.store(now.0, Ordering::Relaxed);
    }

    /// Why nothing is being stored; `None`: heartbeats are. A disk that hangs gives no error: then the engine is silent.
    pub(crate) fn not_storing(&self, now: Uptime) -> Option<&str> {
        let silence = now.since(Uptime(self.worked_at.load(Ordering::Relaxed)));
        let silent = (silence > ENGINE_SILENT_MS).then_some("the database does not answer");
        self.trouble.as_deref().or(silent)
    }

    /// Adds a device; its place.
    pub(crate) fn add(&mut self, device: Device) -> usize {
        let place = self.devices.len();
        self.by_hardware_id.insert(Arc::clone(&device.hardware_id), place);
        self.by_id.insert(device.id, place);
        self.devices.push(device);
        place
    }

    /// All devices, removed ones too.
    pub(crate) fn devices(&self) -> &[Device] {
        &self.devices
    }

    /// The device at a place.
    pub(crate) fn at_mut(&mut self, place: usize) -> Option<&mut Device> {
        self.devices.get_mut(place)
    }

    /// Where a device is.
    pub(crate) fn place(&self, hardware_id: &str) -> Option<usize> {
        self.by_hardware_id.get(hardware_id).copied()
    }

    /// Where a device is.
    pub(crate) fn place_of(&self, id: DeviceId) -> Option<usize> {
        self.by_id.get(&id).copied()
    }

    /// The device with this hardware id.
    pub(crate) fn find(&self, hardware_id: &str) -> Option<&Device> {
        self.devices.get(self.place(hardware_id)?)
    }

    /// The device with this number.
    pub(crate) fn get(&self, id: DeviceId) -> Option<&Device> {
        self.devices.get(self.place_of(id)?)
    }

    /// How many are in which state.
    pub(crate) fn counts(&self) -> Counts {
        let mut counts = Counts::default();
        self.devices.iter().filter(|device| !device.labels.removed).for_each(|device| counts.add(device));
        counts
    }
}
