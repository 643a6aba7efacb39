//! What `iw` prints.

/// A wireless interface that is in use.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Interface {
    /// Its name.
    pub name: String,
    /// `managed`, `AP` and others.
    pub kind: String,
    /// The network that it is in, or that it offers.
    pub ssid: Option<String>,
}

/// The interfaces of `iw dev`.
pub fn interfaces(text: &str) -> Vec<Interface> {
    let mut interfaces: Vec<Interface> = Vec::new();
    let mut is_of_interface = false;
    for line in text.lines().map(str::trim_start) {
        if let Some(name) = line.strip_prefix("Interface ") {
            interfaces.push(Interface { name: name.to_owned(), kind: String::new(), ssid: None });
            is_of_interface = true;
        } else if line.starts_with("phy#") || line.starts_with("Unnamed") {
            // The next radio, or what Wi-Fi Direct has without an interface: its lines look the same.
            is_of_interface = false;
        } else if let Some(last) = interfaces.last_mut().filter(|_| is_of_interface) {
            if let Some(kind) = line.strip_prefix("type ") {
                kind.clone_into(&mut last.kind);
            } else if let Some(ssid) = line.strip_prefix("ssid ") {
                last.ssid = Some(unescaped(ssid));
            }
        }
    }
    interfaces
}

/// The network of `iw dev NAME link`; `None` while there is none.
pub fn linked_ssid(text: &str) -> Option<String> {
    text.lines().find_map(|line| line.trim_start().strip_prefix("SSID: ")).map(unescaped)
}

/// The signal of `iw dev NAME link`, in dBm.
pub fn signal_dbm(text: &str) -> Option<f64> {
    let row = text.lines().find_map(|line| line.trim_start().strip_prefix("signal:"))?;
    row.split_whitespace().next()?.parse().ok()
}

/// The percentage that NetworkManager shows for a level (`nl80211_xbm_to_percent` in its `nm-wifi-utils-nl80211.c`): 100 from
/// -20 dBm, 30 to -90 dBm, on a straight line between them.
pub fn percent_of(dbm: f64) -> f64 {
    120.0 + dbm.clamp(-90.0, -20.0)
}

/// How many stations `iw dev NAME station dump` lists.
pub fn stations(text: &str) -> usize {
    text.lines().filter(|line| line.starts_with("Station ")).count()
}

/// A network's name: `iw` writes what is not printable ASCII as `\xNN`.
fn unescaped(ssid: &str) -> String {
    let mut bytes = Vec::new();
    let mut rest = ssid;
    while let Some(character) = rest.chars().next() {
        let code = rest.strip_prefix("\\x").and_then(|code| code.get(..2));
        if let Some(byte) = code.and_then(|code| u8::from_str_radix(code, 16).ok()) {
            bytes.push(byte);
            rest = rest.get(4..).unwrap_or_default();
        } else {
            bytes.extend(character.to_string().bytes());
            rest = rest.get(character.len_utf8()..).unwrap_or_default();
        }
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_a_client_and_a_hotspot() {
        let interface = |kind: &str, ssid: Option<&str>| Interface {
            name: "wlan0".to_owned(),
            kind: kind.to_owned(),
            ssid: ssid.map(str::to_owned),
        };
        let client = interfaces(include_str!("../../tests/captures/iw-dev.txt"));
        assert_eq!(client, [interface("managed", None)], "an interface without a name is none");
        let hotspot = interfaces(include_str!("../../tests/captures/iw-dev-hotspot.txt"));
        assert_eq!(hotspot, [interface("AP", Some("Hotspot"))]);
    }

    #[test]
    fn what_has_no_interface_is_no_part_of_the_interface_before() {
        let found = interfaces(include_str!("../../tests/captures/iw-dev-two-radios.txt"));
        let kinds: Vec<_> =
            found.iter().map(|interface| (interface.name.as_str(), interface.kind.as_str())).collect();
        assert_eq!(kinds, [("wlan1", "managed"), ("wlan0", "managed")]);
    }

    #[test]
    fn percentages_are_those_of_networkmanager() {
        assert_eq!([0.0, -20.0, -51.0, -90.0, -120.0].map(percent_of), [100.0, 100.0, 69.0, 30.0, 30.0]);
    }

    #[test]
    fn reads_network_and_signal_of_a_link() {
        let link = include_str!("../../tests/captures/iw-link.txt");
        assert_eq!(linked_ssid(link).as_deref(), Some("Fleet here"));
        assert_eq!(signal_dbm(link), Some(-30.0));
        assert_eq!(linked_ssid("Not connected.\n"), None);
        assert_eq!(signal_dbm("Not connected.\n"), None);
    }

    #[test]
    fn counts_stations() {
        assert_eq!(stations(include_str!("../../tests/captures/iw-station-dump.txt")), 1);
        assert_eq!(stations(""), 0);
    }

    #[test]
    fn names_of_networks_are_unescaped() {
        assert_eq!(unescaped("caf\\xc3\\xa9 \\x20x"), "café  x");
        assert_eq!(unescaped("a\\b\\x5"), "a\\b\\x5");
    }
}
