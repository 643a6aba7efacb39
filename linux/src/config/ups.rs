//! The settings of a supply with a battery.

use heartbeat_core::units::Volts;
use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error};

use super::types::{Whole, Word, number};

/// The section `[ups]`.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct RawUps {
    /// Name of a supply that is known. The other keys adjust it.
    pub(super) preset: Option<String>,
    /// Number of the I2C bus.
    pub(super) bus: Option<Whole<255>>,
    /// Address of the INA219: 0x40 to 0x4f (datasheet SBOS448, table 1).
    pub(super) address: Option<Whole<255>>,
    /// Shunt of the INA219 in ohms.
    pub(super) shunt_ohms: Option<Shunt>,
    /// What a positive current of the INA219 does to the battery.
    pub(super) positive_current: Option<Word<PositiveCurrent>>,
}

/// A resistance in µΩ, written in ohms: 0.0001 to 10.
#[derive(Debug, Clone, Copy)]
pub(super) struct Shunt(u32);

impl<'de> Deserialize<'de> for Shunt {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let ohms = number(deserializer, "a number of ohms")?;
        if !(0.0001..=10.0).contains(&ohms) {
            return Err(D::Error::custom(format!("expected from 0.0001 to 10 ohms, found {ohms}")));
        }
        // In range: at most ten million.
        #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
        let uohm = (ohms * 1e6).round() as u32;
        Ok(Self(uohm))
    }
}

impl Serialize for Shunt {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_f64(f64::from(self.0) / 1e6)
    }
}

/// What a positive current does to the battery.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum PositiveCurrent {
    Charges,
    Discharges,
}

impl RawUps {
    /// The supply; and what the preset says is filled in. `None` when there is no preset.
    ///
    /// # Errors
    ///
    /// The key within the section that cannot be used, and why.
    pub(super) fn complete(&mut self) -> Result<Option<UpsConfig>, (&'static str, String)> {
        // What only some supplies have.
        let given = [
            ("address", self.address.is_some()),
            ("shunt_ohms", self.shunt_ohms.is_some()),
            ("positive_current", self.positive_current.is_some()),
        ];
        let given = given.into_iter().find_map(|(key, given)| given.then_some(key));
        let Some(name) = &self.preset else {
            return match self.bus.map(|_| "bus").or(given) {
                Some(key) => Err((key, "needs ups.preset beside it".to_owned())),
                None => Ok(None),
            };
        };
        let mut ups = UpsConfig::preset(name).ok_or_else(|| {
            ("preset", format!("expected one of {}, found {name:?}", UpsConfig::PRESETS.join(", ")))
        })?;
        ups.bus = self.bus.get_or_insert(Whole(ups.bus.into())).byte();
        match &mut ups.chip {
            UpsChip::Ina219 { address, shunt_uohm, positive_charges, .. } => {
                *address = self.address.get_or_insert(Whole((*address).into())).byte();
                if !(0x40..=0x4f).contains(address) {
                    return Err(("address", format!("expected 0x40 to 0x4f, found {address:#04x}")));
                }
                *shunt_uohm = self.shunt_ohms.get_or_insert(Shunt(*shunt_uohm)).0;
                let preset =
                    if *positive_charges { PositiveCurrent::Charges } else { PositiveCurrent::Discharges };
                *positive_charges =
                    self.positive_current.get_or_insert(Word(preset)).0 == PositiveCurrent::Charges;
            }
            UpsChip::Max17040 => {
                if let Some(key) = given {
                    return Err((key, format!("the chip of {name} has no such setting")));
                }
            }
        }
        Ok(Some(ups))
    }
}

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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn knows_each_listed_preset_and_no_other() {
        assert!(UpsConfig::PRESETS.iter().all(|name| UpsConfig::preset(name).is_some()));
        assert_eq!(UpsConfig::preset("waveshare-z"), None);
        let Some(UpsChip::Ina219 { empty, full, .. }) = UpsConfig::preset("waveshare-3s").map(|ups| ups.chip)
        else {
            panic!("it has an INA219");
        };
        assert_eq!(
            (empty.to_string(), full.to_string()),
            ("9.00".to_owned(), "12.60".to_owned()),
            "three cells"
        );
    }
}
