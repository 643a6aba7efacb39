//! What is kept, behind one trait for each direction.
//!
//! - [`Store`] writes. It has one owner, the engine, which hands it everything that one commit changes at once
//!   ([`Writes`]). When [`Store::apply`] has returned, that survives the end of the process and of the power.
//! - [`Read`] answers pages and other programs. There are several, in [`Readers`], and none disturbs the writer.
//! - [`sqlite`] is a file in the state directory.
//! - [`postgres`] is a database of PostgreSQL, which several processes may share.
//! - [`readers`] lends connections to those who ask.
//! - [`database`] opens the one that is configured.
//!
//! Neither decides anything: what is stored of a heartbeat says [`crate::model::ledger`].

#[cfg(test)]
#[path = "../../tests/common/postgres.rs"]
pub(crate) mod cluster;
pub(crate) mod database;
pub(crate) mod postgres;
mod readers;
pub(crate) mod sqlite;
#[cfg(test)]
pub(crate) mod tests;

pub(crate) use readers::Readers;

use crate::{
    model::{
        DeviceId,
        boot::Boot,
        document::Reading,
        ledger::Ledger,
        reading::{Summary, VALUES},
    },
    time::UnixMs,
};

/// Why something could not be stored or read.
#[derive(Debug, thiserror::Error)]
pub(crate) enum StoreError {
    /// Nothing was changed. It may succeed later: the disk is full, the database is busy or away.
    #[error("the database is not available: {0}")]
    Unavailable(String),
    /// The file is no database of this program, or damaged. An administrator must look at it.
    #[error("the database cannot be used: {0}")]
    Damaged(String),
    /// It was asked for something that this kind of database does not do, or not again.
    #[error("{0}")]
    Refused(String),
}

/// Rows on each side of the place of a live heartbeat, by its number, among which it is: those of a start come in order but
/// for the 64 numbers of the ledger's window.
const OUT_OF_ORDER: i64 = 128;

/// Result of everything that asks the database.
pub(crate) type Result<T> = std::result::Result<T, StoreError>;

/// A device, as people see it.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Labels {
    /// Name that an operator gave it.
    pub(crate) name: Option<String>,
    pub(crate) group: Option<String>,
    pub(crate) tags: Vec<String>,
    /// Removed: its heartbeats are refused until it is restored.
    pub(crate) removed: bool,
}

/// A device with what is known of it.
#[derive(Debug, Clone)]
pub(crate) struct DeviceRow {
    pub(crate) id: DeviceId,
    pub(crate) hardware_id: String,
    pub(crate) added_at: UnixMs,
    pub(crate) labels: Labels,
    /// The last live heartbeat: when it came, and its document.
    pub(crate) latest: Option<(UnixMs, String)>,
    /// What the board is, as JSON, as it was said last.
    pub(crate) board: Option<String>,
    pub(crate) ledger: Ledger,
}

/// One heartbeat in the history.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct BeatRow {
    pub(crate) device: DeviceId,
    pub(crate) at: UnixMs,
    /// The device's time of sampling.
    pub(crate) sampled_at: Option<UnixMs>,
    pub(crate) boot: Option<i64>,
    pub(crate) number: Option<u64>,
    pub(crate) replayed: bool,
    pub(crate) reading: Reading,
}

/// What people have changed, as numbers that rise.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Revision {
    /// Rises with each change of labels, tokens or settings.
    pub(crate) all: i64,
    /// Rises with it if the change was a token that took the place of no other.
    pub(crate) tokens_added: i64,
}

impl Revision {
    /// Whether all that has changed since `earlier` is that tokens were added.
    pub(crate) fn only_adds_tokens_to(self, earlier: Self) -> bool {
        self.all - earlier.all == self.tokens_added - earlier.tokens_added
    }
}

/// What is to be added to a minute of a device, and to its hour.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct SummaryRow {
    pub(crate) device: DeviceId,
    pub(crate) minute: UnixMs,
    pub(crate) summary: Summary,
}

