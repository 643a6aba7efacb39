//! All conditions of one device.

use super::{
    condition::{Change, Condition, Delays, Seen},
    kind::Kind,
};
use crate::{
    config::Expect,
    limits::VERSION_PAUSE_MS,
    model::{
        document::{Reading, UNDER_VOLTAGE},
        reading::Value,
    },
    presence::Presence,
    time::{Now, UnixMs, Uptime, span},
};

/// A device's clock is wrong if it differs by more than this, milliseconds. Heartbeats may take seconds.
const CLOCK_WRONG_MS: i64 = 120_000;
/// And right if it differs by less than this.
const CLOCK_RIGHT_MS: i64 = 60_000;

/// Something that is announced to people and stored in the history of the device.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Notice {
    pub(crate) kind: Kind,
    pub(crate) since: UnixMs,
    /// Otherwise it is over.
    pub(crate) raised: bool,
    /// For people: what was measured, or how long it lasted.
    pub(crate) detail: String,
}

/// The conditions of one device.
#[derive(Debug, Clone, Default)]
pub(crate) struct Watch {
    conditions: [Condition; Kind::LASTING.len()],
    version: Version,
}

/// The version of the application, as people were told.
#[derive(Debug, Clone, Default)]
struct Version {
    told: Option<String>,
    told_at: Option<Uptime>,
    /// The version that was seen last, if it is another one, and how often it has changed since.
    seen: Option<String>,
    changes: u32,
}

impl Version {
    /// Takes what a heartbeat says. What is to be told: versions may take turns, after each boot into the other half of a
    /// disk, so that after one message the next waits, and tells what has become of it. `may_tell`: otherwise it waits, too.
    fn see(&mut self, now: Uptime, version: &str, may_tell: bool) -> Option<String> {
        let Some(told) = &self.told else {
            self.told = Some(version.to_owned());
            return None;
        };
        let before = self.seen.as_deref().unwrap_or(told);
        if version != before {
            self.changes += 1;
            self.seen = Some(version.to_owned()).filter(|version| version != told);
        }
        let pauses = self.told_at.is_some_and(|told_at| now.since(told_at) < VERSION_PAUSE_MS);
        if pauses || !may_tell {
            return None;
        }
        let changes = std::mem::take(&mut self.changes);
        let often = if changes > 1 { format!(", changed {changes} times") } else { String::new() };
        let detail = match self.seen.take() {
            Some(new) => {
                let detail = format!("from {told} to {new}{often}");
                self.told = Some(new);
                detail
            }
            None if changes > 1 => format!("{told} again{often}"),
            None => return None,
        };
        self.told_at = Some(now);
        Some(detail)
    }
}

impl Watch {
    /// A device of which these alerts were raised when the server stopped.
    pub(crate) fn resume(raised: impl IntoIterator<Item = (Kind, UnixMs)>, version: Option<String>) -> Self {
        let version = Version { told: version, ..Version::default() };
        let mut watch = Self { version, ..Self::default() };
        for (kind, since) in raised {
            if let Some(condition) = watch.condition(kind) {
                *condition = Condition::Raised(since);
            }
        }
        watch
    }

    /// Takes a live heartbeat. `skew_ms`: the device's clock less the server's; `None`: it has not been set.
    pub(crate) fn beat(
        &mut self,
        now: Now,
        reading: &Reading,
        skew_ms: Option<i64>,
        expect: &Expect,
        may_raise: bool,
    ) -> Vec<Notice> {
        let mut notices = Vec::new();
        for kind in Kind::LASTING {
            let Some((seen, delays)) = judge(kind, reading, skew_ms, expect) else { continue };
            let Some(condition) = self.condition(kind) else { continue };
            if let Some(change) = condition.observe(now, now.at, seen, delays, may_raise) {
                notices.push(notice(now.at, kind, change, &measured(kind, reading, skew_ms)));
            }
        }
        if let Some(version) = &reading.app_version
            && let Some(detail) = self.version.see(now.up, version, may_raise)
            && expect.version_changes
        {
            notices.push(Notice { kind: Kind::Version, since: now.at, raised: true, detail });
        }
        notices
    }

