//! What `gpspipe -w` prints: a JSON object of gpsd in each line (gpsd_json(5)).

use serde_json::Value;

/// What gpsd gives as the status of a fix that no satellite made (gpsd_json(5), TPV, `status`).
const SIMULATED: u64 = 8;

/// A position.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Position {
    /// `none`, `2d` or `3d`.
    pub fix: &'static str,
    /// Degrees.
    pub latitude: Option<f64>,
    /// Degrees.
    pub longitude: Option<f64>,
    /// Metres above the sea.
    pub altitude_m: Option<f64>,
    /// Metres per second over ground.
    pub speed_mps: Option<f64>,
    /// Degrees from north.
    pub heading: Option<f64>,
    /// Satellites that are used.
    pub satellites: Option<f64>,
}

/// The last report of the receiver whose fix is best, the first of equal ones.
pub fn position(text: &str) -> Option<Position> {
    let reports: Vec<Value> = text.lines().filter_map(|line| serde_json::from_str(line).ok()).collect();
    let of_class = |class: &'static str| {
        reports.iter().filter(move |report| report.get("class").and_then(Value::as_str) == Some(class))
    };
    let device = |report: &Value| report.get("device").and_then(Value::as_str).unwrap_or("").to_owned();
    let mut receivers: Vec<String> = Vec::new();
    for report in of_class("TPV").map(device) {
        if !receivers.contains(&report) {
            receivers.push(report);
        }
    }
    let positions = receivers.iter().filter_map(|receiver| {
        let last = of_class("TPV").rfind(|report| device(report) == *receiver)?;
        let skies = of_class("SKY").filter(|sky| receivers.len() == 1 || device(sky) == *receiver);
        Some(of_receiver(last, skies.rev().find_map(used)))
    });
    // max_by_key takes the last of equals.
    let positions: Vec<_> = positions.collect();
    positions.into_iter().rev().max_by_key(|position| position.fix_dimensions())
}

impl Position {
    const fn fix_dimensions(&self) -> u8 {
        match self.fix.as_bytes() {
            b"2d" => 2,
            b"3d" => 3,
            _ => 0,
        }
    }
}

/// How many satellites a report of the sky says are used. Some reports have only the dilution of precision.
fn used(sky: &Value) -> Option<f64> {
    let listed = || {
        let all = sky.get("satellites")?.as_array()?;
        let used =
            all.iter().filter(|satellite| satellite.get("used").and_then(Value::as_bool) == Some(true));
        u32::try_from(used.count()).ok().map(f64::from)
    };
    sky.get("uSat").and_then(Value::as_f64).or_else(listed)
}

fn of_receiver(report: &Value, satellites: Option<f64>) -> Position {
    let number = |key| report.get(key).and_then(Value::as_f64);
    let place = number("lat").zip(number("lon")).filter(|place| *place != (0.0, 0.0));
    let is_simulated = report.get("status").and_then(Value::as_u64) == Some(SIMULATED);
    let fix = match report.get("mode").and_then(Value::as_u64) {
        _ if is_simulated || place.is_none() => "none",
        Some(2) => "2d",
        Some(3) => "3d",
        _ => "none",
    };
    // Without a fix the numbers are old ones.
    let known = |value: Option<f64>| value.filter(|_| fix != "none");
    Position {
        fix,
        latitude: known(number("lat")),
        longitude: known(number("lon")),
        // gpsd before 3.20 has it as `alt`.
        altitude_m: number("altMSL").or_else(|| number("alt")).filter(|_| fix == "3d"),
        speed_mps: known(number("speed")),
        heading: known(number("track")),
        // None cannot have made a fix.
        satellites: satellites.filter(|count| fix == "none" || *count > 0.0),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_the_last_report() {
        // The fields that gpsd_json(5) documents.
        let text = concat!(
            r#"{"class":"VERSION","release":"3.22","proto_major":3}"#,
            "\n",
            r#"{"class":"TPV","mode":1}"#,
            "\n",
            r#"{"class":"SKY","uSat":4}"#,
            "\n",
            r#"{"class":"TPV","mode":3,"lat":48.1173,"lon":11.516666667,"altMSL":545.4,"speed":1.5,"track":84.4}"#,
            "\n",
            r#"{"class":"SKY","pdop":1.2}"#,
        );
        let position = position(text).expect("a position");
        assert_eq!(position.fix, "3d");
        assert!((position.latitude.expect("known") - 48.1173).abs() < 0.0001, "{position:?}");
        assert!((position.longitude.expect("known") - 11.5167).abs() < 0.0001, "{position:?}");
        assert_eq!(
            (position.speed_mps, position.heading, position.satellites),
            (Some(1.5), Some(84.4), Some(4.0))
        );
    }

    #[test]
    fn without_a_fix_there_is_no_position() {
        let found =
            position(r#"{"class":"TPV","mode":1,"lat":1.0,"lon":2.0,"speed":3.0}"#).expect("a report");
        assert_eq!((found.fix, found.latitude, found.longitude, found.speed_mps), ("none", None, None, None));
        assert_eq!(position(r#"{"class":"VERSION"}"#), None);
    }

    #[test]
    fn the_receiver_with_a_fix_counts_and_no_simulated_one() {
        let fix = |lines: &[&str]| position(&lines.join("\n")).map(|found| (found.fix, found.latitude));
        let without = r#"{"class":"TPV","device":"/dev/b","mode":1}"#;
        let with = r#"{"class":"TPV","device":"/dev/a","mode":3,"lat":1.0,"lon":2.0}"#;
        assert_eq!(fix(&[with, without]), Some(("3d", Some(1.0))));
        let simulated = r#"{"class":"TPV","device":"/dev/a","mode":3,"status":8,"lat":1.0,"lon":2.0}"#;
        assert_eq!(fix(&[simulated]), Some(("none", None)));
        let nowhere = r#"{"class":"TPV","device":"/dev/a","mode":3,"lat":0.0,"lon":0.0}"#;
        assert_eq!(fix(&[nowhere]), Some(("none", None)));
    }

    #[test]
    fn satellites_are_those_of_the_same_receiver() {
        let lines = [
            r#"{"class":"TPV","device":"/dev/a","mode":3,"lat":1.0,"lon":2.0}"#,
            r#"{"class":"TPV","device":"/dev/b","mode":2,"lat":1.0,"lon":2.0}"#,
            r#"{"class":"SKY","device":"/dev/a","satellites":[{"used":true},{"used":false},{"used":true}]}"#,
            r#"{"class":"SKY","device":"/dev/b","uSat":9}"#,
        ];
        assert_eq!(position(&lines.join("\n")).and_then(|found| found.satellites), Some(2.0));
    }
}