/// Something that happened to a device.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct EventRow {
    pub(crate) at: UnixMs,
    pub(crate) device: DeviceId,
    /// A word that programs can rely on: `offline`, `restarted`.
    pub(crate) kind: String,
    /// For people.
    pub(crate) detail: String,
}

/// An alert that is raised, or that is over and has not been announced.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct AlertRow {
    pub(crate) device: DeviceId,
    pub(crate) kind: String,
    pub(crate) since: UnixMs,
    pub(crate) raised: bool,
    /// No message about this state has been made yet.
    pub(crate) unannounced: bool,
    pub(crate) detail: String,
}

/// A message on its way.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct MessageRow {
    pub(crate) id: i64,
    /// Name of the channel in the configuration.
    pub(crate) channel: String,
    pub(crate) created_at: UnixMs,
    pub(crate) next_at: UnixMs,
    /// Attempts that were begun.
    pub(crate) attempts: u32,
    /// An attempt may have delivered it, which cannot be known.
    pub(crate) doubtful: bool,
    pub(crate) subject: String,
    pub(crate) body: String,
}

/// Everything that one commit changes.
#[derive(Debug, Default)]
pub(crate) struct Writes {
    pub(crate) latest: Vec<(DeviceId, UnixMs, String)>,
    /// What boards are, where it has changed.
    pub(crate) boards: Vec<(DeviceId, String)>,
    pub(crate) beats: Vec<BeatRow>,
    pub(crate) boots: Vec<(DeviceId, Boot)>,
    pub(crate) summaries: Vec<SummaryRow>,
    pub(crate) events: Vec<EventRow>,
    /// Stored if raised or unannounced, otherwise deleted.
    pub(crate) alerts: Vec<AlertRow>,
    /// New messages, or changed ones.
    pub(crate) messages: Vec<MessageRow>,
    /// Messages that have arrived, or were given up.
    pub(crate) messages_done: Vec<i64>,
}

impl Writes {
    /// Nothing to do.
    pub(crate) fn is_empty(&self) -> bool {
        self.latest.is_empty()
            && self.boards.is_empty()
            && self.beats.is_empty()
            && self.boots.is_empty()
            && self.summaries.is_empty()
            && self.events.is_empty()
            && self.alerts.is_empty()
            && self.messages.is_empty()
            && self.messages_done.is_empty()
    }
}

/// A question whether a heartbeat is in the history.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Known {
    pub(crate) device: DeviceId,
    /// Ordinal of the start of its agent.
    pub(crate) boot: i64,
    pub(crate) number: u64,
    /// Place of the newest heartbeat of its device: what is behind it came while the clock was ahead, and is out of order.
    pub(crate) newest: UnixMs,
}

/// What has been said and is still to be said.
#[derive(Debug, Default)]
pub(crate) struct Duties {
    pub(crate) alerts: Vec<AlertRow>,
    pub(crate) messages: Vec<MessageRow>,
}

/// What became of a commit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Applied {
    /// All of it is durable.
    Done,
    /// Nothing was changed: another process has changed the ledgers of these devices since they were read.
    Stale(Vec<DeviceId>),
    /// Nothing was changed: alerts and messages are those of another process, which leads now.
    Deposed,
}

/// How far a round of the retention is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Retained {
    /// Something was deleted, and there may be more.
    More,
    /// Something is being deleted: ask again.
    Underway,
    /// Nothing is left that is too old.
    Over,
}

/// A step of deleting what is stored of devices that are to be forgotten.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Purge {
    /// There is none.
    Nothing,
    /// Something was deleted, and there is more.
    More,
    /// Nothing of this device is left but its id.
    Done(DeviceId),
}

/// What other processes have changed.
#[derive(Debug, Default)]
pub(crate) struct Changes {
    /// Devices that are new or have sent something, as they are now. Their ledgers hold the starts only.
    pub(crate) devices: Vec<DeviceRow>,
    /// All alerts, unless this process leads and knows them.
    pub(crate) alerts: Vec<AlertRow>,
    /// How many messages have not arrived yet, unless this process leads and knows them.
    pub(crate) messages: usize,
}

