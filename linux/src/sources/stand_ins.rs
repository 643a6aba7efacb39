//! Stand-ins for what is private in a captured tree: the same one for the same original, of the same shape.

use std::{
    collections::BTreeMap,
    fmt::Write,
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
    path::{Path, PathBuf},
};

/// Where the streaming application believes its temporary files to be.
const TMP: &str = "/tmp";

/// What is replaced.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Private {
    Serial,
    MachineId,
    Mac,
    Ip,
    Ssid,
    Position,
    Recording,
    Account,
}

impl Private {
    /// Its name for people, in the plural.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Serial => "serial numbers",
            Self::MachineId => "machine ids",
            Self::Mac => "MAC addresses",
            Self::Ip => "IP addresses",
            Self::Ssid => "network names",
            Self::Position => "positions",
            Self::Recording => "paths of recordings",
            Self::Account => "names of an account",
        }
    }
}

/// The stand-ins that were given so far.
#[derive(Debug)]
pub(crate) struct StandIns {
    /// Where the streaming application's `/tmp` is.
    app_tmp: PathBuf,
    given: BTreeMap<(Private, String), String>,
}

impl StandIns {
    pub(crate) fn new(app_tmp: &Path) -> Self {
        Self { app_tmp: app_tmp.to_owned(), given: BTreeMap::new() }
    }

    /// How many originals of each kind were replaced.
    pub(crate) fn counts(&self) -> BTreeMap<Private, usize> {
        let mut counts = BTreeMap::new();
        for (kind, _) in self.given.keys() {
            *counts.entry(*kind).or_insert(0_usize) += 1;
        }
        counts
    }

    fn give(&mut self, kind: Private, original: &str, make: impl FnOnce(usize) -> String) -> String {
        let key = (kind, original.to_owned());
        if let Some(known) = self.given.get(&key) {
            return known.clone();
        }
        let number = self.given.keys().filter(|(known, _)| *known == kind).count() + 1;
        let stand_in = make(number);
        self.given.insert(key, stand_in.clone());
        stand_in
    }

    /// A serial number of the same length. One that many boards share identifies none and stays: it may be the fault.
    pub(crate) fn serial(&mut self, original: &str) -> String {
        if is_shared(original) {
            return original.to_owned();
        }
        self.give(Private::Serial, original, |number| {
            let digits = format!("1{number:0width$x}", width = original.len().saturating_sub(1));
            digits.chars().take(original.len()).collect()
        })
    }

    fn machine_id(&mut self, original: &str) -> String {
        self.give(Private::MachineId, original, |number| format!("c0ffee{number:026x}"))
    }

    /// Of the block for documentation (RFC 9542, 2.1.2), with the bit of local administration as it was.
    fn mac(&mut self, original: &str) -> String {
        let is_local = u8::from_str_radix(original.get(..2).unwrap_or_default(), 16)
            .is_ok_and(|first| first & 0x02 != 0);
        self.give(Private::Mac, &original.to_ascii_lowercase(), |number| {
            let first = if is_local { "02" } else { "00" };
            format!("{first}:00:5e:00:53:{:02x}", number & 0xff)
        })
    }

    /// An address for documentation (RFC 5737, RFC 3849). What says something by itself keeps it: whether it is
    /// link-local, or unique to a site.
    pub(crate) fn ip(&mut self, original: IpAddr) -> IpAddr {
        let tells_nothing = match original {
            IpAddr::V4(v4) => {
                v4.is_loopback() || v4.is_unspecified() || v4.is_broadcast() || v4.is_multicast()
            }
            IpAddr::V6(v6) => v6.is_loopback() || v6.is_unspecified() || v6.is_multicast(),
        };
        if tells_nothing {
            return original;
        }
        let stand_in = self.give(Private::Ip, &original.to_string(), |number| {
            // More than there are addresses on a board; later ones share. Not from 1 on, because routers in examples have
            // these numbers.
            let number = u16::try_from(number.saturating_add(100)).unwrap_or(u16::MAX);
            let [high, low] = number.to_be_bytes();
            match original {
                IpAddr::V4(v4) if v4.is_link_local() => Ipv4Addr::new(169, 254, high, low).to_string(),
                IpAddr::V4(_) => {
                    let [a, b, c] = *[[192, 0, 2], [198, 51, 100], [203, 0, 113]]
                        .get(usize::from(high))
                        .unwrap_or(&[203, 0, 113]);
                    Ipv4Addr::new(a, b, c, low).to_string()
                }
                IpAddr::V6(v6) => {
                    let first = match v6 {
                        _ if v6.is_unicast_link_local() => 0xfe80,
                        _ if v6.is_unique_local() => 0xfd00,
                        _ => 0x2001,
                    };
                    let second = if first == 0xfe80 { 0 } else { 0xdb8 };
                    Ipv6Addr::new(first, second, 0, 0, 0, 0, 0, number).to_string()
                }
            }
        });
        stand_in.parse().unwrap_or(original)
    }

