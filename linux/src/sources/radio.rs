//! What a radio says of a wireless interface, and what that means, from the kernel or from a captured tree.

use heartbeat_core::{
    limits::SSID_MAX,
    readings::{Wifi, WifiMode},
    text::Text,
    units::{Dbm, SignalPercent},
};

/// `enum nl80211_iftype` of `linux/nl80211.h`.
pub(super) const NL80211_IFTYPE_STATION: u32 = 2;
pub(super) const NL80211_IFTYPE_AP: u32 = 3;
const NL80211_IFTYPE_P2P_CLIENT: u32 = 8;
const NL80211_IFTYPE_P2P_GO: u32 = 9;

/// What a radio says of its interface, as it says it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Seen {
    /// `enum nl80211_iftype`.
    pub(super) kind: Option<u32>,
    /// Name of the network, any bytes.
    pub(super) ssid: Vec<u8>,
    /// The stations that may take part in the network: the access point of a client, the clients of a hotspot; not those
    /// that have not proved that they may enter. `None` if the radio could not list them.
    pub(super) stations: Option<Vec<Station>>,
}

/// A station that a radio knows.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Station {
    /// Level of its signal.
    pub(super) signal: Option<i8>,
    /// The radio says that the link to it is a direct one between two clients (TDLS).
    pub(super) is_direct: bool,
}

impl Seen {
    /// Whether this is a client in a network without a name. Since Linux 5.19.2 (systemd's issue 24585) the kernel tells the
    /// name with the interface only if the driver connects by itself, as brcmfmac of the Pi does; with others, such as those of
    /// most USB adapters, it is only in the list of networks.
    pub(super) fn lacks_ssid(&self) -> bool {
        let is_client = matches!(self.kind, Some(NL80211_IFTYPE_STATION | NL80211_IFTYPE_P2P_CLIENT));
        is_client
            && self.ssid.is_empty()
            && self.stations.as_ref().is_none_or(|stations| !stations.is_empty())
    }

    /// The level of a client's access point. The station of a direct link is not that, unless there is no other: the Pi's
    /// driver takes any station for one of a direct link that its firmware answers `tdls_sta_info` for
    /// (`brcmf_cfg80211_get_station`), the access point as well. Of several of those none can be told to be it.
    fn level(&self) -> Option<i8> {
        let stations = self.stations.as_deref()?;
        match stations {
            [only] => only.signal,
            _ => stations
                .iter()
                .filter(|station| !station.is_direct)
                .filter_map(|station| station.signal)
                .next_back(),
        }
    }
}

/// What is known of a wireless interface.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Details {
    /// Name of the interface.
    pub(crate) interface: String,
    pub(super) mode: Option<WifiMode>,
    pub(super) ssid: Option<Text<SSID_MAX>>,
    pub(crate) signal: Option<Dbm>,
    pub(super) clients: Option<u16>,
}

impl Details {
    /// What the radio's words mean.
    pub(crate) fn new(interface: &str, seen: &Seen) -> Self {
        let mode = match seen.kind {
            Some(NL80211_IFTYPE_STATION | NL80211_IFTYPE_P2P_CLIENT) => Some(WifiMode::Client),
            Some(NL80211_IFTYPE_AP | NL80211_IFTYPE_P2P_GO) => Some(WifiMode::Hotspot),
            _ => None,
        };
        let is_client = mode == Some(WifiMode::Client);
        // At most 32 bytes of anything (IEEE 802.11-2020, 9.4.2.2); none while it is not connected.
        let ssid = Some(&seen.ssid).filter(|ssid| (1..=32).contains(&ssid.len()));
        // A hotspot has a signal per client, none of which stands for the interface.
        let level = seen.level().filter(|_| is_client);
        // Clients of a hotspot have no direct links that it would know of: what the Pi's driver says of them is the mistake
        // that `level` tells of.
        let clients = seen.stations.as_ref().filter(|_| mode == Some(WifiMode::Hotspot));
        Self {
            interface: interface.to_owned(),
            mode,
            ssid: ssid.map(|ssid| Text::from_bytes(ssid)),
            signal: level.map(|level| Dbm(level.into())).filter(|level| Dbm::RANGE.contains(level)),
            clients: clients.map(|clients| u16::try_from(clients.len()).unwrap_or(u16::MAX)),
        }
    }