/// How long each kind of row is kept, milliseconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Retention {
    pub(crate) beats: i64,
    pub(crate) minutes: i64,
    pub(crate) hours: i64,
    pub(crate) events: i64,
}

/// What a token is for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum TokenUse {
    /// Heartbeats of any device that has no token of its own.
    Devices,
    /// Heartbeats of this device.
    Device(String),
    /// Makes a token for a device.
    Enrol,
    /// Reads the API and the metrics.
    Read,
}

/// A token. The secret itself is not kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct TokenRow {
    pub(crate) id: i64,
    /// SHA-256 of the secret.
    pub(crate) hash: Vec<u8>,
    pub(crate) purpose: TokenUse,
    /// Group that new devices get.
    pub(crate) group: Option<String>,
    pub(crate) created_at: UnixMs,
    pub(crate) expires_at: Option<UnixMs>,
}

/// What may be changed by people, by this program and by others of it at the same time.
pub(crate) trait Admin {
    /// What time it is for all processes on this database.
    fn time(&mut self) -> Result<UnixMs> {
        Ok(UnixMs::of_this_machine())
    }
    /// What has been changed.
    fn revision(&mut self) -> Result<Revision>;
    /// Tokens whose numbers are greater than this, in their order.
    fn tokens(&mut self, after: i64) -> Result<Vec<TokenRow>>;
    /// Adds a token with a number greater than all others; its `id` is ignored.
    fn add_token(&mut self, token: &TokenRow) -> Result<i64>;
    /// Adds the token of a device that has none; `false`: it has one, and nothing has changed.
    fn enrol(&mut self, device: &str, token: &TokenRow) -> Result<bool>;
    /// Deletes a token; `false`: there is none.
    fn revoke_token(&mut self, id: i64) -> Result<bool>;
    /// A setting of people, such as the hash of their password.
    fn setting(&mut self, key: &str) -> Result<Option<String>>;
    /// The value of a setting; if it has none, this one from now on. All processes get the same answer.
    fn setting_or(&mut self, key: &str, value: &str) -> Result<String>;
    /// Sets it.
    fn set_setting(&mut self, key: &str, value: &str) -> Result<()>;
    /// Labels of all devices, by number.
    fn labels(&mut self) -> Result<Vec<(DeviceId, String, Labels)>>;
    /// When the last live heartbeat of each device came.
    fn seen(&mut self) -> Result<Vec<(DeviceId, UnixMs)>>;
    /// Changes the labels of a device; `false`: there is none. One that is not removed is not purged any more.
    fn set_labels(&mut self, hardware_id: &str, labels: &Labels) -> Result<bool>;
    /// Marks a removed device, so that [`Store::purge`] deletes what is stored of it, and deletes its labels and its token;
    /// `false`: there is none, or it is not removed.
    fn purge_device(&mut self, hardware_id: &str) -> Result<bool>;
    /// Keeps a login: SHA-256 of its secret.
    fn add_session(&mut self, hash: &[u8], now: UnixMs, expires_at: UnixMs) -> Result<()>;
    /// Whether this login is valid.
    fn has_session(&mut self, hash: &[u8], now: UnixMs) -> Result<bool>;
    /// Ends a login.
    fn end_session(&mut self, hash: &[u8]) -> Result<()>;
    /// Ends all logins, and says how many of them were valid.
    fn end_sessions(&mut self, now: UnixMs) -> Result<usize>;
}

