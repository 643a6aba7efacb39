//! The parsers for `cargo fuzz`: each must take any bytes without a panic, and return no impossible value.

use std::path::Path;

use heartbeat_core::{
    time::Instant,
    units::{Celsius, Dbm, Load, Percent, Watts},
};

use crate::{
    sensors::hardware_id,
    sources::{
        self, board, firmware,
        gps::{
            poll::{Poll, Receivers},
            streamer,
        },
        iw, mmcli,
        network::{addresses, ipv6_routes, permanent_address, routes},
        pidfiles, proc_wireless, procfs,
        radio::{Details, Seen},
        scan,
        stand_ins::StandIns,
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

/// `/proc/loadavg`.
pub fn loadavg(bytes: &[u8]) {
    if let Some(load) = procfs::loadavg::parse(bytes) {
        assert!(Load::RANGE.contains(&load));
    }
}

/// `/proc/swaps`.
pub fn swaps(bytes: &[u8]) {
    let swap = procfs::swaps::parse(bytes);
    assert!(swap.is_err() || swap == procfs::swaps::parse(&procfs::swaps::without_names(bytes)));
    if let Ok(swap) = swap {
        assert!(Percent::RANGE.contains(&swap));
    }
}

/// `/proc/self/mountinfo`.
pub fn mountinfo(bytes: &[u8]) {
    let kept: usize = procfs::mountinfo::lines_of_root(bytes).map(<[u8]>::len).sum();
    assert!(kept <= bytes.len());
    let _ = procfs::mountinfo::root_read_only(bytes);
}

/// The names of board and system, and what eMMC says of its wear.
pub fn board(bytes: &[u8]) {
    assert!(board::model::parse(bytes).is_none_or(|model| !model.is_empty()));
    assert!(board::os::pretty_name(bytes).is_none_or(|name| !name.trim().is_empty()));
    let text = String::from_utf8_lossy(bytes);
    if let Some(Some(used)) = board::wear::parse_life_time(&text) {
        assert!(used <= 100 && used % 10 == 0);
    }
    let _ = board::wear::parse_pre_eol_info(&text);
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
    let _ = permanent_address::first_byte(&String::from_utf8_lossy(bytes));
}

/// The id that is kept in the state directory.
pub fn kept_id(bytes: &[u8]) {
    let _ = hardware_id::kept::parse(bytes);
}

/// Pidfiles of the streaming application, `/proc/PID/stat` and `/proc/PID/status`.
pub fn pidfile(bytes: &[u8]) {
    let _ = (pidfiles::parse(bytes), pidfiles::is_zombie(bytes), pidfiles::thread_group(bytes));
    let _ = pidfiles::is_kernel_thread(bytes);
}

/// `/proc/net/route` and `/proc/net/ipv6_route`.
pub fn route(bytes: &[u8]) {
    let (ipv4, ipv6) = (routes::parse_ipv4(bytes), routes::parse_ipv6(bytes));
    assert!(ipv4.len() + ipv6.len() <= bytes.len());
}

/// `/proc/net/wireless`.
pub fn wireless(bytes: &[u8]) {
    for (_, level) in proc_wireless::parse(bytes) {
        assert!(Dbm::RANGE.contains(&level));
    }
}

/// Datagrams of generic netlink, and nl80211's answers in them.
pub fn nl80211(bytes: &[u8]) {
    let mut seen = Seen::default();
    for message in sources::messages(bytes) {
        assert!(sources::attributes(message.payload).count() <= bytes.len());
        seen.take_interface(message.payload);
        seen.take_station(message.payload);
        let _ = scan::associated_ssid(message.payload);
        let _ = (Details::new("wlan0", &seen), addresses::parse(message.payload));
        let _ = permanent_address::permanent_address(message.payload);
        let _ = ipv6_routes::parse(message.payload);
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

/// What `mmcli` prints, JSON and text.
pub fn mmcli(bytes: &[u8]) {
    let _ = (mmcli::list(bytes), mmcli::error_in(bytes));
    if let Ok(modem) = mmcli::describe(bytes) {
        let _ = (modem.signal(), modem.interfaces(), modem.technologies(), modem.progress());
    }
}

/// What `iw dev NAME info` and `iw dev NAME station dump` print; the first line break twice in a row parts them.
pub fn iw(bytes: &[u8]) {
    let middle = bytes.windows(2).position(|pair| pair == b"\n\n").unwrap_or(bytes.len());
    let (info, stations) = bytes.split_at(middle);
    let _ = Details::new("wlan0", &iw::parse(info, Some(stations)));
}

/// What `ip -json address` prints.
pub fn address(bytes: &[u8]) {
    let _ = addresses::parse_json(bytes);
}

/// Stand-ins for what is private: of any content they keep the number of lines.
pub fn stand_ins(bytes: &[u8]) {
    let mut names = StandIns::new(Path::new("/tmp"));
    for path in ["/proc/cpuinfo", "/etc/machine-id", "/sys/serial_number", "/tmp/x-record.pid", "/tmp/x.pid"]
    {
        let lines = |bytes: &[u8]| bytes.iter().filter(|byte| **byte == b'\n').count();
        let replaced = names.content(Path::new(path), bytes);
        assert!(path.ends_with("pid") || lines(&replaced) == lines(bytes));
    }
}

/// gpsd's answer and that of the streaming application's GPS daemon.
pub fn position(bytes: &[u8]) {
    let text = String::from_utf8_lossy(bytes);
    if let Ok(poll) = Poll::parse(&text) {
        let _ = Receivers::default().best(&poll, Instant::from_millis(0));
    }
    if let Ok(location) = streamer::Location::parse(&text) {
        let _ = location.position();
    }
}
