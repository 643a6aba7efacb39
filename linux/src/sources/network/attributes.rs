//! What `/sys` and `/proc` say about network interfaces.

use heartbeat_core::SensorError;

use crate::sources::sysroot::{Sysroot, read_whole};

/// A folder for each interface.
pub(super) const CLASS: &str = "/sys/class/net";
const TTY_CLASS: &str = "/sys/class/tty";

/// Drivers of the serial lines of USB modems (kernel, `drivers/usb/serial`).
const MODEM_DRIVERS: [&str; 5] = ["option1", "option", "qcserial", "sierra", "ipw"];

/// Size of `/proc/net/pppoe` and `/proc/net/pppol2tp` with far more sessions than a board has.
const SESSIONS_MAX: u64 = 16 * 1024;

/// What the kernel says about interfaces, as far as it can be read.
pub(super) struct Attributes<'r> {
    root: &'r Sysroot,
    /// Nothing that is there failed to be read.
    complete: bool,
    /// What was read can change while the interface lives.
    changeable: bool,
}

impl<'r> Attributes<'r> {
    pub(super) const fn of(root: &'r Sysroot) -> Self {
        Self { root, complete: true, changeable: false }
    }

    /// Whether all that was asked for is known, and stays as it is while the interfaces live.
    pub(super) const fn are_lasting(&self) -> bool {
        self.complete && !self.changeable
    }

    pub(super) fn has(&mut self, name: &str, entry: &str) -> bool {
        let found = self.root.locate(format!("{CLASS}/{name}/{entry}"));
        self.note(found).is_some()
    }

    pub(super) fn text<'b>(&mut self, name: &str, entry: &str, buffer: &'b mut [u8]) -> Option<&'b str> {
        let read = self.root.read_text(format!("{CLASS}/{name}/{entry}"), buffer);
        self.note(read)
    }

    pub(super) fn integer(&mut self, name: &str, entry: &str) -> Option<i64> {
        let read = self.root.read_integer(format!("{CLASS}/{name}/{entry}"));
        self.note(read)
    }

    /// The driver of its hardware.
    pub(super) fn is_driven_by(&mut self, name: &str, drivers: &[&str]) -> bool {
        let mut buffer = [0; 512];
        let uevent = self.text(name, "device/uevent", &mut buffer).unwrap_or_default();
        variable(uevent, "DRIVER=").is_some_and(|driver| drivers.contains(&driver))
    }

    /// Whether the address that its hardware came with is administered locally (RFC 9542, 2.1), as those are that a driver or
    /// a phone makes up; not if it is of userspace (`NET_ADDR_SET` of `linux/netdevice.h`).
    pub(super) fn came_with_local_address(&mut self, name: &str) -> bool {
        const NET_ADDR_SET: i64 = 3;
        let mut buffer = [0; 32];
        let address = self.text(name, "address", &mut buffer).unwrap_or_default();
        let first = address.get(..2).and_then(|digits| u8::from_str_radix(digits, 16).ok());
        first.is_some_and(|first| first & 0x02 != 0)
            && self.integer(name, "addr_assign_type") != Some(NET_ADDR_SET)
    }

    /// The maker of its hardware on USB (`PRODUCT=12d1/14db/102`, `usb_uevent` in `drivers/usb/core/driver.c`).
    pub(super) fn is_made_by(&mut self, name: &str, makers: &[&str]) -> bool {
        let mut buffer = [0; 512];
        let uevent = self.text(name, "device/uevent", &mut buffer).unwrap_or_default();
        let maker = variable(uevent, "PRODUCT=").and_then(|product| product.split('/').next());
        maker.is_some_and(|maker| makers.contains(&maker))
    }

    /// The interfaces whose packets it carries: links of these names (`net/core/dev.c`,
    /// `netdev_adjacent_sysfs_add`). Of a bond that has one active part only that (`Documentation/networking/bonding.rst`).
    pub(super) fn below(&mut self, name: &str) -> Vec<String> {
        let mut buffer = [0; 64];
        if let Some(active) = self.text(name, "bonding/active_slave", &mut buffer) {
            self.changeable = true;
            return vec![active.to_owned()];
        }
        let entries = self.root.list(format!("{CLASS}/{name}"));
        let entries = self.note(entries).unwrap_or_default();
        entries.iter().filter_map(|entry| entry.strip_prefix("lower_")).map(str::to_owned).collect()
    }

    /// Whether it leads nowhere: neither to hardware nor to another interface, which `iflink` would name
    /// (`Documentation/ABI/testing/sysfs-class-net`). Such is `dummy0`, and not the end of a container's pair.
    pub(super) fn is_alone(&mut self, name: &str) -> bool {
        let link = self.integer(name, "iflink");
        link.is_some() && (link == Some(0) || link == self.integer(name, "ifindex"))
    }

    /// Whether the kernel lists sessions of PPPoE or L2TP.
    pub(super) fn has_sessions(&mut self) -> bool {
        let mut any = |path, is_session: fn(&[u8]) -> bool| {
            let table = self.root.open(path).and_then(|file| read_whole(file, SESSIONS_MAX));
            self.note(table).is_some_and(|table| table.split(|byte| *byte == b'\n').any(is_session))
        };
        // `Id Address Device`, then a line for each (drivers/net/ppp/pppoe.c).
        any("/proc/net/pppoe", |line| line.first().is_some_and(u8::is_ascii_hexdigit))
            // `TUNNEL '...'` for each behind a head that names the columns (net/l2tp/l2tp_ppp.c).
            || any("/proc/net/pppol2tp", |line| line.starts_with(b"TUNNEL '"))
    }

    /// Whether a serial line of a USB modem is there.
    pub(super) fn has_serial_modem(&mut self) -> bool {
        let names = self.root.list(TTY_CLASS);
        let names = self.note(names).unwrap_or_default();
        names.iter().filter(|name| name.starts_with("ttyUSB")).any(|name| {
            let mut buffer = [0; 512];
            let uevent = self.root.read_text(format!("{TTY_CLASS}/{name}/device/uevent"), &mut buffer);
            let driver = self.note(uevent).and_then(|uevent| variable(uevent, "DRIVER="));
            driver.is_some_and(|driver| MODEM_DRIVERS.contains(&driver))
        })
    }

    fn note<T>(&mut self, answer: Result<T, SensorError>) -> Option<T> {
        self.complete &= !matches!(answer, Err(SensorError::Io));
        answer.ok()
    }
}

/// The value of a variable, such as `DEVTYPE=`.
pub(super) fn variable<'u>(uevent: &'u str, name: &str) -> Option<&'u str> {
    uevent.lines().find_map(|line| line.strip_prefix(name))
}
