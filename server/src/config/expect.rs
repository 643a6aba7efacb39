//! What is expected of a device, and when a deviation raises an alert.

use std::collections::BTreeMap;

use serde::Deserialize;

/// `[expect]` and `[groups.NAME]`: what is not set is as for all, or as built in.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct ExpectKeys {
    /// Seconds between two heartbeats.
    interval_s: Option<f64>,
    /// Heartbeats in a row that may be missing before a device counts as late.
    missed: Option<u32>,
    /// Seconds without a heartbeat after which a device is offline.
    offline_after_s: Option<u32>,
    /// Seconds for which a device must be heard again before it counts as back.
    back_after_s: Option<u32>,
    /// Degrees Celsius above which a device is hot.
    temp_high: Option<f64>,
    /// Percent above which the disk is nearly full.
    disk_high: Option<f64>,
    /// It must be recording.
    recording: Option<bool>,
    /// Tell when the version of the application changes.
    version_changes: Option<bool>,
}

/// What is expected of one device.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Expect {
    pub(crate) late_after_ms: i64,
    pub(crate) offline_after_ms: i64,
    pub(crate) back_after_ms: i64,
    /// In tenths of a degree, as values are stored.
    pub(crate) temp_high: i32,
    /// In tenths of a percent.
    pub(crate) disk_high: i32,
    pub(crate) recording: bool,
    pub(crate) version_changes: bool,
}

/// What is expected of all devices.
#[derive(Debug, Clone)]
pub(crate) struct Expectations {
    all: Expect,
    groups: BTreeMap<String, Expect>,
}

impl Expectations {
    pub(super) fn new(all: &ExpectKeys, groups: &BTreeMap<String, ExpectKeys>) -> Self {
        let groups = groups.iter().map(|(group, keys)| (group.clone(), keys.or(all).resolve())).collect();
        Self { all: all.resolve(), groups }
    }

    /// What is expected of a device of `group`.
    pub(crate) fn of(&self, group: Option<&str>) -> &Expect {
        group.and_then(|group| self.groups.get(group)).unwrap_or(&self.all)
    }
}

impl ExpectKeys {
    fn or(&self, other: &Self) -> Self {
        Self {
            interval_s: self.interval_s.or(other.interval_s),
            missed: self.missed.or(other.missed),
            offline_after_s: self.offline_after_s.or(other.offline_after_s),
            back_after_s: self.back_after_s.or(other.back_after_s),
            temp_high: self.temp_high.or(other.temp_high),
            disk_high: self.disk_high.or(other.disk_high),
            recording: self.recording.or(other.recording),
            version_changes: self.version_changes.or(other.version_changes),
        }
    }

    fn resolve(&self) -> Expect {
        let interval_ms =
            crate::model::reading::scaled(self.interval_s.unwrap_or(5.0), 1000.0).unwrap_or(5000);
        // The next heartbeat after `missed` missing ones would come half an interval later.
        let late = i64::from(interval_ms) * i64::from(self.missed.unwrap_or(3)) + i64::from(interval_ms) / 2;
        let seconds = |seconds: Option<u32>, default: u32| i64::from(seconds.unwrap_or(default)) * 1000;
        let tenths = |number: Option<f64>, default: i32| {
            number.and_then(|number| crate::model::reading::scaled(number, 10.0)).unwrap_or(default)
        };
        Expect {
            late_after_ms: late,
            offline_after_ms: seconds(self.offline_after_s, 90).max(late),
            back_after_ms: seconds(self.back_after_s, 30),
            temp_high: tenths(self.temp_high, 800),
            disk_high: tenths(self.disk_high, 900),
            recording: self.recording.unwrap_or(false),
            version_changes: self.version_changes.unwrap_or(true),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn expectations(text: &str) -> Expectations {
        let config: crate::config::Config = toml::from_str(text).unwrap();
        config.expectations()
    }

    #[test]
    fn late_after_three_missed_and_offline_after_90_seconds() {
        let expectations = expectations("");
        let expect = expectations.of(None);
        assert_eq!((expect.late_after_ms, expect.offline_after_ms), (17_500, 90_000));
    }

    #[test]
    fn a_group_overrides_what_it_sets_and_inherits_the_rest() {
        let expectations = expectations("[expect]\ntemp_high = 70\n[groups.north]\nrecording = true");
        assert_eq!(expectations.of(Some("north")).temp_high, 700);
        assert!(expectations.of(Some("north")).recording);
        assert!(!expectations.of(Some("south")).recording);
    }

    #[test]
    fn a_device_is_never_offline_before_it_is_late() {
        let expectations = expectations("[expect]\ninterval_s = 300");
        let expect = expectations.of(None);
        assert!(expect.offline_after_ms >= expect.late_after_ms);
    }
}