    /// Takes the device's presence, once a second. It is offline since it was heard last, and back when it has been heard
    /// without a gap for a while: one that is late again is not.
    pub(crate) fn presence(
        &mut self,
        now: Now,
        presence: Presence,
        seen_at: Option<UnixMs>,
        expect: &Expect,
        may_raise: bool,
    ) -> Option<Notice> {
        let seen = match presence {
            Presence::Offline => Seen::Bad,
            Presence::Late => Seen::Neither,
            Presence::Online => Seen::Good,
        };
        let delays = Delays { raise: 0, clear: expect.back_after_ms };
        let since = seen_at.unwrap_or(now.at);
        let change = self.condition(Kind::Offline)?.observe(now, since, seen, delays, may_raise)?;
        let detail =
            seen_at.map_or("never heard".to_owned(), |at| format!("last heard {} UTC", at.readable()));
        Some(notice(now.at, Kind::Offline, change, &detail))
    }

    /// Whether [`Watch::presence`] could change anything.
    pub(crate) fn heeds(&self, presence: Presence) -> bool {
        match self.conditions.first() {
            Some(Condition::Clear) => presence == Presence::Offline,
            Some(Condition::Raised(_)) => presence == Presence::Online,
            _ => true,
        }
    }

    /// What is raised, and since when.
    pub(crate) fn raised(&self) -> Vec<(Kind, UnixMs)> {
        let conditions = Kind::LASTING.into_iter().zip(self.conditions);
        conditions.filter_map(|(kind, condition)| Some((kind, condition.raised_since()?))).collect()
    }

    /// The calendar was set: `mend` says what a time is on the new one.
    pub(crate) fn mend(&mut self, mend: impl Fn(UnixMs) -> UnixMs) {
        for condition in &mut self.conditions {
            condition.mend(&mend);
        }
    }

    fn condition(&mut self, kind: Kind) -> Option<&mut Condition> {
        self.conditions.get_mut(Kind::LASTING.iter().position(|other| *other == kind)?)
    }
}

/// What a heartbeat says about a condition, and how long it must last; `None` for what heartbeats say nothing about.
fn judge(kind: Kind, reading: &Reading, skew_ms: Option<i64>, expect: &Expect) -> Option<(Seen, Delays)> {
    let yes = |bad: Option<bool>| match bad {
        Some(true) => Seen::Bad,
        Some(false) => Seen::Good,
        None => Seen::Unknown,
    };
    let value = |value| reading.values.get(value);
    let seconds = |raise: i64, clear: i64| Delays { raise: raise * 1000, clear: clear * 1000 };
    Some(match kind {
        Kind::Offline | Kind::Version => return None,
        // Five degrees and three percent of hysteresis.
        Kind::Hot => {
            (Seen::between(value(Value::Temp), expect.temp_high - 50, expect.temp_high), seconds(60, 60))
        }
        Kind::Disk => {
            (Seen::between(value(Value::Disk), expect.disk_high - 30, expect.disk_high), seconds(60, 60))
        }
        // A dip is over before an operator could look: it is announced at once, and over after five good minutes.
        Kind::UnderVoltage => (yes(reading.throttled.map(|mask| mask & UNDER_VOLTAGE != 0)), seconds(0, 300)),
        Kind::ReadOnly => (yes(reading.read_only), seconds(0, 60)),
        Kind::Recording => (yes(Some(expect.recording && !reading.recording)), seconds(300, 10)),
        Kind::Clock => (clock(reading, skew_ms), seconds(300, 60)),
    })
}

fn clock(reading: &Reading, skew_ms: Option<i64>) -> Seen {
    match skew_ms.map(i64::abs) {
        None => Seen::Bad,
        Some(skew) if skew > CLOCK_WRONG_MS => Seen::Bad,
        Some(skew) if skew < CLOCK_RIGHT_MS && reading.clock_synchronized != Some(false) => Seen::Good,
        Some(_) => Seen::Neither,
    }
}

fn measured(kind: Kind, reading: &Reading, skew_ms: Option<i64>) -> String {
    let value = |value| reading.values.shown(value).map_or(String::new(), |shown| shown.to_string());
    match kind {
        Kind::Hot => value(Value::Temp),
        Kind::Disk => value(Value::Disk),
        Kind::Clock => {
            skew_ms.map_or("not set".to_owned(), |skew| format!("differs by {}", span(skew.abs())))
        }
        _ => String::new(),
    }
}

