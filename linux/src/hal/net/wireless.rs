//! Details of wireless interfaces: from nl80211 (`linux/nl80211.h`), and where a kernel has only the old wireless
//! extensions, from `/proc/net/wireless`.

use heartbeat_core::{
    SensorError,
    limits::SSID_MAX,
    readings::{Wifi, WifiMode},
    text::Text,
    units::{Dbm, SignalPercent},
};

use super::{
    interfaces::{Interface, Interfaces, Kind},
    netlink::{NLM_F_DUMP, Netlink, attribute, u32_of},
};
use crate::hal::{
    rest::Rest,
    sysroot::{Sysroot, read_whole},
};

const NL80211_CMD_GET_INTERFACE: u8 = 5;
const NL80211_CMD_GET_STATION: u8 = 17;
const NL80211_ATTR_IFINDEX: u16 = 3;
const NL80211_ATTR_IFTYPE: u16 = 5;
const NL80211_ATTR_STA_INFO: u16 = 21;
const NL80211_ATTR_SSID: u16 = 52;
const NL80211_STA_INFO_SIGNAL: u16 = 7;
const NL80211_IFTYPE_STATION: u32 = 2;
const NL80211_IFTYPE_AP: u32 = 3;

/// `/proc/net/wireless` has a line per interface.
const PROC_MAX: u64 = 16 * 1024;

/// What a radio knows about its interface.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(in crate::hal) struct Details {
    /// Name of the interface.
    pub(in crate::hal) interface: String,
    mode: Option<WifiMode>,
    ssid: Option<Text<SSID_MAX>>,
    signal: Option<Dbm>,
    clients: Option<u16>,
}

impl Details {
    /// In a few words, without the network's name.
    pub(in crate::hal) fn describe(&self) -> String {
        let mode = match self.mode {
            Some(WifiMode::Client) => " client",
            Some(WifiMode::Hotspot) => " hotspot",
            None => "",
        };
        let signal = self.signal.map(|signal| format!(" {signal} dBm")).unwrap_or_default();
        format!("{}{mode}{signal}", self.interface)
    }

    /// Completes what the kernel's list of interfaces says.
    pub(in crate::hal) fn complete(&self, wifi: &mut Wifi) {
        wifi.mode = self.mode;
        wifi.ssid.clone_from(&self.ssid);
        wifi.signal_dbm = self.signal;
        wifi.signal_percent = self.signal.map(SignalPercent::from_dbm);
        wifi.clients = self.clients;
    }

    /// Takes over what one answer about the interface says.
    pub(in crate::hal) fn take_interface(&mut self, reply: &[u8]) {
        self.mode = match attribute(reply, NL80211_ATTR_IFTYPE).and_then(u32_of) {
            Some(NL80211_IFTYPE_STATION) => Some(WifiMode::Client),
            Some(NL80211_IFTYPE_AP) => Some(WifiMode::Hotspot),
            _ => None,
        };
        // At most 32 bytes of anything (IEEE 802.11-2020, 9.4.2.2); none while it is not connected.
        let ssid = attribute(reply, NL80211_ATTR_SSID).filter(|ssid| (1..=32).contains(&ssid.len()));
        self.ssid = ssid.map(Text::from_bytes);
    }

    /// Takes over one station: the access point of a client, or a client of a hotspot.
    pub(in crate::hal) fn take_station(&mut self, reply: &[u8]) {
        match self.mode {
            Some(WifiMode::Client) => {
                let info = attribute(reply, NL80211_ATTR_STA_INFO);
                let signal = info.and_then(|info| attribute(info, NL80211_STA_INFO_SIGNAL));
                if let Some(&[dbm]) = signal {
                    self.signal = Some(Dbm(i16::from(dbm.cast_signed())));
                }
            }
            Some(WifiMode::Hotspot) => self.clients = Some(self.clients.unwrap_or(0).saturating_add(1)),
            None => {}
        }
    }
}

/// Asks a radio; the kernel's, or a fake.
pub(super) trait Radio: Send {
    /// Hands the answer about one interface to `take`.
    fn interface(&mut self, index: u32, take: &mut dyn FnMut(&[u8])) -> Result<(), SensorError>;
    /// Hands the answers about its stations to `take`.
    fn stations(&mut self, index: u32, take: &mut dyn FnMut(&[u8])) -> Result<(), SensorError>;
}

/// nl80211 of the running kernel.
#[derive(Debug, Default)]
struct Nl80211 {
    open: Option<(Netlink, u16)>,
}

