//! The firmware's answers, as text.

use heartbeat_core::{
    SensorError,
    plausible::Plausible,
    readings::Throttled,
    units::{Celsius, Megahertz, Watts},
};

use crate::sources::{drawn_power::drawn, thermal::celsius};

/// Rails that are looked at; a Pi 5 has twelve currents.
const RAILS_MAX: usize = 32;

/// What an answer that holds no value says about it. The texts are those of the old userland tool, of raspi-utils, and
/// of the firmware itself.
fn trouble(text: &str) -> SensorError {
    if text.contains("Command not registered") {
        SensorError::Absent
    } else if text.contains("VCHI initialization failed") || text.contains("Can't open device file") {
        SensorError::Denied
    } else {
        SensorError::Invalid
    }
}

/// A decimal of at most six places, in millionths: `48.8` is 48,800,000.
fn millionths(text: &str) -> Option<i64> {
    let (sign, digits) = text.strip_prefix('-').map_or((1, text), |digits| (-1, digits));
    let (whole, fraction) = digits.split_once('.').unwrap_or((digits, "0"));
    let all_digits = |part: &str| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit());
    if !all_digits(whole) || !all_digits(fraction) {
        return None;
    }
    // What lies beyond the sixth place is less than the resolution of any of the sensors.
    let places = fraction.get(..6).unwrap_or(fraction);
    let scale = 10i64.checked_pow(6u32.checked_sub(u32::try_from(places.len()).ok()?)?)?;
    let fraction = places.parse::<i64>().ok()?.checked_mul(scale)?;
    whole.parse::<i64>().ok()?.checked_mul(1_000_000)?.checked_add(fraction)?.checked_mul(sign)
}

/// `temp=48.8'C`
pub(crate) fn temperature(text: &str) -> Result<Celsius, SensorError> {
    let value =
        text.trim().strip_prefix("temp=").and_then(|text| text.strip_suffix("'C")).and_then(millionths);
    celsius(value.ok_or_else(|| trouble(text))? / 1_000)
}

/// `throttled=0x50005`
pub(crate) fn throttled(text: &str) -> Result<Throttled, SensorError> {
    let digits = text.trim().strip_prefix("throttled=0x").filter(|digits| !digits.starts_with('+'));
    digits.and_then(|digits| u32::from_str_radix(digits, 16).ok()).map(Throttled).ok_or_else(|| trouble(text))
}

/// `frequency(48)=1500398464`: the clock of the ARM cores in hertz, as `measure_clock arm` gives it.
pub(crate) fn clock(text: &str) -> Result<Megahertz, SensorError> {
    let digits = text
        .trim()
        .strip_prefix("frequency(")
        .and_then(|rest| rest.split_once(")="))
        .map(|(_, digits)| digits);
    let hertz = digits
        .filter(|digits| digits.bytes().all(|byte| byte.is_ascii_digit()))
        .and_then(|digits| digits.parse().ok());
    hertz.and_then(Megahertz::from_hertz).and_then(Plausible::plausible).ok_or_else(|| trouble(text))
}

