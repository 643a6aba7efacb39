//! The model of the board: from the device tree, and on a PC from its firmware (DMI).

use heartbeat_core::{SensorError, limits::MODEL_MAX, text::Text};

use crate::sources::{placeholder::is_placeholder_name, sysroot::Sysroot};

/// Where boards with a device tree have it.
pub(super) const PLACE: &str = "/proc/device-tree/model";
/// Where a PC has it, the system's name before the mainboard's (`drivers/firmware/dmi-id.c`).
const DMI: [&str; 2] = ["/sys/class/dmi/id/product_name", "/sys/class/dmi/id/board_name"];

/// Bytes that are read; longer names are cut.
const READ_MAX: usize = 256;

pub(super) fn read(root: &Sysroot) -> Result<Text<MODEL_MAX>, SensorError> {
    let mut buffer = [0; READ_MAX];
    match root.read(PLACE, &mut buffer) {
        Ok(bytes) => parse(bytes).ok_or(SensorError::Invalid),
        Err(SensorError::Absent) => dmi(root),
        Err(error) => Err(error),
    }
}

fn dmi(root: &Sysroot) -> Result<Text<MODEL_MAX>, SensorError> {
    let mut trouble = SensorError::Absent;
    for path in DMI {
        let mut buffer = [0; READ_MAX];
        match root.read(path, &mut buffer) {
            Ok(bytes) => {
                if let Some(name) = parse(bytes).filter(|name| !is_placeholder_name(name.as_str())) {
                    return Ok(name);
                }
            }
            Err(SensorError::Absent) => {}
            Err(error) => trouble = error,
        }
    }
    Err(trouble)
}

/// A name with a NUL (Devicetree Specification 0.4, 2.2.4 "`<string>`") or a line's end behind it.
pub(crate) fn parse(bytes: &[u8]) -> Option<Text<MODEL_MAX>> {
    let name = bytes.split(|byte| matches!(byte, 0 | b'\n')).next().unwrap_or_default().trim_ascii();
    (!name.is_empty()).then(|| Text::from_bytes(name))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::{fs, path::Path};

    fn write(dir: &Path, path: &str, content: &str) {
        let path = dir.join(path.trim_start_matches('/'));
        fs::create_dir_all(path.parent().expect("a parent")).expect("created");
        fs::write(path, content).expect("written");
    }

    #[test]
    fn the_device_tree_comes_before_the_names_of_a_pc() {
        let dir = tempfile::tempdir().expect("a directory");
        let root = Sysroot::new(dir.path()).expect("opened");
        assert_eq!(read(&root), Err(SensorError::Absent));
        write(dir.path(), DMI[0], "System Product Name\n");
        assert_eq!(read(&root), Err(SensorError::Absent), "the same on many boards");
        write(dir.path(), DMI[1], "PRIME N100I-D D4\n");
        assert_eq!(read(&root), Ok("PRIME N100I-D D4".into()));
        write(dir.path(), DMI[0], "NUC7i5BNH\n");
        assert_eq!(read(&root), Ok("NUC7i5BNH".into()));
        write(dir.path(), PLACE, "Raspberry Pi 5 Model B Rev 1.0\0");
        assert_eq!(read(&root), Ok("Raspberry Pi 5 Model B Rev 1.0".into()));
        write(dir.path(), PLACE, "\0");
        assert_eq!(read(&root), Err(SensorError::Invalid));
    }
}
