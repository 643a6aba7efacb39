//! The parsers for `cargo fuzz`: each must survive any bytes, and say nothing that cannot be true.

use heartbeat_core::units::{Celsius, Dbm, Watts};

use crate::{
    sensors::hardware_id,
    sources::{
        self, firmware,
        gps::{gpsd, streamer},
        modem_manager,
        network::{self, routes},
        nl80211::Details,
        pidfiles, proc_wireless, procfs,
    },
};

/// `/proc/stat`.
pub fn stat(bytes: &[u8]) {
    if let Some(times) = procfs::stat::parse(bytes) {
        assert!(times.busy <= times.total);
    }
}

/// `/proc/meminfo`.
pub fn meminfo(bytes: &[u8]) {
    if let Some(memory) = procfs::meminfo::parse(bytes) {
        assert!(memory.available <= memory.total && memory.total > 0);
    }
}

/// `/proc/uptime`.
pub fn uptime(bytes: &[u8]) {
    let _ = procfs::uptime::parse(bytes);
}

/// `/proc/cpuinfo`.
pub fn cpuinfo(bytes: &[u8]) {
    if let Some(serial) = hardware_id::parse_cpuinfo(bytes) {
        assert!((8..=32).contains(&serial.len()));
    }
    let _ = network::permanent_address::first_byte(&String::from_utf8_lossy(bytes));
}

/// Pidfiles of the streaming application, `/proc/PID/stat` and `/proc/PID/status`.
pub fn pidfile(bytes: &[u8]) {
    let _ = (pidfiles::parse(bytes), pidfiles::is_zombie(bytes), pidfiles::thread_group(bytes));
}

/// `/proc/net/route` and `/proc/net/ipv6_route`.
pub fn route(bytes: &[u8]) {
    let _ = (routes::parse_ipv4(bytes), routes::parse_ipv6(bytes));
}

/// `/proc/net/wireless`.
pub fn wireless(bytes: &[u8]) {
    for (_, level) in proc_wireless::parse(bytes) {
        assert!(Dbm::RANGE.contains(&level));
    }
}

/// Datagrams of generic netlink, and nl80211's answers in them.
pub fn nl80211(bytes: &[u8]) {
    let mut details = Details::default();
    for message in sources::messages(bytes) {
        assert!(sources::attributes(message.payload).count() <= bytes.len());
        details.take_interface(message.payload);
        details.take_station(message.payload);
        let _ = network::permanent_address::permanent_address(message.payload);
    }
}

/// The firmware's answers as text.
pub fn gencmd(bytes: &[u8]) {
    let text = String::from_utf8_lossy(bytes);
    let _ = firmware::replies::throttled(&text);
    if let Ok(celsius) = firmware::replies::temperature(&text) {
        assert!(Celsius::SOC_RANGE.contains(&celsius));
    }
    if let Ok(watts) = firmware::replies::pmic_power(&text) {
        assert!(Watts::RANGE.contains(&watts));
    }
}

/// The mailbox's message.
pub fn mailbox(bytes: &[u8]) {
    let mut message = [0; firmware::mailbox::WORDS];
    for (word, chunk) in message.iter_mut().zip(bytes.chunks_exact(4)) {
        *word = chunk.try_into().map_or(0, u32::from_ne_bytes);
    }
    let _ = firmware::mailbox::decode(&message);
}

/// `mmcli --output-json`.
pub fn mmcli(bytes: &[u8]) {
    let _ = (modem_manager::list(bytes), modem_manager::parse(bytes));
}

/// gpsd's answer and that of the streaming application's GPS daemon.
pub fn position(bytes: &[u8]) {
    let text = String::from_utf8_lossy(bytes);
    let _ = gpsd::parse_poll(&text);
    if let Ok(value) = serde_json::from_str(&streamer::without_nan(&text)) {
        let _ = streamer::parse_location(&value);
    }
}
