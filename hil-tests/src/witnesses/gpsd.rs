//! What `gpspipe -w` prints: a JSON object of gpsd in each line (gpsd_json(5)).

use serde_json::Value;

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
}

/// The last report of position and time.
pub fn position(text: &str) -> Option<Position> {
    let reports = text.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
    let mut positions = reports.filter(|report| report.get("class").and_then(Value::as_str) == Some("TPV"));
    let last = positions.next_back()?;
    let number = |key| last.get(key).and_then(Value::as_f64);
    let fix = match last.get("mode").and_then(Value::as_u64)? {
        2 => "2d",
        3 => "3d",
        _ => "none",
    };
    // Without a fix the coordinates are old ones.
    let number = |key| number(key).filter(|_| fix != "none");
    Some(Position {
        fix,
        latitude: number("lat"),
        longitude: number("lon"),
        altitude_m: number("altMSL").filter(|_| fix == "3d"),
    })
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
            r#"{"class":"TPV","mode":3,"lat":48.1173,"lon":11.516666667,"altMSL":545.4}"#,
            "\n",
            r#"{"class":"SKY","uSat":4}"#,
        );
        let position = position(text).expect("a position");
        assert_eq!(position.fix, "3d");
        assert!((position.latitude.expect("known") - 48.1173).abs() < 0.0001, "{position:?}");
        assert!((position.longitude.expect("known") - 11.5167).abs() < 0.0001, "{position:?}");
    }

    #[test]
    fn without_a_fix_there_is_no_position() {
        let found = position(r#"{"class":"TPV","mode":1,"lat":1.0,"lon":2.0}"#).expect("a report");
        assert_eq!(found, Position { fix: "none", latitude: None, longitude: None, altitude_m: None });
        assert_eq!(position(r#"{"class":"VERSION"}"#), None);
    }
}