    /// A network's name with the same bytes where they are no letters: what breaks a parser stays.
    pub(crate) fn ssid(&mut self, original: &[u8]) -> Vec<u8> {
        let mut stand_in = Vec::new();
        for chunk in original.utf8_chunks() {
            for character in chunk.valid().chars() {
                let mut buffer = [0; 4];
                if character.is_control() || matches!(character, ' ' | '"' | '\\') {
                    stand_in.extend_from_slice(character.encode_utf8(&mut buffer).as_bytes());
                } else {
                    stand_in.resize(stand_in.len() + character.len_utf8(), b'x');
                }
            }
            stand_in.extend_from_slice(chunk.invalid());
        }
        self.give(Private::Ssid, &String::from_utf8_lossy(original), |_| {
            String::from_utf8_lossy(&stand_in).into_owned()
        });
        stand_in
    }

    /// Latitude, longitude and height of one place for all: those of the observatory in Greenwich. What is no place on
    /// Earth stays.
    pub(crate) fn position(
        &mut self,
        latitude: &mut Option<f64>,
        longitude: &mut Option<f64>,
        heights: [&mut Option<f64>; 2],
    ) {
        if let (Some(north), Some(east)) = (*latitude, *longitude)
            && (north.abs() > 90.0 || east.abs() > 180.0)
        {
            return;
        }
        let mut replace = |value: &mut Option<f64>, stand_in: f64| {
            if let Some(original) = value {
                self.give(Private::Position, &original.to_string(), |_| stand_in.to_string());
                *value = Some(stand_in);
            }
        };
        replace(latitude, 51.477_8);
        replace(longitude, -0.001_4);
        heights.into_iter().for_each(|height| replace(height, 46.0));
    }

    /// The path of a recording, below the same `/tmp` if it was there.
    pub(crate) fn recording(&mut self, original: &Path) -> PathBuf {
        let below_app = original.strip_prefix(&self.app_tmp).ok();
        // Both names of one file are the same recording.
        let named = below_app.map_or_else(|| original.to_owned(), |below| Path::new(TMP).join(below));
        let extension = named.extension().and_then(|extension| extension.to_str()).unwrap_or_default();
        let is_plain = extension.len() <= 4 && extension.bytes().all(|byte| byte.is_ascii_alphanumeric());
        let suffix = if extension.is_empty() || !is_plain { String::new() } else { format!(".{extension}") };
        let name = self.give(Private::Recording, &named.to_string_lossy(), |number| {
            format!("recording-{number}{suffix}")
        });
        match (below_app, original.is_absolute()) {
            (Some(_), _) => self.app_tmp.join(name),
            (None, true) if original.starts_with(TMP) => Path::new(TMP).join(name),
            (None, true) => Path::new("/recordings").join(name),
            (None, false) => name.into(),
        }
    }

    /// A file's content with everything replaced that its path or its text marks as private.
    pub(crate) fn content(&mut self, path: &Path, content: &[u8]) -> Vec<u8> {
        let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
        if name == "machine-id" {
            return self.words(content, |names, word| match word.len() {
                32 if !is_shared(word) => names.machine_id(word),
                _ => word.to_owned(),
            });
        }
        if name.contains("serial") {
            return self.words(content, Self::serial);
        }
        if path.extension().is_some_and(|extension| extension == "pid") {
            return self.pidfile(name, content);
        }
        self.text(content)
    }

