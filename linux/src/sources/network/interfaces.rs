//! Network interfaces and their kinds, from `/sys/class/net`.

use heartbeat_core::{SensorError, time::Duration};

use crate::{
    clock,
    sources::{kept::Kept, sysroot::Sysroot},
};

const CLASS: &str = "/sys/class/net";

/// `ARPHRD_ETHER`, `ARPHRD_PPP` and `ARPHRD_RAWIP` of `linux/if_arp.h`.
const ARPHRD_ETHER: i64 = 1;
const ARPHRD_PPP: i64 = 512;
const ARPHRD_RAWIP: i64 = 519;

/// How long the kinds are kept: long enough to cost nothing, short enough for a modem that was swapped for another
/// device of the same name. What could not be read is looked up again at once.
const KEEP: Duration = Duration::from_secs(60);

/// What carries an interface's packets.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Ethernet,
    Wifi,
    Cellular,
}

/// One interface that can connect the device.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Interface {
    pub(crate) name: String,
    pub(crate) kind: Kind,
    /// It has hardware of its own: no bridge, tunnel or VLAN.
    pub(crate) physical: bool,
}

/// The interfaces, whose kinds are looked up rarely: they do not change while an interface lives, and looking takes
/// five files each.
#[derive(Debug, Default)]
pub(crate) struct Interfaces {
    /// With the names of all interfaces as they were then.
    known: Kept<(Vec<String>, Vec<Interface>)>,
}

impl Interfaces {
    /// All interfaces of a known kind, sorted by name.
    ///
    /// # Errors
    ///
    /// When the kernel's list cannot be read.
    pub(crate) fn list(&mut self, root: &Sysroot) -> Result<&[Interface], SensorError> {
        let names = root.list(CLASS)?;
        let now = clock::now();
        if self.known.get(now).is_none_or(|(known, _)| *known != names) {
            let mut sysfs = Attributes { root, complete: true };
            let all = names.iter().filter_map(|name| Interface::look_up(&mut sysfs, name)).collect();
            let time = if sysfs.complete { KEEP } else { Duration::ZERO };
            return Ok(&self.known.keep((names, all), now, time).1);
        }
        Ok(self.known.get(now).map(|(_, all)| all.as_slice()).unwrap_or_default())
    }
}

/// What the kernel says about interfaces, as far as it can be read.
struct Attributes<'r> {
    root: &'r Sysroot,
    /// Nothing that is there failed to be read.
    complete: bool,
}

impl Attributes<'_> {
    fn has(&mut self, name: &str, entry: &str) -> bool {
        let found = self.root.locate(format!("{CLASS}/{name}/{entry}"));
        self.note(found).is_some()
    }

    fn text<'b>(&mut self, name: &str, entry: &str, buffer: &'b mut [u8]) -> Option<&'b str> {
        let read = self.root.read_text(format!("{CLASS}/{name}/{entry}"), buffer);
        self.note(read)
    }

    fn note<T>(&mut self, answer: Result<T, SensorError>) -> Option<T> {
        self.complete &= !matches!(answer, Err(SensorError::Io));
        answer.ok()
    }
}

impl Interface {
    fn look_up(sysfs: &mut Attributes<'_>, name: &str) -> Option<Self> {
        let kind = kind(sysfs, name)?;
        let physical = sysfs.has(name, "device");
        Some(Self { name: name.to_owned(), kind, physical })
    }

    /// Whether packets can pass, now.
    pub(crate) fn is_up(&self, root: &Sysroot) -> bool {
        let name = &self.name;
        let mut buffer = [0; 32];
        match root.read_text(format!("{CLASS}/{name}/operstate"), &mut buffer) {
            Ok("up") => true,
            // PPP and some modems never say more than this; the carrier does.
            Ok("unknown") => root.read_integer(format!("{CLASS}/{name}/carrier")) == Ok(1),
            _ => false,
        }
    }
}

/// What the kernel says the device is; its name only as a last resort, for modems that pose as Ethernet.
fn kind(sysfs: &mut Attributes<'_>, name: &str) -> Option<Kind> {
    if sysfs.has(name, "phy80211") || sysfs.has(name, "wireless") {
        return Some(Kind::Wifi);
    }
    let mut buffer = [0; 512];
    let uevent = sysfs.text(name, "uevent", &mut buffer).unwrap_or("");
    match uevent.lines().find_map(|line| line.strip_prefix("DEVTYPE=")) {
        Some("wwan") => return Some(Kind::Cellular),
        Some("wlan") => return Some(Kind::Wifi),
        _ => {}
    }
    let mut buffer = [0; 16];
    match sysfs.text(name, "type", &mut buffer)?.parse().ok()? {
        ARPHRD_PPP | ARPHRD_RAWIP => Some(Kind::Cellular),
        ARPHRD_ETHER if name.starts_with("wwan") => Some(Kind::Cellular),
        ARPHRD_ETHER => Some(Kind::Ethernet),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    #[test]
    fn takes_kinds_from_the_kernel() {
        let dir = tempfile::tempdir().expect("a directory");
        let make = |name: &str, files: &[(&str, &str)]| {
            let base = dir.path().join("sys/class/net").join(name);
            for (file, content) in files {
                let path = base.join(file);
                fs::create_dir_all(path.parent().expect("a parent")).expect("created");
                fs::write(path, content).expect("written");
            }
        };
        make("lo", &[("type", "772"), ("operstate", "unknown")]);
        make("end0", &[("type", "1"), ("operstate", "up"), ("device/uevent", "")]);
        make(
            "wlan0",
            &[("type", "1"), ("operstate", "dormant"), ("phy80211/name", "phy0"), ("device/uevent", "")],
        );
        make(
            "wwan0",
            &[("type", "1"), ("operstate", "unknown"), ("carrier", "1"), ("uevent", "DEVTYPE=wwan\n")],
        );
        make("ppp0", &[("type", "512"), ("operstate", "unknown"), ("carrier", "0")]);
        make("rmnet0", &[("type", "519"), ("operstate", "up")]);
        make("docker0", &[("type", "1"), ("operstate", "down"), ("uevent", "DEVTYPE=bridge\n")]);
        make("broken", &[("type", "\u{0}x")]);
        let root = Sysroot::new(dir.path()).expect("opened");
        let mut interfaces = Interfaces::default();
        let found: Vec<_> = interfaces
            .list(&root)
            .expect("listed")
            .iter()
            .map(|interface| {
                (interface.name.clone(), interface.kind, interface.physical, interface.is_up(&root))
            })
            .collect();
        let expected = [
            ("docker0", Kind::Ethernet, false, false),
            ("end0", Kind::Ethernet, true, true),
            ("ppp0", Kind::Cellular, false, false),
            ("rmnet0", Kind::Cellular, false, true),
            ("wlan0", Kind::Wifi, true, false),
            ("wwan0", Kind::Cellular, false, true),
        ];
        assert_eq!(found, expected.map(|(name, kind, physical, up)| (name.to_owned(), kind, physical, up)));
    }
}
