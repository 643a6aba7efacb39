//! Every bound of the server, each with its reason.

use std::time::Duration;

use heartbeat_core::payload::BODY_MAX;

use crate::time::UnixMs;

/// Longest document, bytes: several times the agent's largest, so that later versions of it may add keys.
pub(crate) const DOCUMENT_MAX: usize = 8192;
const _: () = assert!(DOCUMENT_MAX >= 3 * BODY_MAX);
/// How deep a document may be nested: those who read it as JSON have limits, serde_json 128.
pub(crate) const NESTING_MAX: usize = 64;
/// Buffer for the head of a request, bytes: hyper's smallest. The deprecated GET form needs three bytes for one of the document.
pub(crate) const HEAD_MAX: usize = 8192;
/// Time for a whole request body. A device on a slow link sends 2 KiB in far less.
pub(crate) const BODY_TIMEOUT: Duration = Duration::from_secs(10);
/// Time for the head of a request, and how long a kept connection may idle between two.
pub(crate) const HEAD_TIMEOUT: Duration = Duration::from_secs(90);
/// Time for a TLS handshake.
pub(crate) const HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(10);
/// Connections from one address while more than half of all are in use, so that one client cannot take the rest.
pub(crate) const CONNECTIONS_PER_ADDRESS: usize = 512;
/// How long a stop waits for requests that are being answered.
pub(crate) const DRAIN: Duration = Duration::from_secs(5);

/// How long a full document is kept for deltas after the last one of its device. Agents send a full one every minute.
pub(crate) const DELTA_BASE_LASTS: Duration = Duration::from_secs(180);
/// Full documents that are kept for deltas, bytes: those of 100,000 devices. Deltas of others are answered with 409.
pub(crate) const DELTA_BASES_BYTES_MAX: usize = 128 << 20;
/// Starts of which a delta came and no full document yet: twice as many are remembered at most. The document follows at once.
pub(crate) const DELTA_ASKED_MAX: usize = 10_000;

/// Heartbeats that may wait for their commit. More are answered with 503: at 10,000 commits a second that is a second.
pub(crate) const QUEUE_MAX: usize = 10_000;
/// Heartbeats in one transaction.
pub(crate) const BATCH_MAX: usize = 2_000;
/// Time until a heartbeat that waits for its commit is answered with 503.
pub(crate) const COMMIT_TIMEOUT: Duration = Duration::from_secs(20);

/// Shortest `Retry-After`, seconds: what the agent honours at least.
pub(crate) const RETRY_AFTER_MIN: u64 = heartbeat_core::limits::RETRY_AFTER_MIN.as_millis() / 1000;
/// `Retry-After` is drawn between the shortest and this, seconds, so that a fleet comes back evenly.
pub(crate) const RETRY_AFTER_SPREAD: u64 = 55;

/// Restarts of an agent that are kept in memory for each device. Heartbeats of older ones cost a look into the database.
pub(crate) const BOOTS_IN_MEMORY: usize = 4;
/// Starts of its agent that the database keeps of each device: three hours of one that ends and is started every 10 s.
pub(crate) const STARTS_MAX: usize = 1_000;
/// Name, group or tag of a device, bytes.
pub(crate) const LABEL_MAX: usize = 64;
/// Tags of one device.
pub(crate) const TAGS_MAX: usize = 16;

/// For how long a leading process may send messages without a new answer of the database.
pub(crate) const LEASE: Duration = Duration::from_secs(10);
/// A leading process that has not said for so long that it is there is frozen: another one takes over. Longer than
/// [`LEASE`], by the time that a message needs from the last look at the lease to the network.
pub(crate) const LEAD_SILENCE_MS: i64 = 15_000;
/// Minutes of silent devices that one turn closes: some milliseconds, in which no heartbeat waits long.
pub(crate) const CLOSED_MAX: usize = 2_000;
/// Ledgers that one turn of the leading process reads again because their devices have been silent.
pub(crate) const REFRESH_MAX: usize = 500;

/// Rows of a table on a page.
pub(crate) const PAGE_ROWS: usize = 100;
/// Positions on the map; more are merged into cells.
pub(crate) const MAP_POINTS_MAX: usize = 2_000;
/// People who watch at once. Each holds a connection and costs a render a second.
pub(crate) const VIEWERS_MAX: usize = 64;
/// Rows of one answer of the history API.
pub(crate) const HISTORY_ROWS_MAX: usize = 20_000;
/// Rows of the history API that are read and sent at a time: some 100 KB, which wait for a client that reads slowly.
pub(crate) const HISTORY_ROWS_AT_ONCE: usize = 250;
/// Questions that the database is asked at once, each with a connection of its own.
pub(crate) const READERS_MAX: usize = 4;
/// How long a client may read nothing of what is sent to it.
pub(crate) const UNREAD_TIMEOUT: Duration = Duration::from_secs(60);
/// Devices that `/metrics` lists one by one; a larger fleet is told as counts.
pub(crate) const METRICS_DEVICES_MAX: usize = 10_000;