    /// `PID`, `PID:PATH` of a recording, or `PID:USER:DOMAIN:TRACK`.
    fn pidfile(&mut self, name: &str, content: &[u8]) -> Vec<u8> {
        let Some(colon) = content.iter().position(|byte| *byte == b':') else { return content.to_vec() };
        let (pid, details) = content.split_at(colon + 1);
        let details = String::from_utf8_lossy(details);
        let line_end = if details.ends_with('\n') { "\n" } else { "" };
        let details = details.trim_end_matches('\n');
        let stand_in = if name.contains("record") {
            self.recording(Path::new(details)).display().to_string()
        } else {
            let parts = details
                .split(':')
                .map(|part| self.give(Private::Account, part, |number| format!("account-{number}")));
            parts.collect::<Vec<_>>().join(":")
        };
        [pid, stand_in.as_bytes(), line_end.as_bytes()].concat()
    }

    /// Text with every address in it replaced, and what stands behind `Serial:` or `...SERIAL...=`.
    pub(crate) fn text(&mut self, text: &[u8]) -> Vec<u8> {
        let mut replaced = Vec::with_capacity(text.len());
        for line in text.split_inclusive(|byte| *byte == b'\n') {
            let value = str::from_utf8(line).ok().and_then(|line| {
                let (key, value) = line.split_once([':', '='])?;
                let key = key.trim().to_ascii_lowercase();
                let is_serial = key == "serial" || key.contains("serial_") || key.ends_with("_serial");
                is_serial.then_some(value)
            });
            match value {
                Some(value) => {
                    replaced.extend_from_slice(line.get(..line.len() - value.len()).unwrap_or_default());
                    replaced.extend_from_slice(&self.words(value.as_bytes(), Self::serial));
                }
                None => replaced.extend_from_slice(&self.words(line, Self::address)),
            }
        }
        replaced
    }

    /// Replaces words: what stands between anything but letters, digits, colons and points.
    fn words(&mut self, text: &[u8], replace: impl Fn(&mut Self, &str) -> String) -> Vec<u8> {
        let is_word = |byte: &u8| byte.is_ascii_alphanumeric() || matches!(byte, b':' | b'.');
        let mut replaced = Vec::with_capacity(text.len());
        for part in text.chunk_by(|a, b| is_word(a) == is_word(b)) {
            match str::from_utf8(part) {
                Ok(word) if part.first().is_some_and(is_word) => {
                    replaced.extend_from_slice(replace(self, word).as_bytes());
                }
                _ => replaced.extend_from_slice(part),
            }
        }
        replaced
    }

    /// A word that may be an address, or an interface's name that holds one.
    fn address(&mut self, word: &str) -> String {
        // "::" is an address, "wlan0:" a word with a colon behind it.
        let core = if word.ends_with("::") { word } else { word.trim_end_matches([':', '.']) };
        let tail = word.get(core.len()..).unwrap_or_default();
        if let Ok(ip) = core.parse() {
            return format!("{}{tail}", self.ip(ip));
        }
        if let Some((host, port)) = core.split_once(':')
            && let Ok(ip) = host.parse::<Ipv4Addr>()
        {
            return format!("{}:{port}{tail}", self.ip(ip.into()));
        }
        if is_mac(core) {
            return format!("{}{tail}", self.mac(core));
        }
        match core.split_at_checked(3) {
            // As systemd names an interface by its address: enxb827eb000005.
            Some((prefix @ ("enx" | "wlx" | "wwx"), digits)) => match with_colons(digits) {
                Some(mac) => format!("{prefix}{}{tail}", self.mac(&mac).replace(':', "")),
                None => word.to_owned(),
            },
            _ => word.to_owned(),
        }
    }

    /// A path whose parts may hold an address.
    pub(crate) fn path(&mut self, path: &Path) -> PathBuf {
        match path.to_str() {
            Some(path) => String::from_utf8_lossy(&self.text(path.as_bytes())).into_owned().into(),
            None => path.to_owned(),
        }
    }
}

/// Six bytes, two digits each, that are not all zero or all one.
fn is_mac(word: &str) -> bool {
    let bytes: Option<Vec<u8>> = word
        .split(':')
        .map(|byte| {
            let digits = byte.len() == 2 && byte.bytes().all(|digit| digit.is_ascii_hexdigit());
            u8::from_str_radix(byte, 16).ok().filter(|_| digits)
        })
        .collect();
    bytes.is_some_and(|bytes| bytes.len() == 6 && bytes.iter().any(|byte| !matches!(byte, 0 | 0xff)))
}

