//! What a radio says of an interface, in the words of `iw`: in a captured tree `iw/NAME/info` is what `iw dev NAME info`
//! printed, `iw/NAME/stations` what `iw dev NAME station dump` did.

use std::fmt::Write;

use super::{
    radio::{Seen, Station},
    stand_ins::StandIns,
};

/// `enum nl80211_iftype` of `linux/nl80211.h`, with the names of iw's `util.c`.
const TYPES: [(u32, &str); 12] = [
    (1, "IBSS"),
    (2, "managed"),
    (3, "AP"),
    (4, "AP/VLAN"),
    (5, "WDS"),
    (6, "monitor"),
    (7, "mesh point"),
    (8, "P2P-client"),
    (9, "P2P-GO"),
    (10, "P2P-device"),
    (11, "outside context of a BSS"),
    (12, "NAN"),
];

/// Reads both answers; `stations` is `None` if the radio could not list them.
pub(crate) fn parse(info: &[u8], stations: Option<&[u8]>) -> Seen {
    let value = |line: &str, key: &str| line.trim_start().strip_prefix(key).map(str::to_owned);
    let info = String::from_utf8_lossy(info);
    let name = info.lines().find_map(|line| value(line, "type "));
    let kind = TYPES.iter().find(|(_, known)| name.as_deref().map(str::trim) == Some(known));
    let ssid = info.lines().find_map(|line| value(line, "ssid "));
    Seen {
        kind: kind.map(|(kind, _)| *kind),
        ssid: ssid.map(|ssid| unescaped(&ssid)).unwrap_or_default(),
        stations: stations.map(parse_stations),
    }
}

fn parse_stations(dump: &[u8]) -> Vec<Station> {
    let value = |line: &str, key: &str| line.trim_start().strip_prefix(key).map(str::to_owned);
    let mut found = Vec::new();
    let stations = String::from_utf8_lossy(dump);
    let mut blocks = stations.split("Station ");
    // What stands before the first one.
    let _ = blocks.next();
    for station in blocks {
        let says = |key: &str| station.lines().find_map(|line| value(line, key));
        let is = |key: &str, word: &str| says(key).is_some_and(|said| said.trim() == word);
        // It has not entered.
        if is("authorized:", "no") {
            continue;
        }
        // `signal:  	-51 [-51, -53] dBm`, the chains in brackets.
        let signal = says("signal:").and_then(|signal| signal.split_ascii_whitespace().next()?.parse().ok());
        found.push(Station { signal, is_direct: is("TDLS peer:", "yes") });
    }
    found
}

/// What `iw dev NAME info` would print, as far as it is read.
pub(super) fn info(name: &str, seen: &Seen) -> String {
    let mut text = format!("Interface {name}\n");
    if !seen.ssid.is_empty() {
        text += &format!("\tssid {}\n", escaped(&seen.ssid));
    }
    if let Some((_, kind)) = TYPES.iter().find(|(kind, _)| Some(*kind) == seen.kind) {
        text += &format!("\ttype {kind}\n");
    }
    text
}

/// What `iw dev NAME station dump` would print, as far as it is read: neither addresses nor names.
pub(super) fn stations(name: &str, seen: &Seen) -> String {
    let mut text = String::new();
    for station in seen.stations.iter().flatten() {
        text += &format!("Station 02:00:5e:00:53:00 (on {name})\n");
        if let Some(level) = station.signal {
            text += &format!("\tsignal:  \t{level} dBm\n");
        }
        if station.is_direct {
            text += "\tTDLS peer:\tyes\n";
        }
    }
    text
}

/// Puts a stand-in in the place of the network's name.
pub(super) fn rewrite_info(text: &[u8], names: &mut StandIns) -> Vec<u8> {
    let text = String::from_utf8_lossy(text);
    let lines = text.lines().map(|line| match line.trim_start().strip_prefix("ssid ") {
        Some(ssid) => format!("\tssid {}\n", escaped(&names.ssid(&unescaped(ssid)))),
        None => String::from_utf8_lossy(&names.text(line.as_bytes())).into_owned() + "\n",
    });
    lines.collect::<String>().into_bytes()
}

/// As iw's `print_ssid_escaped`: everything that is not plain ASCII as `\xNN`, so too spaces at either end.
fn escaped(ssid: &[u8]) -> String {
    let last = ssid.len().saturating_sub(1);
    let mut text = String::new();
    for (place, byte) in ssid.iter().enumerate() {
        let is_inner_space = *byte == b' ' && place != 0 && place != last;
        if (byte.is_ascii_graphic() && *byte != b'\\') || is_inner_space {
            text.push(char::from(*byte));
        } else {
            // Writing to a string cannot fail.
            let _ = write!(text, "\\x{byte:02x}");
        }
    }
    text
}

