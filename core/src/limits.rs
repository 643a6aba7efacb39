//! Every bound of the core, each with its reason.

use crate::time::Duration;

/// Shortest interval between heartbeats: 20 a second is more than a server needs.
pub const INTERVAL_MIN: Duration = Duration::from_millis(50);
/// Longest interval between heartbeats: one a day.
pub const INTERVAL_MAX: Duration = Duration::from_secs(86_400);
/// Interval when nothing else is configured.
pub const INTERVAL_DEFAULT: Duration = Duration::from_secs(5);
/// Time for one request when nothing else is configured: name resolution to the end of the reply.
pub const TIMEOUT_DEFAULT: Duration = Duration::from_secs(2);
/// Longest time that a beat waits for its sensors; never more than a quarter of an
/// interval, because the second beat may follow the first after half of one.
pub const SAMPLING_DEADLINE_MAX: Duration = Duration::from_secs(1);
/// Detail of an outcome, bytes in JSON: room for an address and an error message. With certificates, addresses of IPv6
/// and proxies, which only systems with a log have, messages are longer.
pub const DETAIL_MAX: usize = if cfg!(feature = "log") { 256 } else { 128 };
/// Failures of the server itself that do not cause back-off, so that one lost packet does not.
pub const BACKOFF_FREE: u32 = 2;
/// Longest gap of the back-off when nothing else is configured. `ARCHITECTURE.md` has the simulation of a fleet behind it.
pub const BACKOFF_CAP_DEFAULT: Duration = Duration::from_secs(60);
/// Shortest back-off for a server's `Retry-After`.
pub const RETRY_AFTER_MIN: Duration = Duration::from_secs(5);
/// Longest back-off for a server's `Retry-After`: one mistake of an operator must not silence a fleet.
pub const RETRY_AFTER_MAX: Duration = Duration::from_secs(600);

/// Queued heartbeats that are sent in one interval when nothing else is configured: four times as fast as they were
/// sampled, without a burst for the server.
pub const LATE_PER_INTERVAL_DEFAULT: u8 = 4;
/// Refusals after which a queued heartbeat is dropped, so that it does not block the others.
pub const LATE_REFUSALS_MAX: u8 = 3;
/// A backlog that is stored over a restart is written at most once in this time, because SD cards wear.
pub const STORE_EVERY: Duration = Duration::from_secs(60);

/// A value that is older than this many intervals is not sent; `null` is sent instead.
pub const FRESH_INTERVALS: u32 = 3;
/// While an outage lasts it is logged at most once in this time.
pub const OUTAGE_REMINDER: Duration = Duration::from_secs(3600);

/// Logged beginnings of outages are at least so far apart. An outage that begins too soon is logged when it lasts that long.
pub const OUTAGE_LOG_INTERVAL: Duration = Duration::from_secs(600);
/// Logged changes of the cause of outages are at least so far apart.
pub const CAUSE_LOG_INTERVAL: Duration = Duration::from_secs(600);
/// Logged beginnings of back-off are at least so far apart.
pub const BACKOFF_LOG_INTERVAL: Duration = Duration::from_secs(900);
/// Logged errors of one sensor are at least so far apart. If all 19 sensors and the server flap, any hour has at most 3
/// lines of each sensor, 20 of outages, 7 of their causes, 10 of back-off and 6 of the backlog: 100, because journals wear SD
/// cards.
pub const SENSOR_LOG_INTERVAL: Duration = Duration::from_secs(3600);
/// Logged ends of a backlog are at least so far apart.
pub const BACKLOG_LOG_INTERVAL: Duration = Duration::from_secs(600);

/// A full document is sent at least so often where deltas are sent between.
#[cfg(feature = "delta")]
pub const FULL_EVERY: Duration = Duration::from_secs(60);

/// Hardware id, bytes in JSON. Serials have 16 digits, hashes 32, a configured name may be longer.
pub const HARDWARE_ID_MAX: usize = 64;
/// Network interface name, bytes in JSON. The kernel's `IFNAMSIZ` is 16 with its NUL.
pub const INTERFACE_MAX: usize = 32;
/// IP address, bytes in JSON: eight groups of four digits, or `::ffff:` and an IPv4 address (RFC 5952).
pub const IP_MAX: usize = 39;
/// SSID, bytes in JSON: 32 bytes of which each may need a `\u00XX` escape (IEEE 802.11-2020, 9.4.2.2).
pub const SSID_MAX: usize = 32 * 6;
/// Operator's name of a mobile network, bytes in JSON (3GPP TS 22.101: at most 16 shown; some send more).
pub const OPERATOR_MAX: usize = 48;
/// Modem state and access technology, bytes in JSON (ModemManager's longest is `disconnecting`; lists of
/// technologies are joined).
pub const MODEM_WORD_MAX: usize = 32;
/// Version of the streaming application, bytes in JSON.
pub const APP_VERSION_MAX: usize = 64;
/// Model of the board, bytes in JSON: the longest of a Raspberry Pi has 39.
#[cfg(feature = "board")]
pub const MODEL_MAX: usize = 64;
/// Name of the system with its kernel's release, bytes in JSON: a release has at most 64 (`__NEW_UTS_LEN`), the names of
/// Debian's and Ubuntu's 40.
#[cfg(feature = "board")]
pub const OS_MAX: usize = 128;
/// What the board is is told so often, and after a start until it has arrived.
#[cfg(feature = "board")]
pub const BOARD_EVERY: Duration = Duration::from_secs(3600);
/// Path of the recording, bytes in JSON. Longer ones are cut at a character boundary.
pub const RECORDING_PATH_MAX: usize = 256;