/// `b827eb000005` as `b8:27:eb:00:00:05`.
fn with_colons(digits: &str) -> Option<String> {
    let is_whole = digits.len() == 12 && digits.bytes().all(|digit| digit.is_ascii_hexdigit());
    let pairs = digits.as_bytes().chunks(2).filter_map(|pair| str::from_utf8(pair).ok());
    is_whole.then(|| {
        pairs.fold(String::new(), |mut mac, pair| {
            let colon = if mac.is_empty() { "" } else { ":" };
            // Writing to a string cannot fail.
            let _ = write!(mac, "{colon}{pair}");
            mac
        })
    })
}

/// A number that identifies no board: too short, the same digit throughout, or digits in their order.
fn is_shared(number: &str) -> bool {
    let mut digits = number.bytes().map(|byte| byte.to_ascii_lowercase());
    let first = digits.next();
    number.len() < 8
        || digits.all(|digit| Some(digit) == first)
        || "0123456789abcdef0123456789abcdef".contains(&number.to_ascii_lowercase())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn names() -> StandIns {
        StandIns::new(Path::new("/run/app/tmp"))
    }

    fn text(names: &mut StandIns, text: &str) -> String {
        String::from_utf8(names.text(text.as_bytes())).expect("text")
    }

    #[test]
    fn an_address_keeps_what_it_says_by_itself() {
        let mut names = names();
        let mut of = |ip: &str| names.ip(ip.parse().expect("an address")).to_string();
        for kept in ["127.0.0.1", "0.0.0.0", "255.255.255.255", "224.0.0.251", "::", "::1", "ff02::1"] {
            assert_eq!(of(kept), kept);
        }
        assert_eq!(of("10.0.0.7"), "192.0.2.101");
        assert_eq!(of("169.254.7.7"), "169.254.0.102");
        assert_eq!(of("fe80::a:b"), "fe80::67");
        assert_eq!(of("fd12:3456::1"), "fd00:db8::68");
        assert_eq!(of("2a02:8109::1"), "2001:db8::69");
        assert_eq!(of("10.0.0.7"), "192.0.2.101", "the same for the same");
        for number in 6..=160 {
            let ip = of(&format!("10.0.1.{number}"));
            assert!(ip.starts_with("192.0.2.") || ip.starts_with("198.51.100."), "{ip}");
        }
        assert_eq!(of("10.0.0.8"), "198.51.100.5", "the next block when one is full");
    }

    #[test]
    fn a_number_that_many_boards_share_stays() {
        let mut names = names();
        for shared in ["0000000000000000", "ffffffff", "0123456789abcdef", "0123456789ABCDEF", "1234567"] {
            assert_eq!(names.serial(shared), shared);
        }
        assert_eq!(names.serial("10000000a1b2c3d4"), "1000000000000001");
        assert_eq!(names.serial("ABCDEFGH1"), "100000002");
        assert_eq!(names.serial("10000000a1b2c3d4"), "1000000000000001");
        let machine = Path::new("/etc/machine-id");
        let zeros = [b'0'; 32];
        assert_eq!(names.content(machine, &zeros), zeros);
        assert_eq!(names.content(machine, b"uninitialized\n"), b"uninitialized\n");
        assert_eq!(names.counts(), BTreeMap::from([(Private::Serial, 2)]));
    }

    #[test]
    fn addresses_are_found_wherever_they_stand() {
        let mut names = names();
        assert_eq!(
            text(&mut names, "wlan0: DC:A6:32:00:00:01, dc:a6:32:00:00:01."),
            "wlan0: 00:00:5e:00:53:01, 00:00:5e:00:53:01."
        );
        assert_eq!(text(&mut names, "02:a6:32:00:00:01"), "02:00:5e:00:53:02", "locally administered");
        assert_eq!(
            text(&mut names, "00:00:00:00:00:00 ff:ff:ff:ff:ff:ff"),
            "00:00:00:00:00:00 ff:ff:ff:ff:ff:ff"
        );
        assert_eq!(
            text(&mut names, "http://10.0.0.1:80/ 10.0.0.0/24"),
            "http://192.0.2.101:80/ 192.0.2.102/24"
        );
        assert_eq!(
            text(&mut names, "via 2a02::1: up; ::/0; 12:30:45"),
            "via 2001:db8::67: up; ::/0; 12:30:45"
        );
        assert_eq!(
            text(&mut names, "enxdca632000001 wlxdca632000001 abcdca632000001"),
            "enx00005e005301 wlx00005e005301 abcdca632000001"
        );
        assert_eq!(text(&mut names, "enxdca63200000 6.12.34+rpt 1.2.3"), "enxdca63200000 6.12.34+rpt 1.2.3");
        assert_eq!(
            text(&mut names, "POWER_SUPPLY_SERIAL_NUMBER=AB12CD34\nserial_id=12\nNAME=x"),
            "POWER_SUPPLY_SERIAL_NUMBER=10000001\nserial_id=12\nNAME=x"
        );
        assert_eq!(names.path(Path::new("/sys/enxdca632000001/x")), Path::new("/sys/enx00005e005301/x"));
    }

    #[test]
    fn both_names_of_a_recording_are_one() {
        let mut names = names();
        let mut of = |path: &str| names.recording(Path::new(path)).display().to_string();
        assert_eq!(of("/tmp/holiday/a.mp4"), "/tmp/recording-1.mp4");
        assert_eq!(of("/run/app/tmp/holiday/a.mp4"), "/run/app/tmp/recording-1.mp4");
        assert_eq!(of("/home/pi/b.a-very-long-one"), "/recordings/recording-2");
        assert_eq!(of("c.ts"), "recording-3.ts");
        assert_eq!(of("/srv/no-extension"), "/recordings/recording-4");
        assert_eq!(of("/srv/d.m-4"), "/recordings/recording-5", "only letters and digits are taken over");
    }

    #[test]
    fn a_position_that_is_none_stays() {
        let mut names = names();
        let mut of = |north, east| {
            let (mut latitude, mut longitude, mut height) = (Some(north), Some(east), Some(7.0));
            names.position(&mut latitude, &mut longitude, [&mut height, &mut None]);
            (latitude, longitude, height)
        };
        assert_eq!(of(91.0, 0.0), (Some(91.0), Some(0.0), Some(7.0)));
        assert_eq!(of(0.0, -181.0), (Some(0.0), Some(-181.0), Some(7.0)));
        assert_eq!(of(-90.0, 180.0), (Some(51.477_8), Some(-0.001_4), Some(46.0)));
        let mut without = (None, None, None);
        names.position(&mut without.0, &mut without.1, [&mut without.2, &mut None]);
        assert_eq!(without, (None, None, None), "nothing is made up");
    }

    #[test]
    fn every_kind_has_a_name() {
        let kinds = [
            Private::Serial,
            Private::MachineId,
            Private::Mac,
            Private::Ip,
            Private::Ssid,
            Private::Position,
            Private::Recording,
            Private::Account,
        ];
        let mut said = kinds.map(Private::name).to_vec();
        said.sort_unstable();
        said.dedup();
        assert_eq!(said.len(), kinds.len());
    }

    proptest! {
        #[test]
        fn no_address_survives_in_any_text(before in "[a-z0-9 :.=\n-]{0,12}[ =\n]|", v4: [u8; 4], v6: [u16; 8], mac: [u8; 6], after in "|[ ,/\n%].{0,12}") {
            let v4 = Ipv4Addr::from([v4[0] | 0x01, v4[1], v4[2], v4[3]]);
            let v6 = Ipv6Addr::from(v6);
            let mac = mac.map(|byte| format!("{byte:02x}")).join(":");
            prop_assume!(!v4.is_loopback() && !v4.is_broadcast() && !v4.is_multicast() && is_mac(&mac));
            prop_assume!(!v6.is_multicast() && !v6.is_unspecified() && !v6.is_loopback());
            for secret in [v4.to_string(), v6.to_string(), mac] {
                let mut names = names();
                let replaced = text(&mut names, &format!("{before}{secret}{after}"));
                prop_assert!(!replaced.contains(&secret), "{secret}: {replaced}");
            }
        }

        #[test]
        fn any_bytes_are_survived(bytes: Vec<u8>) {
            let mut names = names();
            for path in ["/etc/machine-id", "/sys/serial_number", "/tmp/record.pid", "/tmp/x.pid", "/proc/cpuinfo"] {
                let _ = names.content(Path::new(path), &bytes);
            }
        }
    }
}
