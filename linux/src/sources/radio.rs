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
    /// Of each station that takes part in the network the level of its signal: the access point of a client, the clients of
    /// a hotspot. Neither a station to which a client has a direct link (TDLS) nor one that has not proved that it may
    /// enter.
    pub(super) signals: Vec<Option<i8>>,
}

impl Seen {
    /// Whether this is a client in a network without a name. Since Linux 6.0 the kernel tells the name with the interface only
    /// if the driver connects by itself, as brcmfmac of the Pi does; with others, such as those of most USB adapters, it is
    /// only in the list of networks.
    pub(super) fn lacks_ssid(&self) -> bool {
        let is_client = matches!(self.kind, Some(NL80211_IFTYPE_STATION | NL80211_IFTYPE_P2P_CLIENT));
        is_client && self.ssid.is_empty() && !self.signals.is_empty()
    }
}

/// What is known of a wireless interface.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Details {
    /// Name of the interface.
    pub(crate) interface: String,
    pub(super) mode: Option<WifiMode>,
    pub(super) ssid: Option<Text<SSID_MAX>>,
    pub(super) signal: Option<Dbm>,
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
        // A client has one station, its access point. A hotspot has a signal per client, none of which stands for the
        // interface.
        let level = seen.signals.iter().copied().flatten().next_back().filter(|_| is_client);
        Self {
            interface: interface.to_owned(),
            mode,
            ssid: ssid.map(|ssid| Text::from_bytes(ssid)),
            signal: level.map(|level| Dbm(level.into())).filter(|level| Dbm::RANGE.contains(level)),
            clients: (mode == Some(WifiMode::Hotspot))
                .then(|| u16::try_from(seen.signals.len()).unwrap_or(u16::MAX)),
        }
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
            let seen =
                Seen { kind: Some(NL80211_IFTYPE_STATION), ssid: Vec::new(), signals: vec![Some(level)] };
            assert_eq!(Details::new("wlan0", &seen).signal, expected, "{level}");
        }
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
            let seen = Seen { kind: Some(kind), ..Seen::default() };
            let details = Details::new("wlan0", &seen);
            assert_eq!(details.mode, expected, "{kind}");
            assert_eq!(details.clients.is_some(), expected == Some(WifiMode::Hotspot));
        }
    }
}
