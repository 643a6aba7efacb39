//! The values that are kept over time.
//!
//! A value is an integer of its own scale (`48.8 C` is 488 tenths), so that what comes in is what goes out, to the
//! digit, and a row stays small.

use std::fmt;

/// A value that is kept over time. The order is that of the columns in the database.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[repr(usize)]
pub(crate) enum Value {
    Cpu,
    Mem,
    Temp,
    Power,
    Fan,
    Disk,
    Signal,
    Recording,
    Ups,
}

/// How many values there are.
pub(crate) const VALUES: usize = 9;

impl Value {
    /// All of them, in the order of the columns.
    pub(crate) const ALL: [Self; VALUES] = [
        Self::Cpu,
        Self::Mem,
        Self::Temp,
        Self::Power,
        Self::Fan,
        Self::Disk,
        Self::Signal,
        Self::Recording,
        Self::Ups,
    ];

    /// Name of the column, of the field in the API and, with its unit, of the metric.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Cpu => "cpu",
            Self::Mem => "mem",
            Self::Temp => "temp",
            Self::Power => "power",
            Self::Fan => "fan_rpm",
            Self::Disk => "disk_percent",
            Self::Signal => "signal_percent",
            Self::Recording => "recording_file_size_mb",
            Self::Ups => "ups_percent",
        }
    }

    /// What people call it.
    pub(crate) fn label(self) -> &'static str {
        match self {
            Self::Cpu => "Processor",
            Self::Mem => "Memory",
            Self::Temp => "Temperature",
            Self::Power => "Power",
            Self::Fan => "Fan",
            Self::Disk => "Disk",
            Self::Signal => "Signal",
            Self::Recording => "Recording",
            Self::Ups => "Battery",
        }
    }

    /// Unit as it is shown after the number.
    pub(crate) fn unit(self) -> &'static str {
        match self {
            Self::Cpu | Self::Mem | Self::Disk | Self::Signal | Self::Ups => "%",
            Self::Temp => "°C",
            Self::Power => "W",
            Self::Fan => "rpm",
            Self::Recording => "MiB",
        }
    }

    /// Stored integers for one unit.
    pub(crate) fn scale(self) -> i32 {
        match self {
            Self::Cpu | Self::Mem | Self::Temp | Self::Disk | Self::Ups => 10,
            Self::Power => 100,
            Self::Fan | Self::Signal | Self::Recording => 1,
        }
    }

    /// Digits after the point.
    pub(crate) fn decimals(self) -> usize {
        match self.scale() {
            1 => 0,
            10 => 1,
            _ => 2,
        }
    }

    /// The top of a chart if the value has one by its nature, in units.
    pub(crate) fn ceiling(self) -> Option<f64> {
        (self.unit() == "%").then_some(100.0)
    }

    /// A stored integer in its unit.
    pub(crate) fn in_units(self, stored: f64) -> f64 {
        stored / f64::from(self.scale())
    }

    /// The integer that is stored for a number; `None` for what no integer holds.
    pub(crate) fn stored(self, number: f64) -> Option<i32> {
        scaled(number, f64::from(self.scale()))
    }
}

/// `number` times `scale`, rounded, if that is a 32-bit integer.
pub(crate) fn scaled(number: f64, scale: f64) -> Option<i32> {
    let scaled = (number * scale).round();
    #[expect(clippy::cast_possible_truncation, reason = "within the range of i32, and whole")]
    (scaled.abs() <= f64::from(i32::MAX)).then_some(scaled as i32)
}

/// A number for each value that was read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Values(pub(crate) [Option<i32>; VALUES]);

impl Values {
    /// The stored integer of `value`.
    pub(crate) fn get(&self, value: Value) -> Option<i32> {
        self.0.get(value as usize).copied().flatten()
    }

    /// Sets what is stored of `value`.
    pub(crate) fn set(&mut self, value: Value, stored: Option<i32>) {
        if let Some(place) = self.0.get_mut(value as usize) {
            *place = stored;
        }
    }

    /// `value` with its unit, for people; `None` if it was not read.
    pub(crate) fn shown(&self, value: Value) -> Option<Shown> {
        self.get(value).map(|stored| Shown { value, units: value.in_units(f64::from(stored)) })
    }
}

/// A value as people read it: `48.8 °C`.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Shown {
    pub(crate) value: Value,
    pub(crate) units: f64,
}

impl fmt::Display for Shown {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:.*} {}", self.value.decimals(), self.units, self.value.unit())
    }
}

/// Count, sum and largest of one value over a span of time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Stat {
    pub(crate) count: i64,
    pub(crate) sum: i64,
    pub(crate) max: Option<i32>,
}

/// What a span of time is condensed to. Adding is associative, so that a late heartbeat may come at any time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Summary {
    /// Heartbeats.
    pub(crate) beats: i64,
    pub(crate) stats: [Stat; VALUES],
}

impl Summary {
    /// Adds one heartbeat.
    pub(crate) fn add(&mut self, values: &Values) {
        self.beats += 1;
        for (stat, value) in self.stats.iter_mut().zip(values.0) {
            if let Some(value) = value {
                stat.count += 1;
                stat.sum += i64::from(value);
                stat.max = stat.max.max(Some(value));
            }
        }
    }

    /// Adds what another summary has.
    pub(crate) fn merge(&mut self, other: &Self) {
        self.beats += other.beats;
        for (stat, more) in self.stats.iter_mut().zip(other.stats) {
            stat.count += more.count;
            stat.sum += more.sum;
            stat.max = stat.max.max(more.max);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_in_the_order_of_the_columns() {
        for (place, value) in Value::ALL.into_iter().enumerate() {
            assert_eq!(value as usize, place);
        }
    }

    #[test]
    fn numbers_keep_their_digits() {
        assert_eq!(Value::Temp.stored(48.8), Some(488));
        assert_eq!(Value::Temp.stored(-0.04), Some(0));
        assert_eq!(Value::Power.stored(3.456), Some(346));
        assert_eq!(Value::Fan.stored(1e30), None);
        assert_eq!(Value::Fan.stored(f64::NAN), None);
        let mut values = Values::default();
        values.set(Value::Temp, Some(488));
        assert_eq!(values.shown(Value::Temp).unwrap().to_string(), "48.8 °C");
        assert!(values.shown(Value::Cpu).is_none());
    }

    #[test]
    fn a_summary_counts_only_what_was_read() {
        let mut values = Values::default();
        values.set(Value::Temp, Some(-20));
        let mut summary = Summary::default();
        summary.add(&values);
        summary.add(&Values::default());
        assert_eq!(summary.beats, 2);
        assert_eq!(summary.stats[Value::Temp as usize], Stat { count: 1, sum: -20, max: Some(-20) });
        assert_eq!(summary.stats[Value::Cpu as usize], Stat::default());
        let mut twice = summary;
        twice.merge(&summary);
        assert_eq!(twice.stats[Value::Temp as usize], Stat { count: 2, sum: -40, max: Some(-20) });
    }
}