/// Writes what the engine decides.
pub(crate) trait Store: Admin + Send {
    /// All devices.
    fn load(&mut self) -> Result<Vec<DeviceRow>>;
    /// Alerts and messages that are not over.
    fn duties(&mut self) -> Result<Duties>;
    /// Ledgers of these devices as they are now.
    fn ledgers(&mut self, devices: &[DeviceId]) -> Result<Vec<(DeviceId, Ledger)>>;
    /// The numbers of devices, made for those that are new; `true`: it is.
    fn device_ids(
        &mut self,
        now: UnixMs,
        hardware_ids: &[(&str, Option<&str>)],
    ) -> Result<Vec<(DeviceId, bool)>>;
    /// Starts of agents, made for those that are new.
    fn open_boots(&mut self, now: UnixMs, ids: &[(DeviceId, u64)]) -> Result<Vec<Boot>>;
    /// Whether each heartbeat is in the history, live or late. Live ones are looked for up to `newest` of the question.
    fn known(&mut self, asked: &[Known]) -> Result<Vec<bool>>;
    /// Makes all changes, or none; when they are done they are durable.
    fn apply(&mut self, writes: &Writes) -> Result<Applied>;
    /// The next commit will be made, and its answer lost.
    #[cfg(test)]
    fn lose_next_answer(&mut self) {}
    /// Writes what is there already: whether anything can be stored.
    fn probe(&mut self) -> Result<()>;
    /// A step of deleting what is too old: deletes a bounded number of rows, or lets the database delete and does not wait.
    fn retain(&mut self, now: UnixMs, retention: &Retention) -> Result<Retained>;
    /// Deletes a bounded number of rows of a device that was marked by [`Admin::purge_device`].
    fn purge(&mut self) -> Result<Purge>;
    /// Whether this process is the one of all on this database that raises alerts, sends messages and deletes old rows,
    /// and since which term. Each change of the leading process begins a new one. Asked once a second.
    fn lead(&mut self) -> Result<Option<i64>> {
        Ok(Some(0))
    }
    /// Whether other processes may use this database, and lead in place of this one.
    fn is_shared(&self) -> bool {
        false
    }
    /// What other processes have changed since it was asked last.
    fn changes(&mut self) -> Result<Changes> {
        Ok(Changes::default())
    }
    /// Those of `devices` of which it is known already that a commit would be stale.
    fn stale(&self, devices: &[DeviceId]) -> Vec<DeviceId> {
        let _ = devices;
        Vec::new()
    }
}

/// How fine a history is to be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Step {
    Beat,
    Minute,
    Hour,
}

impl Step {
    /// The table that has its points.
    fn table(self) -> &'static str {
        match self {
            Self::Beat => "beat",
            Self::Minute => "minute",
            Self::Hour => "hour",
        }
    }
}

/// One point of a history: a heartbeat, or the mean and the largest of a span.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Point {
    pub(crate) at: UnixMs,
    /// Heartbeats in it.
    pub(crate) beats: i64,
    /// Means, in stored integers.
    pub(crate) mean: [Option<f64>; VALUES],
    pub(crate) max: [Option<i32>; VALUES],
    /// Of a single heartbeat.
    pub(crate) beat: Option<BeatDetail>,
}

/// What a single heartbeat has besides its values.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct BeatDetail {
    pub(crate) sampled_at: Option<UnixMs>,
    pub(crate) boot: Option<i64>,
    pub(crate) number: Option<u64>,
    pub(crate) replayed: bool,
    pub(crate) position: Option<(i32, i32)>,
}

/// `None` for nothing. Counts and sums of an hour are far below 2^53.
fn mean_of(count: i64, sum: i64) -> Option<f64> {
    #[expect(clippy::cast_precision_loss, reason = "far below 2^53")]
    (count > 0).then(|| sum as f64 / count as f64)
}

/// Answers questions about what is stored.
pub(crate) trait Read: Send {
    /// Points of `[from, to)`, oldest first, at most `limit`.
    fn history(
        &mut self,
        device: DeviceId,
        step: Step,
        from: UnixMs,
        to: UnixMs,
        limit: usize,
    ) -> Result<Vec<Point>>;
    /// The place of the point of `[from, to)` that has `before` points before it, if there is one.
    fn place(
        &mut self,
        device: DeviceId,
        step: Step,
        from: UnixMs,
        to: UnixMs,
        before: usize,
    ) -> Result<Option<UnixMs>>;
    /// The latest starts of a device's agent, newest first.
    fn boots(&mut self, device: DeviceId, limit: usize) -> Result<Vec<Boot>>;
    /// The latest events, of one device or of all, newest first.
    fn events(&mut self, device: Option<DeviceId>, limit: usize) -> Result<Vec<EventRow>>;
}
