//! The wear of storage that tells it: eMMC since JEDEC JESD84-B50, by `life_time` and `pre_eol_info` of its device in sysfs
//! (`drivers/mmc/core/mmc.c`). SD cards do not have these attributes.

use heartbeat_core::{
    SensorError,
    plausible::Plausible,
    readings::{PreEol, Wear},
};

use crate::sources::sysroot::Sysroot;

/// The hosts, in each of which its card is.
pub(super) const PLACE: &str = "/sys/class/mmc_host";

/// The worst of all that tell: which of them is in trouble matters less than that one is.
pub(super) fn read(root: &Sysroot) -> Result<Wear, SensorError> {
    let mut worst = Wear { life_used: None, pre_eol: None };
    let mut trouble = SensorError::Absent;
    for host in root.list(PLACE)? {
        let cards = root.list(format!("{PLACE}/{host}")).unwrap_or_default();
        // Named by the host and the card's address (`mmc_add_card` in `drivers/mmc/core/bus.c`).
        for card in cards
            .into_iter()
            .filter(|card| card.strip_prefix(&host).is_some_and(|address| address.starts_with(':')))
        {
            let life = attribute(root, &format!("{PLACE}/{host}/{card}/life_time"), parse_life_time);
            let reserve = attribute(root, &format!("{PLACE}/{host}/{card}/pre_eol_info"), parse_pre_eol_info);
            match life {
                Ok(life) => worst.life_used = worst.life_used.max(life),
                Err(SensorError::Absent) => {}
                Err(error) => trouble = error,
            }
            match reserve {
                Ok(reserve) => worst.pre_eol = worst.pre_eol.max(reserve),
                Err(SensorError::Absent) => {}
                Err(error) => trouble = error,
            }
        }
    }
    worst.plausible().ok_or(trouble)
}

fn attribute<T>(
    root: &Sysroot,
    path: &str,
    parse: fn(&str) -> Option<Option<T>>,
) -> Result<Option<T>, SensorError> {
    let mut buffer = [0; 32];
    parse(root.read_text(path, &mut buffer)?).ok_or(SensorError::Invalid)
}

/// A byte as the kernel prints it: `0x0a`; older ones print `pre_eol_info` without the prefix.
fn byte(text: &str) -> Option<u8> {
    let digits = text.strip_prefix("0x").unwrap_or(text);
    let plausible = !digits.is_empty() && digits.bytes().all(|digit| digit.is_ascii_hexdigit());
    u8::from_str_radix(digits, 16).ok().filter(|_| plausible)
}

/// `0x02 0x01`: the life used of the two kinds of memory in a device, SLC and MLC. 1 is up to 10 %, 2 is 10 to 20 %, and so on; 11
/// is more than the device was made for; 0 is not defined and more is reserved (JESD84-B51, 7.4.45 and 7.4.46). The answer is the
/// lower end of the greater one.
pub(crate) fn parse_life_time(text: &str) -> Option<Option<u8>> {
    let mut estimates = text.split_ascii_whitespace().map(byte);
    let (Some(one), Some(other), None) = (estimates.next(), estimates.next(), estimates.next()) else {
        return None;
    };
    let used = |estimate: Option<u8>| match estimate? {
        tenths @ 1..=11 => Some(Some((tenths - 1) * 10)),
        _ => Some(None),
    };
    Some(used(one)?.max(used(other)?))
}

