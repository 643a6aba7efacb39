//! What `vcgencmd` prints (Raspberry Pi documentation, "vcgencmd").

/// `measure_temp`: degrees Celsius. Exactly 0 is what the firmware says that has no sensor.
pub fn temperature(text: &str) -> Option<f64> {
    let degrees = text.trim().strip_prefix("temp=")?.strip_suffix("'C")?.parse().ok();
    degrees.filter(|degrees| *degrees != 0.0)
}

/// `get_throttled`: the bit mask.
pub fn throttled(text: &str) -> Option<u32> {
    u32::from_str_radix(text.trim().strip_prefix("throttled=0x")?, 16).ok()
}

/// `pmic_read_adc`: the sum of voltage times current over all rails that have both, in watts.
pub fn pmic_watts(text: &str) -> Option<f64> {
    let mut readings = Vec::new();
    for line in text.lines() {
        let (name, rest) = line.trim().split_once(' ')?;
        let (_, reading) = rest.split_once('=')?;
        let (rail, unit) = name.rsplit_once('_')?;
        readings.push((rail, unit, reading.strip_suffix(['A', 'V'])?.parse::<f64>().ok()?));
    }
    let value_of = |rail: &str, unit: &str| {
        readings.iter().find(|(name, of, _)| *name == rail && *of == unit).map(|(_, _, value)| *value)
    };
    let watts: Vec<f64> = readings
        .iter()
        .filter(|(_, unit, _)| *unit == "A")
        .filter_map(|(rail, _, amperes)| Some(amperes * value_of(rail, "V")?))
        .collect();
    (!watts.is_empty()).then(|| watts.iter().sum())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_what_vcgencmd_prints() {
        assert_eq!(temperature("temp=48.8'C\n"), Some(48.8));
        assert_eq!(temperature("temp=0.0'C\n"), None);
        assert_eq!(throttled("throttled=0x50005\n"), Some(0x5_0005));
        let watts = pmic_watts(include_str!("../../tests/captures/pmic_read_adc.txt")).expect("rails");
        assert!((watts - 1.9005).abs() < 0.0001, "{watts}");
    }

    #[test]
    fn an_error_of_vcgencmd_is_no_value() {
        for text in [
            "VCHI initialization failed",
            "Can't open device file: /dev/vcio",
            "error=1 error_msg=\"Command not registered\"",
            "",
        ] {
            assert_eq!(temperature(text), None, "{text}");
            assert_eq!(throttled(text), None, "{text}");
            assert_eq!(pmic_watts(text), None, "{text}");
        }
    }

    #[test]
    fn a_rail_without_a_current_is_not_counted() {
        let text = " A_A current(0)=2.0A\n A_V volt(1)=3.0V\n EXT5V_V volt(24)=5.1V\n B_A current(2)=1.0A\n";
        assert_eq!(pmic_watts(text), Some(6.0));
    }
}
