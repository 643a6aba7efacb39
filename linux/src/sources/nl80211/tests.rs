//! Tests of what the kernel says of a radio.

use super::*;
use crate::sources::{
    radio::{NL80211_IFTYPE_AP, NL80211_IFTYPE_STATION},
    scan::tests::network,
};
use heartbeat_core::{
    readings::{Wifi, WifiMode},
    text::Text,
    units::{Dbm, SignalPercent},
};
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
    /// How the list of stations ends.
    listed: Result<(), SensorError>,
    networks: Result<Vec<Vec<u8>>, SensorError>,
}

impl Radio for Fake {
    fn interface(&mut self, _: u32, take: &mut dyn FnMut(&[u8])) -> Result<(), SensorError> {
        take(&self.interface.clone()?);
        Ok(())
    }

    fn stations(&mut self, _: u32, take: &mut dyn FnMut(&[u8])) -> Result<(), SensorError> {
        self.stations.iter().for_each(|station| take(station));
        self.listed
    }

    fn networks(&mut self, _: u32, take: &mut dyn FnMut(&[u8])) -> Result<(), SensorError> {
        self.networks.clone()?.iter().for_each(|network| take(network));
        Ok(())
    }
}

fn look(fake: Fake) -> Result<Vec<Details>, SensorError> {
    let dir = tempfile::tempdir().expect("a directory");
    let wlan = dir.path().join("sys/class/net/wlan0");
    fs::create_dir_all(wlan.join("phy80211")).expect("created");
    fs::write(wlan.join("type"), "1\n").expect("written");
    fs::write(wlan.join("ifindex"), "3\n").expect("written");
    let root = Sysroot::new(dir.path()).expect("opened");
    Nl80211 { interfaces: Interfaces::default(), radio: Some(Box::new(fake)) }.read(&root)
}

fn signal(dbm: i8) -> Vec<u8> {
    attr(NL80211_ATTR_STA_INFO, &attr(NL80211_STA_INFO_SIGNAL, &[dbm.cast_unsigned()]))
}

#[test]
fn a_client_without_a_name_has_that_of_the_network_it_is_associated_with() {
    let ssid = |kind: u32, stations: usize, networks: Result<Vec<Vec<u8>>, SensorError>| {
        let interface = Ok(attr(NL80211_ATTR_IFTYPE, &kind.to_ne_bytes()));
        let details =
            look(Fake { interface, stations: vec![signal(-51); stations], listed: Ok(()), networks });
        details.expect("details")[0].ssid.as_ref().map(|ssid| ssid.as_str().to_owned())
    };
    let networks = vec![network(0, b"before", b""), network(1, b"home", b""), network(0, b"last", b"")];
    assert_eq!(ssid(NL80211_IFTYPE_STATION, 1, Ok(networks.clone())).as_deref(), Some("home"));
    assert_eq!(ssid(NL80211_IFTYPE_STATION, 0, Ok(networks.clone())), None, "it is in no network");
    assert_eq!(ssid(NL80211_IFTYPE_AP, 1, Ok(networks)), None, "it has a name of its own");
    assert_eq!(ssid(NL80211_IFTYPE_STATION, 1, Err(SensorError::Denied)), None);
}