/// `0x01`; 0 is not defined and more than 3 reserved (JESD84-B51, 7.4.44).
pub(crate) fn parse_pre_eol_info(text: &str) -> Option<Option<PreEol>> {
    Some(match byte(text)? {
        1 => Some(PreEol::Normal),
        2 => Some(PreEol::Warning),
        3 => Some(PreEol::Urgent),
        _ => None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::{fs, path::Path};

    #[test]
    fn an_estimate_counts_from_its_lower_end_and_the_greater_one_counts() {
        for (text, used) in [
            ("0x01 0x01", Some(0)),
            ("0x02 0x01", Some(10)),
            ("0x01 0x0a", Some(90)),
            ("0x0b 0x00", Some(100)),
            ("0x00 0x00", None),
            ("0x0c 0xff", None),
            ("03 01", Some(20)),
        ] {
            assert_eq!(parse_life_time(text), Some(used), "{text}");
        }
        for bad in ["", "0x01", "0x01 0x01 0x01", "x y", "0x100 0x01", "+1 1"] {
            assert_eq!(parse_life_time(bad), None, "{bad}");
        }
        assert_eq!(parse_pre_eol_info("0x00"), Some(None));
        assert_eq!(parse_pre_eol_info("0x02"), Some(Some(PreEol::Warning)));
        assert_eq!(parse_pre_eol_info("03"), Some(Some(PreEol::Urgent)));
        assert_eq!(parse_pre_eol_info("0x04"), Some(None));
        assert_eq!(parse_pre_eol_info("-1"), None);
    }

    fn write(dir: &Path, path: &str, content: &str) {
        let path = dir.join(path);
        fs::create_dir_all(path.parent().expect("a parent")).expect("created");
        fs::write(path, content).expect("written");
    }

    /// The hosts are numbered in the order in which they are found, which differs between starts (LibreELEC/linux-amlogic, pull
    /// request 57; bootlin/training-materials, pull request 40).
    #[test]
    fn a_card_has_its_wear_whatever_the_number_of_its_host_is() {
        for (emmc, sd) in [("mmc0", "mmc1"), ("mmc1", "mmc0")] {
            let dir = tempfile::tempdir().expect("a directory");
            let root = Sysroot::new(dir.path()).expect("opened");
            write(dir.path(), &format!("sys/class/mmc_host/{sd}/{sd}:aaaa/type"), "SD\n");
            write(dir.path(), &format!("sys/class/mmc_host/{emmc}/{emmc}:0001/life_time"), "0x04 0x01\n");
            write(dir.path(), &format!("sys/class/mmc_host/{emmc}/{emmc}:0001/pre_eol_info"), "0x01\n");
            let expected = Wear { life_used: Some(30), pre_eol: Some(PreEol::Normal) };
            assert_eq!(read(&root), Ok(expected), "{emmc}");
        }
    }

    #[test]
    fn the_worst_card_counts_and_an_sd_card_says_nothing() {
        let dir = tempfile::tempdir().expect("a directory");
        let root = Sysroot::new(dir.path()).expect("opened");
        write(dir.path(), "sys/class/mmc_host/mmc0/mmc0:aaaa/type", "SD\n");
        assert_eq!(read(&root), Err(SensorError::Absent));
        write(dir.path(), "sys/class/mmc_host/mmc1/mmc1:0001/life_time", "0x01 0x03\n");
        write(dir.path(), "sys/class/mmc_host/mmc1/mmc1:0001/pre_eol_info", "0x02\n");
        write(dir.path(), "sys/class/mmc_host/mmc2/mmc2:0001/life_time", "0x02 0x02\n");
        write(dir.path(), "sys/class/mmc_host/mmc2/mmc2:0001/pre_eol_info", "0x01\n");
        write(dir.path(), "sys/class/mmc_host/mmc3/mmc3:0001/life_time", "nonsense\n");
        write(dir.path(), "sys/class/mmc_host/mmc3/power/life_time", "0x0b 0x0b\n");
        assert_eq!(read(&root), Ok(Wear { life_used: Some(20), pre_eol: Some(PreEol::Warning) }));
        fs::remove_dir_all(dir.path().join("sys/class/mmc_host/mmc1")).expect("removed");
        fs::remove_dir_all(dir.path().join("sys/class/mmc_host/mmc2")).expect("removed");
        assert_eq!(read(&root), Err(SensorError::Invalid));
    }
}