impl Nl80211 {
    fn request(
        &mut self,
        command: u8,
        flags: u16,
        index: u32,
        take: &mut dyn FnMut(&[u8]),
    ) -> Result<(), SensorError> {
        let (mut netlink, family) = match self.open.take() {
            Some(open) => open,
            None => {
                let mut netlink = Netlink::open()?;
                let family = netlink.family("nl80211")?;
                (netlink, family)
            }
        };
        netlink.request(family, flags, command, &[(NL80211_ATTR_IFINDEX, &index.to_ne_bytes())], take)?;
        // Kept only while it answers: the family's number changes when its module is loaded again.
        self.open = Some((netlink, family));
        Ok(())
    }
}

impl Radio for Nl80211 {
    fn interface(&mut self, index: u32, take: &mut dyn FnMut(&[u8])) -> Result<(), SensorError> {
        self.request(NL80211_CMD_GET_INTERFACE, 0, index, take)
    }

    fn stations(&mut self, index: u32, take: &mut dyn FnMut(&[u8])) -> Result<(), SensorError> {
        self.request(NL80211_CMD_GET_STATION, NLM_F_DUMP, index, take)
    }
}

/// Looks at all wireless interfaces.
pub(in crate::hal) struct Wireless {
    interfaces: Interfaces,
    radio: Option<Box<dyn Radio>>,
    rest: Rest,
}

impl Wireless {
    /// A captured tree has no radio.
    pub(in crate::hal) fn new(root: &Sysroot) -> Self {
        let radio = root.is_live().then(|| Box::new(Nl80211::default()) as _);
        Self { interfaces: Interfaces::default(), radio, rest: Rest::default() }
    }

    /// Where the details come from, for people.
    pub(in crate::hal) fn place(&self) -> &'static str {
        if self.radio.is_some() { "nl80211, /proc/net/wireless" } else { "/proc/net/wireless" }
    }

    /// The details of every wireless interface that is there.
    ///
    /// # Errors
    ///
    /// [`SensorError::Absent`] on machines without one.
    pub(in crate::hal) fn read(&mut self, root: &Sysroot) -> Result<Vec<Details>, SensorError> {
        let interfaces = self.interfaces.list(root)?.iter();
        let wireless: Vec<Interface> =
            interfaces.filter(|interface| interface.kind == Kind::Wifi).cloned().collect();
        if wireless.is_empty() {
            return Err(SensorError::Absent);
        }
        let mut all = Vec::new();
        let mut trouble = None;
        for interface in wireless {
            let found =
                self.ask(root, &interface.name).or_else(|error| match proc_signal(root, &interface.name) {
                    Some(signal) => {
                        Ok(Details { interface: interface.name, signal: Some(signal), ..Details::default() })
                    }
                    None => Err(error),
                });
            match found {
                Ok(details) => all.push(details),
                Err(error) => trouble = trouble.or(Some(error)),
            }
        }
        // One radio that answers is an answer.
        match trouble {
            Some(error) if all.is_empty() => Err(error),
            _ => Ok(all),
        }
    }

    fn ask(&mut self, root: &Sysroot, name: &str) -> Result<Details, SensorError> {
        let radio = self.radio.as_mut().filter(|_| !self.rest.is_resting()).ok_or(SensorError::Absent)?;
        let index = root.read_integer(format!("/sys/class/net/{name}/ifindex"))?;
        let index = u32::try_from(index).map_err(|_| SensorError::Invalid)?;
        let mut details = Details { interface: name.to_owned(), ..Details::default() };
        let answer = radio.interface(index, &mut |reply| details.take_interface(reply));
        self.rest.note(&answer);
        answer?;
        if details.mode == Some(WifiMode::Hotspot) {
            details.clients = Some(0);
        }
        radio.stations(index, &mut |reply| details.take_station(reply))?;
        Ok(details)
    }
}

/// The level in the line of an interface: `wlan0: 0000   59.  -51.  -256 ...` (kernel, `net/wireless/wext-proc.c`).
fn proc_signal(root: &Sysroot, name: &str) -> Option<Dbm> {
    let table = read_whole(root.open("/proc/net/wireless").ok()?, PROC_MAX).ok()?;
    parse_proc(&table, name)
}