fn unescaped(text: &str) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text;
    while let Some(character) = rest.chars().next() {
        let escape = rest.strip_prefix("\\x").and_then(|rest| rest.split_at_checked(2));
        let byte = escape.filter(|(digits, _)| !digits.starts_with('+'));
        match byte.and_then(|(digits, after)| Some((u8::from_str_radix(digits, 16).ok()?, after))) {
            Some((byte, after)) => {
                bytes.push(byte);
                rest = after;
            }
            None => {
                let len = character.len_utf8();
                bytes.extend_from_slice(rest.get(..len).unwrap_or_default().as_bytes());
                rest = rest.get(len..).unwrap_or_default();
            }
        }
    }
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn reads_what_iw_prints() {
        // iw 5.19, shortened; the chains' levels stand in brackets.
        let info_text = "Interface wlan0\n\tifindex 3\n\twdev 0x1\n\taddr 02:00:00:00:00:01\n\tssid Caf\\xc3\\xa9 2\n\
                         \ttype managed\n\twiphy 0\n\tchannel 36 (5180 MHz), width: 80 MHz, center1: 5210 MHz\n\
                         \ttxpower 31.00 dBm\n";
        let dump = "Station 02:00:00:00:00:02 (on wlan0)\n\tinactive time:\t10 ms\n\tsignal:  \t-51 [-51, -53] dBm\n\
                    \tsignal avg:\t-50 dBm\n\ttx bitrate:\t433.3 MBit/s\n\
                    Station 02:00:00:00:00:03 (on wlan0)\n\tinactive time:\t10 ms\n";
        let seen = parse(info_text.as_bytes(), Some(dump.as_bytes()));
        let stations = [Some(-51), None].map(|signal| Station { signal, is_direct: false });
        let expected =
            Seen { kind: Some(2), ssid: "Café 2".as_bytes().to_vec(), stations: Some(stations.to_vec()) };
        assert_eq!(seen, expected);
        assert_eq!(parse(b"command failed: No such device (-19)", None), Seen::default());
    }

    #[test]
    fn a_station_that_has_not_entered_does_not_count_and_a_direct_link_is_marked() {
        // iw 6.7, shortened.
        let dump = "Station 02:00:00:00:00:02 (on wlan0)\n\tsignal:  \t-51 dBm\n\tauthorized:\tyes\n\
                    \tTDLS peer:\tno\nStation 02:00:00:00:00:03 (on wlan0)\n\tsignal:  \t-30 dBm\n\
                    \tauthorized:\tyes\n\tTDLS peer:\tyes\nStation 02:00:00:00:00:04 (on wlan0)\n\
                    \tsignal:  \t-31 dBm\n\tauthorized:\tno\n";
        let expected =
            [Station { signal: Some(-51), is_direct: false }, Station { signal: Some(-30), is_direct: true }];
        assert_eq!(parse_stations(dump.as_bytes()), expected);
    }

    #[test]
    fn escapes_as_iw_does() {
        assert_eq!(escaped(b" a b "), "\\x20a b\\x20");
        assert_eq!(escaped(b"\\\x1b~\xff"), "\\x5c\\x1b~\\xff");
    }

    #[test]
    fn the_stand_in_of_a_name_keeps_what_is_no_letter() {
        let seen = Seen { kind: Some(2), ssid: b"My\x1b[2J \\home\xff".to_vec(), stations: None };
        let mut names = StandIns::new(std::path::Path::new("/tmp"));
        let rewritten = rewrite_info(info("wlan0", &seen).as_bytes(), &mut names);
        let expected = b"xx\x1bxxx \\xxxx\xff".to_vec();
        assert_eq!(parse(&rewritten, None), Seen { ssid: expected, ..seen });
    }

    proptest! {
        #[test]
        fn any_bytes_are_survived(info: Vec<u8>, stations: Vec<u8>) {
            let _ = parse(&info, Some(&stations));
            let _ = rewrite_info(&info, &mut StandIns::new(std::path::Path::new("/tmp")));
        }

        #[test]
        fn reads_what_it_writes(
            kind in proptest::option::of(1u32..=12), ssid: Vec<u8>, known: Vec<(Option<i8>, bool)>
        ) {
            let known = known.into_iter().map(|(signal, is_direct)| Station { signal, is_direct });
            let seen = Seen { kind, ssid, stations: Some(known.collect()) };
            let read = parse(info("wlan0", &seen).as_bytes(), Some(stations("wlan0", &seen).as_bytes()));
            prop_assert_eq!(read, seen);
        }
    }
}