#[test]
fn a_client_has_network_name_and_signal() {
    let ssid = [0xff, b'"', 0, b'\\', b'x'];
    let interface =
        [attr(NL80211_ATTR_IFTYPE, &NL80211_IFTYPE_STATION.to_ne_bytes()), attr(NL80211_ATTR_SSID, &ssid)]
            .concat();
    let details = look(Fake {
        interface: Ok(interface),
        stations: vec![signal(-51)],
        listed: Ok(()),
        networks: Ok(vec![network(1, b"other", b"")]),
    })
    .expect("details");
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
fn a_tree_has_the_answers_of_iw() {
    let dir = tempfile::tempdir().expect("a directory");
    for (path, text) in [
        ("sys/class/net/wlan0/phy80211/name", "phy0"),
        ("sys/class/net/wlan0/type", "1"),
        ("iw/wlan0/info", "Interface wlan0\n\tssid home\n\ttype managed\n"),
        ("iw/wlan0/stations", "Station 02:00:00:00:00:02 (on wlan0)\n\tsignal:  \t-61 dBm\n"),
        ("sys/class/net/wlan1/phy80211/name", "phy1"),
        ("sys/class/net/wlan1/type", "1"),
        ("iw/wlan1/info.err", "command failed: No such device (-19)"),
    ] {
        let path = dir.path().join(path);
        fs::create_dir_all(path.parent().expect("a parent")).expect("created");
        fs::write(path, text).expect("written");
    }
    let root = Sysroot::new(dir.path()).expect("opened");
    let details = Nl80211::new(&root).read(&root).expect("details");
    assert_eq!(details.len(), 1, "wlan1 says nothing");
    assert_eq!((details[0].ssid.clone(), details[0].signal), (Some("home".into()), Some(Dbm(-61))));
}

/// rtl8723bs is associated and lists no station (mdlayher/wifi, issue 27).
#[test]
fn a_client_whose_driver_lists_no_station_has_the_level_of_the_kernels_table() {
    let dir = tempfile::tempdir().expect("a directory");
    let write = |path: &str, text: &str| {
        let path = dir.path().join(path);
        fs::create_dir_all(path.parent().expect("a parent")).expect("created");
        fs::write(path, text).expect("written");
    };
    for name in ["wlan0", "wlan1"] {
        write(&format!("sys/class/net/{name}/phy80211/name"), "phy0");
        write(&format!("sys/class/net/{name}/type"), "1");
    }
    write("proc/net/wireless", " wlan0: 0000 66. -44. -256 0\n wlan1: 0000 66. -33. -256 0\n");
    write("iw/wlan0/stations", "");
    let level = |kind: &str| {
        write("iw/wlan0/info", &format!("Interface wlan0\n\tssid home\n\ttype {kind}\n"));
        let root = Sysroot::new(dir.path()).expect("opened");
        Nl80211::new(&root).read(&root).expect("details")[0].signal
    };
    assert_eq!(level("managed"), Some(Dbm(-44)));
    assert_eq!(level("AP"), None, "a hotspot has none");
    write("iw/wlan0/stations", "Station 02:00:00:00:00:02 (on wlan0)\n\tsignal:  \t-61 dBm\n");
    assert_eq!(level("managed"), Some(Dbm(-61)));
    write("iw/wlan0/stations", "");
    write("proc/net/wireless", " wlan0: 0000 0 0 0 0\n");
    assert_eq!(level("managed"), None, "it is not associated");
}

#[test]
fn a_station_that_has_not_entered_does_not_count() {
    let flags = |known: u32, set: u32| {
        let flags = [known.to_ne_bytes(), set.to_ne_bytes()].concat();
        let info = [attr(NL80211_STA_INFO_SIGNAL, &[0xc8]), attr(NL80211_STA_INFO_STA_FLAGS, &flags)];
        attr(NL80211_ATTR_STA_INFO, &info.concat())
    };
    let (authorized, direct) = (1 << NL80211_STA_FLAG_AUTHORIZED, 1 << NL80211_STA_FLAG_TDLS_PEER);
    let stations = vec![
        flags(authorized | direct, authorized),
        flags(authorized, 0),
        flags(authorized | direct, authorized | direct),
        flags(0, 0),
        flags(0, direct),
    ];
    let interface = attr(NL80211_ATTR_IFTYPE, &NL80211_IFTYPE_AP.to_ne_bytes());
    let networks = Ok(vec![network(1, b"other", b"")]);
    let details = look(Fake { interface: Ok(interface), stations, listed: Ok(()), networks });
    let clients = details.expect("details")[0].clients;
    assert_eq!(clients, Some(4), "what is not known does not count against a station");
}

#[test]
fn a_direct_link_of_a_client_is_not_its_access_point() {
    let direct = |level: i8| {
        let flags = (1u32 << NL80211_STA_FLAG_TDLS_PEER).to_ne_bytes();
        let info = [
            attr(NL80211_STA_INFO_SIGNAL, &[level.cast_unsigned()]),
            attr(NL80211_STA_INFO_STA_FLAGS, &[flags, flags].concat()),
        ];
        attr(NL80211_ATTR_STA_INFO, &info.concat())
    };
    let level = |stations| {
        let interface = Ok(attr(NL80211_ATTR_IFTYPE, &NL80211_IFTYPE_STATION.to_ne_bytes()));
        let fake = Fake { interface, stations, listed: Ok(()), networks: Ok(Vec::new()) };
        look(fake).expect("details")[0].signal
    };
    assert_eq!(level(vec![signal(-69), direct(-31)]), Some(Dbm(-69)));
    assert_eq!(level(vec![direct(-57)]), Some(Dbm(-57)), "the Pi's driver says so of an access point");
}

/// `brcmf_cfg80211_dump_station` fails with EOPNOTSUPP when its firmware does.
#[test]
fn without_a_list_of_stations_the_rest_is_still_known() {
    let interface = |kind: u32| {
        let members = [attr(NL80211_ATTR_IFTYPE, &kind.to_ne_bytes()), attr(NL80211_ATTR_SSID, b"camera")];
        let fake = Fake {
            interface: Ok(members.concat()),
            stations: vec![signal(-40)],
            listed: Err(SensorError::Io),
            networks: Ok(Vec::new()),
        };
        look(fake).expect("details").remove(0)
    };
    let hotspot = interface(NL80211_IFTYPE_AP);
    assert_eq!((hotspot.mode, hotspot.ssid), (Some(WifiMode::Hotspot), Some("camera".into())));
    assert_eq!(hotspot.clients, None, "one of them is not all");
    let client = interface(NL80211_IFTYPE_STATION);
    assert_eq!((client.mode, client.signal), (Some(WifiMode::Client), None));
}

#[test]
fn a_hotspot_has_clients() {
    let interface = attr(NL80211_ATTR_IFTYPE, &NL80211_IFTYPE_AP.to_ne_bytes());
    let stations = |count| vec![signal(-40); count];
    for count in [0, 3] {
        let fake = Fake {
            interface: Ok(interface.clone()),
            stations: stations(count),
            listed: Ok(()),
            networks: Ok(vec![network(1, b"other", b"")]),
        };
        let details = look(fake).expect("details");
        assert_eq!(details[0].clients, Some(u16::try_from(count).expect("few")));
        assert_eq!(details[0].signal, None, "of whom?");
    }
}

#[test]
fn reports_a_failing_radio_and_absence_without_one() {
    let failing = |error| Fake {
        interface: Err(error),
        stations: Vec::new(),
        listed: Ok(()),
        networks: Ok(Vec::new()),
    };
    let trouble = |error| look(failing(error));
    assert_eq!(trouble(SensorError::Io), Err(SensorError::Io));
    assert_eq!(trouble(SensorError::Absent), Err(SensorError::Absent));
    let dir = tempfile::tempdir().expect("a directory");
    fs::create_dir_all(dir.path().join("sys/class/net")).expect("created");
    let root = Sysroot::new(dir.path()).expect("opened");
    let radio = Box::new(failing(SensorError::Io));
    let mut without_interfaces = Nl80211 { interfaces: Interfaces::default(), radio: Some(radio) };
    assert_eq!(without_interfaces.read(&root), Err(SensorError::Absent), "no wireless interface");
}

proptest! {
    #[test]
    fn any_bytes_are_survived(bytes: Vec<u8>) {
        let mut seen = Seen::default();
        seen.take_station(&bytes);
        seen.take_interface(&bytes);
        let _ = Details::new("wlan0", &seen);
    }
}