pub(in crate::hal) fn parse_proc(table: &[u8], name: &str) -> Option<Dbm> {
    let lines = table.split(|byte| *byte == b'\n').filter_map(|line| str::from_utf8(line).ok());
    let mut rows = lines.filter_map(|line| line.trim().split_once(':'));
    let (_, row) = rows.find(|(interface, _)| *interface == name)?;
    let level = row.split_ascii_whitespace().nth(2)?.trim_end_matches('.');
    // Drivers that give no dBm count from 0 up.
    level.parse().ok().map(Dbm).filter(|level| level.0 < 0 && Dbm::RANGE.contains(level))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::fs;

    fn attr(kind: u16, value: &[u8]) -> Vec<u8> {
        let len = u16::try_from(value.len() + 4).expect("short");
        let mut bytes = [&len.to_ne_bytes()[..], &kind.to_ne_bytes(), value].concat();
        bytes.resize(bytes.len().next_multiple_of(4), 0);
        bytes
    }

    /// A fake radio: the answers to both questions.
    struct Fake {
        interface: Result<Vec<u8>, SensorError>,
        stations: Vec<Vec<u8>>,
    }

    impl Radio for Fake {
        fn interface(&mut self, _: u32, take: &mut dyn FnMut(&[u8])) -> Result<(), SensorError> {
            take(&self.interface.clone()?);
            Ok(())
        }

        fn stations(&mut self, _: u32, take: &mut dyn FnMut(&[u8])) -> Result<(), SensorError> {
            self.stations.iter().for_each(|station| take(station));
            Ok(())
        }
    }

    fn look(fake: Fake) -> Result<Vec<Details>, SensorError> {
        let dir = tempfile::tempdir().expect("a directory");
        let wlan = dir.path().join("sys/class/net/wlan0");
        fs::create_dir_all(wlan.join("phy80211")).expect("created");
        fs::write(wlan.join("ifindex"), "3\n").expect("written");
        let root = Sysroot::new(dir.path()).expect("opened");
        let mut wireless = Wireless { radio: Some(Box::new(fake)), ..Wireless::new(&root) };
        wireless.read(&root)
    }

    fn signal(dbm: i8) -> Vec<u8> {
        attr(NL80211_ATTR_STA_INFO, &attr(NL80211_STA_INFO_SIGNAL, &[dbm.cast_unsigned()]))
    }

    #[test]
    fn a_client_has_a_network_and_a_signal() {
        let ssid = [0xff, b'"', 0, b'\\', b'x'];
        let interface = [
            attr(NL80211_ATTR_IFTYPE, &NL80211_IFTYPE_STATION.to_ne_bytes()),
            attr(NL80211_ATTR_SSID, &ssid),
        ]
        .concat();
        let details = look(Fake { interface: Ok(interface), stations: vec![signal(-51)] }).expect("details");
        let mut wifi = Wifi {
            interface: "wlan0".into(),
            ip: None,
            mode: None,
            ssid: None,
            signal_dbm: None,
            signal_percent: None,
            clients: None,
        };
        details[0].complete(&mut wifi);
        assert_eq!(wifi.mode, Some(WifiMode::Client));
        assert_eq!(wifi.ssid.as_ref().map(Text::as_str), Some("\u{fffd}\"\0\\x"));
        assert_eq!((wifi.signal_dbm, wifi.signal_percent), (Some(Dbm(-51)), Some(SignalPercent(69))));
        assert_eq!(wifi.clients, None);
    }

    #[test]
    fn a_hotspot_has_clients() {
        let interface = attr(NL80211_ATTR_IFTYPE, &NL80211_IFTYPE_AP.to_ne_bytes());
        let stations = |count| vec![signal(-40); count];
        for count in [0, 3] {
            let fake = Fake { interface: Ok(interface.clone()), stations: stations(count) };
            let details = look(fake).expect("details");
            assert_eq!(details[0].clients, Some(u16::try_from(count).expect("few")));
            assert_eq!(details[0].signal, None, "of whom?");
        }
    }

    #[test]
    fn a_radio_in_trouble_is_an_error_and_none_is_absent() {
        let trouble = |error| look(Fake { interface: Err(error), stations: Vec::new() });
        assert_eq!(trouble(SensorError::Io), Err(SensorError::Io));
        assert_eq!(trouble(SensorError::Absent), Err(SensorError::Absent));
        let dir = tempfile::tempdir().expect("a directory");
        fs::create_dir_all(dir.path().join("sys/class/net")).expect("created");
        let root = Sysroot::new(dir.path()).expect("opened");
        assert_eq!(Wireless::new(&root).read(&root), Err(SensorError::Absent));
    }

    #[test]
    fn the_old_table_knows_the_level() {
        // Captured on a Pi 5.
        let table = b"Inter-| sta-|   Quality        |   Discarded packets               | Missed | WE\n \
                      face | tus | link level noise |  nwid  crypt   frag  retry   misc | beacon | 22\n \
                      wlan0: 0000   59.  -51.  -256        0      0      0     18      0        0\n";
        assert_eq!(parse_proc(table, "wlan0"), Some(Dbm(-51)));
        assert_eq!(parse_proc(table, "wlan1"), None);
        assert_eq!(parse_proc(b" wlan0: 0000 59. 60. 0", "wlan0"), None, "no dBm");
    }

    proptest! {
        #[test]
        fn any_bytes_are_survived(bytes: Vec<u8>) {
            let mut details = Details { mode: Some(WifiMode::Client), ..Details::default() };
            details.take_station(&bytes);
            details.take_interface(&bytes);
            if let Some(level) = parse_proc(&bytes, "wlan0") {
                prop_assert!(Dbm::RANGE.contains(&level));
            }
        }
    }
}