    /// Whether the level of a client's access point is still to be found. Some drivers list no station although they are
    /// associated with one: rtl8723bs (mdlayher/wifi, issue 27), rtl8812au (abperiasamy/rtl8812AU_8821AU_linux, issue 69).
    pub(crate) fn lacks_level(&self) -> bool {
        self.mode == Some(WifiMode::Client) && self.signal.is_none()
    }

    /// Completes what the kernel's list of interfaces says.
    pub(crate) fn complete(&self, wifi: &mut Wifi) {
        wifi.mode = self.mode;
        wifi.ssid.clone_from(&self.ssid);
        wifi.signal_dbm = self.signal;
        wifi.signal_percent = self.signal.map(SignalPercent::from_dbm);
        wifi.clients = self.clients;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn levels_that_no_receiver_measures_are_none() {
        // 0 of drivers that do not know, 0 to 100 of those that count so (`CFG80211_SIGNAL_TYPE_UNSPEC`).
        for (level, expected) in [
            (-51, Some(Dbm(-51))),
            (0, None),
            (70, None),
            (-1, Some(Dbm(-1))),
            (-120, Some(Dbm(-120))),
            (-128, None),
        ] {
            let seen = client(&[(Some(level), false)]);
            assert_eq!(Details::new("wlan0", &seen).signal, expected, "{level}");
        }
    }

    /// A client with these stations: level, and whether the link is said to be direct.
    fn client(stations: &[(Option<i8>, bool)]) -> Seen {
        let stations =
            stations.iter().map(|(signal, is_direct)| Station { signal: *signal, is_direct: *is_direct });
        Seen { kind: Some(NL80211_IFTYPE_STATION), ssid: Vec::new(), stations: Some(stations.collect()) }
    }

    #[test]
    fn a_direct_link_is_the_access_point_only_without_another_station() {
        for (stations, expected) in [
            (&[(Some(-57), true)][..], Some(-57)),
            (&[(Some(-57), false), (Some(-30), true)], Some(-57)),
            (&[(Some(-30), true), (Some(-57), false)], Some(-57)),
            (&[(None, false), (Some(-30), true)], None),
            (&[(Some(-57), true), (Some(-30), true)], None),
            (&[], None),
        ] {
            let details = Details::new("wlan0", &client(stations));
            assert_eq!(details.signal, expected.map(Dbm), "{stations:?}");
        }
    }

    #[test]
    fn a_hotspot_counts_what_its_driver_takes_for_direct_links() {
        let mut seen = client(&[(Some(-40), true), (None, false)]);
        seen.kind = Some(NL80211_IFTYPE_AP);
        assert_eq!(Details::new("wlan0", &seen).clients, Some(2));
        seen.stations = None;
        let details = Details::new("wlan0", &seen);
        assert_eq!((details.mode, details.clients), (Some(WifiMode::Hotspot), None), "not known is not 0");
    }

    #[test]
    fn modes_of_wifi_direct_are_those_of_its_two_ends() {
        for (kind, expected) in [
            (2, Some(WifiMode::Client)),
            (3, Some(WifiMode::Hotspot)),
            (8, Some(WifiMode::Client)),
            (9, Some(WifiMode::Hotspot)),
            (1, None),
            (6, None),
            (7, None),
        ] {
            let seen = Seen { kind: Some(kind), stations: Some(Vec::new()), ..Seen::default() };
            let details = Details::new("wlan0", &seen);
            assert_eq!(details.mode, expected, "{kind}");
            assert_eq!(details.clients.is_some(), expected == Some(WifiMode::Hotspot));
        }
    }
}
