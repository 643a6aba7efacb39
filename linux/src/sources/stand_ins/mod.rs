//! Stand-ins for what is private in a captured tree: the same one for the same original, of the same shape.

mod text;

use std::{
    collections::BTreeMap,
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
    path::{Path, PathBuf},
};

use super::placeholder::is_placeholder;

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
}

/// A number that identifies no board: too short, or the same on many.
fn is_shared(number: &str) -> bool {
    number.len() < 8 || is_placeholder(number)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names() -> StandIns {
        StandIns::new(Path::new("/run/app/tmp"))
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
}