fn notice(now: UnixMs, kind: Kind, change: Change, measured: &str) -> Notice {
    match change {
        Change::Raised(since) => Notice { kind, since, raised: true, detail: measured.to_owned() },
        Change::Cleared(since) => {
            Notice { kind, since, raised: false, detail: format!("after {}", span(now.since(since))) }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::time::MINUTE_MS;

    fn expect(text: &str) -> Expect {
        let config: crate::config::Config = toml::from_str(text).unwrap();
        *config.expectations().of(None)
    }

    /// Kinds that are raised when a reading is seen every 5 s for `seconds`.
    fn raised(reading: &Reading, skew_ms: Option<i64>, expect: &Expect, seconds: i64) -> Vec<Kind> {
        let mut watch = Watch::default();
        let beats = (0..=seconds / 5)
            .flat_map(|n| watch.beat(UnixMs(n * 5000).into(), reading, skew_ms, expect, true));
        beats.filter(|notice| notice.raised).map(|notice| notice.kind).collect()
    }

    fn reading(value: Value, stored: i32) -> Reading {
        let mut reading = Reading::default();
        reading.values.set(value, Some(stored));
        reading
    }

    /// Reading, clock, expectation, seconds, what is raised.
    type Case<'a> = (&'a Reading, Option<i64>, &'a Expect, i64, &'a [Kind]);

    #[test]
    fn each_condition_has_its_threshold_and_its_minimum_time() {
        let default = expect("");
        let recording = expect("[expect]\nrecording = true");
        let throttled = |mask| Reading { throttled: Some(mask), ..Reading::default() };
        let read_only = Reading { read_only: Some(true), ..Reading::default() };
        let nothing = Reading::default();
        let cases: [Case<'_>; 13] = [
            (&reading(Value::Temp, 800), Some(0), &default, 60, &[Kind::Hot]),
            (&reading(Value::Temp, 800), Some(0), &default, 55, &[]),
            (&reading(Value::Temp, 799), Some(0), &default, 600, &[]),
            (&reading(Value::Disk, 900), Some(0), &default, 60, &[Kind::Disk]),
            (&throttled(1), Some(0), &default, 0, &[Kind::UnderVoltage]),
            (&throttled(0x5_0000), Some(0), &default, 600, &[]),
            (&read_only, Some(0), &default, 0, &[Kind::ReadOnly]),
            (&nothing, Some(0), &recording, 300, &[Kind::Recording]),
            (&nothing, Some(0), &recording, 295, &[]),
            (&nothing, Some(0), &default, 900, &[]),
            (&nothing, None, &default, 300, &[Kind::Clock]),
            (&nothing, Some(-3_600_000), &default, 300, &[Kind::Clock]),
            (&nothing, Some(119_000), &default, 900, &[]),
        ];
        for (reading, skew, expect, seconds, kinds) in cases {
            assert_eq!(raised(reading, skew, expect, seconds), kinds, "{reading:?} {skew:?} for {seconds} s");
        }
    }

    #[test]
    fn offline_and_back_are_told_once_each() {
        let expect = expect("");
        let mut watch = Watch::default();
        let mut told = Vec::new();
        for second in 0..200 {
            let seen_at = if second < 100 { UnixMs(0) } else { UnixMs(second * 1000) };
            let now = UnixMs(second * 1000);
            let presence = Presence::after(Some(now.since(seen_at)), &expect);
            told.extend(watch.presence(now.into(), presence, Some(seen_at), &expect, true));
        }
        assert!(told.iter().all(|notice| notice.since == UnixMs(0)), "since it was heard last");
        let told: Vec<_> = told.iter().map(|notice| (notice.raised, notice.detail.as_str())).collect();
        assert_eq!(told, [(true, "last heard 1970-01-01 00:00:00 UTC"), (false, "after 2 min")]);
    }

    #[test]
    fn one_heartbeat_between_two_silences_is_not_back() {
        let expect = expect("");
        let mut watch = Watch::resume([(Kind::Offline, UnixMs(0))], None);
        for second in 1000..1300 {
            // One a hundred seconds.
            let now = UnixMs(second * 1000);
            let presence = Presence::after(Some(second % 100 * 1000), &expect);
            assert_eq!(watch.presence(now.into(), presence, None, &expect, true), None, "after {second} s");
        }
        assert_eq!(watch.raised(), [(Kind::Offline, UnixMs(0))]);
    }

    #[test]
    fn one_reading_is_neither_hot_nor_cool_again() {
        let expect = expect("");
        let mut watch = Watch::default();
        let told = |watch: &mut Watch, second: i64, temp: Option<i32>| {
            let mut reading = Reading::default();
            reading.values.set(Value::Temp, temp);
            let notices = watch.beat(UnixMs(second * 1000).into(), &reading, Some(0), &expect, true);
            notices.into_iter().map(|notice| (notice.raised, notice.detail)).collect::<Vec<_>>()
        };
        assert_eq!(told(&mut watch, 0, Some(800)), []);
        for second in 1..200 {
            let temp = if second % 2 == 0 { Some(760) } else { None };
            assert_eq!(told(&mut watch, second, temp), [], "after {second} s");
        }
        told(&mut watch, 200, Some(812));
        assert_eq!(told(&mut watch, 260, Some(815)), [(true, "81.5 °C".to_owned())]);
        assert_eq!(told(&mut watch, 270, Some(740)), []);
        for second in 271..400 {
            assert_eq!(told(&mut watch, second, Some(790)), [], "after {second} s");
        }
    }

    #[test]
    fn a_changed_version_is_told_once_and_the_first_one_never() {
        let expect = expect("");
        let mut watch = Watch::default();
        let version = |text: &str| Reading { app_version: Some(text.to_owned()), ..Reading::default() };
        assert!(watch.beat(UnixMs(0).into(), &version("1"), Some(0), &expect, true).is_empty());
        let told = watch.beat(UnixMs(1).into(), &version("2"), Some(0), &expect, true);
        assert_eq!(told.len(), 1);
        assert_eq!(told[0].detail, "from 1 to 2");
        assert!(watch.beat(UnixMs(2).into(), &version("2"), Some(0), &expect, true).is_empty());
        assert!(watch.beat(UnixMs(3).into(), &Reading::default(), Some(0), &expect, true).is_empty());
        assert!(watch.beat(UnixMs(4).into(), &version("2"), Some(0), &expect, true).is_empty());
    }

    #[test]
    fn a_version_that_changed_with_the_server_is_told_after_the_grace() {
        let expect = expect("");
        let mut watch = Watch::resume([], Some("1".to_owned()));
        let reading = Reading { app_version: Some("2".to_owned()), ..Reading::default() };
        let mut told = Vec::new();
        for second in 0..100 {
            let may_raise = second >= 60;
            let notices = watch.beat(UnixMs(second * 1000).into(), &reading, Some(0), &expect, may_raise);
            told.extend(notices.into_iter().map(|notice| (second, notice.detail)));
        }
        assert_eq!(told, [(60, "from 1 to 2".to_owned())]);
    }

    #[test]
    fn versions_that_take_turns_are_told_once_an_hour() {
        let expect = expect("");
        let mut watch = Watch::default();
        let mut told = Vec::new();
        // Every ten minutes the other one, for four hours; then it stays.
        for minute in 0..600 {
            let version = if minute < 240 { minute / 10 % 2 + 1 } else { 2 };
            let reading = Reading { app_version: Some(version.to_string()), ..Reading::default() };
            let notices = watch.beat(UnixMs(minute * MINUTE_MS).into(), &reading, Some(0), &expect, true);
            told.extend(notices.into_iter().map(|notice| (minute, notice.detail)));
        }
        let told: Vec<_> = told.iter().map(|(minute, detail)| (*minute, detail.as_str())).collect();
        assert_eq!(
            told,
            [
                (10, "from 1 to 2"),
                (70, "2 again, changed 6 times"),
                (130, "2 again, changed 6 times"),
                (190, "2 again, changed 6 times"),
                (250, "2 again, changed 4 times"),
            ]
        );
    }

    #[test]
    fn what_was_raised_before_a_restart_is_not_raised_again() {
        let expect = expect("");
        let mut watch = Watch::resume([(Kind::Hot, UnixMs(5))], None);
        for n in 0..30 {
            assert!(
                watch
                    .beat(UnixMs(n * 5000).into(), &reading(Value::Temp, 900), Some(0), &expect, true)
                    .is_empty()
            );
        }
        assert_eq!(watch.raised(), [(Kind::Hot, UnixMs(5))]);
    }
}