/// Rows that one transaction of the retention deletes: some milliseconds, in which no heartbeat waits long.
pub(crate) const RETENTION_ROWS: usize = 5_000;
/// Time after which a transaction of the retention ends with fewer, because the disk is slow. Half of the time for which a
/// commit waits for more heartbeats.
pub(crate) const RETENTION_STEP: Duration = Duration::from_millis(10);
/// Events that are deleted between two looks at the time. Each is on pages of its own.
pub(crate) const RETENTION_EVENTS: usize = 200;
/// Devices that one transaction of the retention looks at.
pub(crate) const RETENTION_DEVICES: usize = 500;
/// Time between two rounds of the retention through all devices.
pub(crate) const RETENTION_EVERY: Duration = Duration::from_secs(600);
/// Time from the start of the server, or from when its clock was set, to the first round.
pub(crate) const RETENTION_AFTER: Duration = Duration::from_secs(60);
/// After a step of the retention heartbeats have the engine for so many times as long as it took.
pub(crate) const RETENTION_REST: u32 = 3;
/// Time between two looks whether a step has ended that the database does by itself.
pub(crate) const RETENTION_LOOK: Duration = Duration::from_millis(100);

/// How often the log says what was refused.
pub(crate) const REFUSED_EVERY: Duration = Duration::from_secs(60);
/// Time between two looks into the database for a token that is not known.
pub(crate) const TOKEN_LOOKS_APART: Duration = Duration::from_millis(50);
/// Failed logins in a row that an address may have.
pub(crate) const LOGIN_BURST: u32 = 5;
/// After a burst, one login in this time for an address.
pub(crate) const LOGIN_EVERY: Duration = Duration::from_secs(30);
/// Addresses whose logins are counted. The one that could try again soonest is forgotten.
pub(crate) const LOGIN_ADDRESSES_MAX: usize = 10_000;
/// How long a login lasts.
pub(crate) const SESSION_AGE: Duration = Duration::from_secs(30 * 86_400);
/// Shortest password, characters (NIST SP 800-63B).
pub(crate) const PASSWORD_MIN: usize = 8;
/// Longest password, bytes: hashing is what an attacker makes the server do.
pub(crate) const PASSWORD_MAX: usize = 256;

/// No alert within this time after the start: devices had no chance to be heard.
pub(crate) const ALERT_GRACE_MS: i64 = 60_000;
/// Without a turn of the engine for longer than this, the server says that nothing is being stored, milliseconds.
pub(crate) const ENGINE_SILENT_MS: i64 = 10_000;
/// A turn that comes later than this after the one before means that heartbeats were refused meanwhile, or that the machine
/// was suspended, milliseconds: silence counts anew.
pub(crate) const TURN_LATE_MS: i64 = 20_000;
const _: () = assert!(TURN_LATE_MS.cast_unsigned() as u128 == COMMIT_TIMEOUT.as_millis());
/// The calendar is corrected if it is off by more than this, milliseconds: far less than any threshold of silence.
pub(crate) const CLOCK_SLACK_MS: i64 = 100;
/// Clocks that read less have not been set since their board has started: 2023-01-01.
pub(crate) const CLOCK_PLAUSIBLE: UnixMs = UnixMs(1_672_531_200_000);
/// A correction of the calendar by more than this is told, and times of this process that were noted before are mended.
pub(crate) const CLOCK_STEP_MS: i64 = 10_000;
/// Time from one message about a changed version of a device to the next, milliseconds: two versions may take turns.
pub(crate) const VERSION_PAUSE_MS: i64 = 3_600_000;
/// How long after a commit or a turn has failed a row is written to find out whether that is over, milliseconds.
pub(crate) const PROBE_AFTER_MS: i64 = 5_000;
/// Lines of one message; the others are counted.
pub(crate) const MESSAGE_LINES: usize = 20;
/// Alerts of one message for programs: some 200 KB, which webhooks take. The others are counted.
pub(crate) const MESSAGE_ALERTS: usize = 1_000;
/// Time for each of the two steps on the way to a webhook, its name and its connection: together less than
/// [`DELIVERY_TIMEOUT`], so that it is known whether a message that took too long can have arrived.
pub(crate) const DELIVERY_CONNECT_TIMEOUT: Duration = Duration::from_secs(9);
/// Time for one attempt to deliver a message.
pub(crate) const DELIVERY_TIMEOUT: Duration = Duration::from_secs(20);
/// Longest pause between two attempts to deliver a message, milliseconds.
pub(crate) const DELIVERY_PAUSE_MAX_MS: i64 = 3_600_000;