/// The power over all rails of which the PMIC knows both current and voltage:
///
/// ```text
///   VDD_CORE_A current(7)=0.94657990A
///   VDD_CORE_V volt(15)=0.72097620V
/// ```
///
/// That is what the board draws, less its conversion losses and what flows to USB.
pub(crate) fn pmic_power(text: &str) -> Result<Watts, SensorError> {
    let rows = || {
        text.lines().filter_map(|line| {
            let (name, reading) = line.trim_ascii().split_once(' ')?;
            let (kind, value) = reading.trim_ascii().split_once('=')?;
            Some((name, kind, value))
        })
    };
    let volts_of_rows = rows()
        .filter(|(_, kind, _)| kind.starts_with("volt("))
        .filter_map(|(name, _, value)| Some((name.strip_suffix("_V")?, value.strip_suffix('V')?)));
    let mut all_volts = [("", ""); 2 * RAILS_MAX];
    all_volts.iter_mut().zip(volts_of_rows).for_each(|(place, rail)| *place = rail);
    let mut power_uw: Option<i64> = None;
    for (name, kind, value) in rows().take(2 * RAILS_MAX) {
        let rail = name.strip_suffix("_A").filter(|rail| !rail.is_empty() && kind.starts_with("current("));
        let found = rail.and_then(|rail| all_volts.iter().find(|(name, _)| *name == rail));
        let Some((_, volts)) = found else { continue };
        let rail_uw = value.strip_suffix('A').and_then(millionths).zip(millionths(volts)).and_then(
            // µA * µV = 10^-12 W.
            |(microamperes, microvolts)| {
                i64::try_from(i128::from(microamperes) * i128::from(microvolts) / 1_000_000).ok()
            },
        );
        power_uw = Some(power_uw.unwrap_or(0).saturating_add(rail_uw.ok_or(SensorError::Invalid)?));
    }
    let watts = power_uw.map(drawn).ok_or_else(|| trouble(text))?;
    watts.and_then(Plausible::plausible).ok_or(SensorError::Invalid)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn parses_answers_of_working_boards() {
        assert_eq!(temperature("temp=48.8'C\n"), Ok(Celsius::from_raw(488)));
        assert_eq!(temperature("temp=-3.2'C"), Ok(Celsius::from_raw(-32)));
        assert_eq!(throttled("throttled=0x50005\n"), Ok(Throttled(0x50005)));
        assert_eq!(throttled("throttled=0x0"), Ok(Throttled(0)));
        assert_eq!(clock("frequency(48)=1500398464\n"), Ok(Megahertz(1_500)));
        assert_eq!(clock("frequency(0)=600000000"), Ok(Megahertz(600)));
        let rails = "   A_A current(0)=0.50000000A\n  B_A current(1)=1.5A\n A_V volt(8)=2.00000000V\n  B_V volt(9)=1.1V\n \
                     EXT5V_V volt(24)=5.11478000V\n C_A current(2)=9.0A\n";
        assert_eq!(
            pmic_power(rails),
            Ok(Watts::from_raw(265)),
            "rails with both: 0.5 A * 2 V + 1.5 A * 1.1 V"
        );
    }

    #[test]
    fn tells_absence_refusal_and_nonsense_apart() {
        let no = |text: &str| {
            [temperature(text).err(), throttled(text).err(), clock(text).err(), pmic_power(text).err()]
        };
        assert_eq!(no("error=1 error_msg=\"Command not registered\""), [Some(SensorError::Absent); 4]);
        assert_eq!(no("VCHI initialization failed"), [Some(SensorError::Denied); 4]);
        assert_eq!(no("Can't open device file: /dev/vcio_gencmd"), [Some(SensorError::Denied); 4]);
        for bad in [
            "",
            "\0\0",
            "temp=",
            "temp='C",
            "temp=1e3'C",
            "temp=999.0'C",
            "temp=NaN'C",
            "throttled=0x",
            "throttled=-1",
            "frequency(48)=",
            "frequency(48)=+1500398464",
            "frequency(48)=0",
            "frequency(48)=99999999999999999999",
            "frequency=1500398464",
        ] {
            assert_eq!(no(bad), [Some(SensorError::Invalid); 4], "{bad:?}");
        }
        assert_eq!(throttled("throttled=0x100000000"), Err(SensorError::Invalid));
        for bad in [
            "A_A current(0)=x\nA_V volt(1)=1V",
            "A_A current(0)=0.0A\nA_V volt(1)=1.0V",
            "A_A current(0)=99999999999A\nA_V volt(1)=99999999999V",
        ] {
            assert_eq!(pmic_power(bad), Err(SensorError::Invalid), "{bad:?}");
        }
    }

    proptest! {
        #[test]
        fn any_text_is_survived(text: String, reply in "(temp=|throttled=0x|frequency\\(48\\)=|A_[AV] (current|volt)\\([0-9]\\)=)?[-0-9.xAV'C\n]{0,40}") {
            for text in [text, reply] {
                let _ = throttled(&text);
                if let Ok(clock) = clock(&text) {
                    prop_assert!(Megahertz::RANGE.contains(&clock));
                }
                if let Ok(celsius) = temperature(&text) {
                    prop_assert!(Celsius::SOC_RANGE.contains(&celsius));
                }
                if let Ok(watts) = pmic_power(&text) {
                    prop_assert!(Watts::RANGE.contains(&watts));
                }
            }
        }
    }
}
