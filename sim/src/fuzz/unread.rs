//! What `diagnostics.unread` must say of a device's answers, written down apart from the core, in the order of the contract.

use heartbeat_core::{
    SensorError,
    readings::{Activity, Board, System},
    time::{Duration, Instant},
};

use super::{
    recording_device::{RecordingDevice, State},
    render::{load, model, os, swap, wear},
};

/// The word for an error in `diagnostics.unread`; none for what is not there.
fn word(error: SensorError) -> Option<&'static str> {
    match error {
        SensorError::Absent => None,
        SensorError::Denied => Some("denied"),
        SensorError::Io => Some("failed"),
        SensorError::Invalid => Some("invalid"),
    }
}

/// Writes the entry of one key, after a comma if it is not the first.
fn put_entry(key: &str, word: &str, out: &mut String) {
    let comma = if out.ends_with('{') { "" } else { "," };
    out.push_str(&format!("{comma}\"{key}\":\"{word}\""));
}

/// What `diagnostics.unread` says of the parts of an activity that was read.
fn put_parts(activity: &Activity, out: &mut String) {
    let size = activity.recording.as_ref().ok().and_then(Option::as_ref).and_then(|it| it.size.err());
    let parts = [
        ("streaming_active", activity.streaming.err()),
        ("tracking_active", activity.tracking.err()),
        ("recording_active", activity.recording.as_ref().err().copied()),
        ("recording_file_size_mb", size),
    ];
    for (key, error) in parts {
        if let Some(word) = error.and_then(word) {
            put_entry(key, word, out);
        }
    }
}

/// The keys of a system.
const SYSTEM: [&str; 3] = ["diagnostics.load", "diagnostics.swap", "diagnostics.root_read_only"];

/// What `diagnostics.unread` says of the parts of a system that was read.
fn put_parts_of_system(system: &System, out: &mut String) {
    let parts = [load(system).err(), swap(system).err(), system.root_read_only.err()];
    for (key, error) in SYSTEM.into_iter().zip(parts) {
        if let Some(word) = error.and_then(word) {
            put_entry(key, word, out);
        }
    }
}

/// The keys of a board.
const BOARD: [&str; 4] = ["diagnostics.clock_synchronized", "board.model", "board.os", "board.wear"];

/// What `diagnostics.unread` says of the parts of a board that was read.
fn put_parts_of_board(board: &Board, out: &mut String) {
    let parts = [board.clock_synchronized.err(), model(board).err(), os(board).err(), wear(board).err()];
    for (key, error) in BOARD.into_iter().zip(parts) {
        if let Some(word) = error.and_then(word) {
            put_entry(key, word, out);
        }
    }
}

impl<H> RecordingDevice<H> {
    /// Writes the keys that are unread, with the reasons.
    pub(super) fn write_unread(&self, now: Instant, limit: Duration, out: &mut String) {
        // Named one by one, so that no sensor can be forgotten.
        let Self {
            inner: _,
            now: _,
            time_read: _,
            cpu,
            memory,
            temperature,
            power,
            fan,
            disk,
            default_interface,
            ethernet,
            wifi,
            cellular,
            position,
            app_version,
            activity,
            uptime,
            throttled,
            cpu_mhz,
            ups,
            system,
            board,
        } = self;
        macro_rules! put_reason {
            ($($key:literal $said:ident),*) => {
                $(if let State::Unread(Some(word)) = $said.state(now, limit, word) {
                    put_entry($key, word, out);
                })*
            };
        }
        out.push_str("\"unread\":{");
        put_reason!("cpu" cpu, "mem" memory, "temp" temperature, "power" power, "fan_rpm" fan, "disk" disk);
        put_reason!("connection.default_interface" default_interface, "connection.ethernet" ethernet);
        put_reason!("connection.wifi" wifi, "connection.4g" cellular, "connection.gps" position);
        put_reason!("app_version" app_version);
        match activity.state(now, limit, word) {
            State::Value(activity) => put_parts(activity, out),
            State::Unread(Some(word)) => {
                for key in ["streaming_active", "tracking_active", "recording_active"] {
                    put_entry(key, word, out);
                }
            }
            State::Unread(None) => {}
        }
        put_reason!("uptime_s" uptime, "diagnostics.throttled" throttled, "diagnostics.cpu_mhz" cpu_mhz);
        put_reason!("diagnostics.ups" ups);
        match system.state(now, limit, word) {
            State::Value(system) => put_parts_of_system(system, out),
            State::Unread(Some(word)) => SYSTEM.into_iter().for_each(|key| put_entry(key, word, out)),
            State::Unread(None) => {}
        }
        match board.state(now, limit, word) {
            State::Value(board) => put_parts_of_board(board, out),
            State::Unread(Some(word)) => BOARD.into_iter().for_each(|key| put_entry(key, word, out)),
            State::Unread(None) => {}
        }
        out.push('}');
    }
}
