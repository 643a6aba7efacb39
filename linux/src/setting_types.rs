//! Types of settings that decide which sensors there are. They belong to [`config`](crate::config) and import nothing of
//! this program, so that neither `config` nor `sensors` has to import the other for them.

use std::path::PathBuf;

use heartbeat_core::units::Volts;

/// A supply as it is configured.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct UpsConfig {
    /// Number of the bus: `/dev/i2c-N`.
    pub bus: u8,
    /// Which chip watches the battery.
    pub chip: UpsChip,
}

/// The chip of a supply.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum UpsChip {
    /// A current monitor beside the battery.
    Ina219 {
        /// Its address.
        address: u8,
        /// Its shunt in µΩ.
        shunt_uohm: u32,
        /// Whether a positive current charges the battery.
        positive_charges: bool,
        /// Voltage of the empty battery.
        empty: Volts,
        /// Voltage of the full battery.
        full: Volts,
    },
    /// A battery gauge.
    Max17040,
}

impl UpsConfig {
    /// The names of the boards that are known.
    pub const PRESETS: &'static [&'static str] =
        &["waveshare", "waveshare-b", "waveshare-c", "waveshare-d", "waveshare-3s", "x120x"];

    /// A board that is known by name. Addresses, shunts and voltages are those of the makers' own programs.
    pub fn preset(name: &str) -> Option<Self> {
        let waveshare = |address, shunt_uohm, cells: i64| UpsChip::Ina219 {
            address,
            shunt_uohm,
            positive_charges: true,
            // 3.0 V and 4.2 V per lithium cell in series.
            empty: Volts::from_raw(cells * 300),
            full: Volts::from_raw(cells * 420),
        };
        let chip = match name {
            "waveshare" => waveshare(0x42, 100_000, 2),
            "waveshare-b" => waveshare(0x42, 10_000, 2),
            "waveshare-c" | "waveshare-d" => waveshare(0x43, 10_000, 1),
            "waveshare-3s" => waveshare(0x41, 10_000, 3),
            "x120x" => UpsChip::Max17040,
            _ => return None,
        };
        Some(Self { bus: 1, chip })
    }
}

/// Where the version comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum VersionSource {
    /// Nowhere: the value is absent.
    Unknown,
    /// The configuration.
    Fixed(String),
    /// The first line of a file.
    File(PathBuf),
    /// The newest file of the application in this folder and those below.
    Folder(PathBuf),
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn knows_each_listed_preset_and_no_other() {
        assert!(UpsConfig::PRESETS.iter().all(|name| UpsConfig::preset(name).is_some()));
        assert_eq!(UpsConfig::preset("waveshare-z"), None);
    }
}
