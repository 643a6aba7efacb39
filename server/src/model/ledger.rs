//! The ledger of one device: which of its heartbeats are new, repeated, late or lost, and where each goes in history.
//!
//! A pure state machine: the time and the heartbeat are arguments, what is to be stored is the answer. The engine works
//! on a copy and puts it in place of the old ledger when the database has committed, so that nothing is counted that is
//! not stored.
//!
//! # Repeated and lost
//!
//! An agent numbers what it sends (`boot_id`, `seq`), in order, one at a time. A window of 64 numbers for each of its
//! starts tells what has come already; a live number below the window has come. Late heartbeats (`replayed`) are older than
//! the window as a rule, and the database is asked about those: one that was stored live comes late, too, when its answer
//! was lost. What is missing between the numbers was lost.
//!
//! # Minutes
//!
//! The minute in which a device is now is summed up here and written when it is over. Its heartbeats are in the
//! database, so a server that is killed sums them up again (`Minute::Open`). A heartbeat of a minute that has been
//! written is added to it.

use crate::{
    limits::{BOOTS_IN_MEMORY, CLOCK_PLAUSIBLE, CLOCK_STEP_MS},
    model::{
        boot::Boot,
        document::{Beat, Sequence},
        reading::{Summary, Values},
    },
    time::{HOUR_MS, MINUTE_MS, UnixMs},
};

/// The minute in which the device is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(clippy::large_enum_variant, reason = "nearly all devices are in an open minute")]
pub(crate) enum Minute {
    /// This one and those before are in the database.
    Written(UnixMs),
    /// This one is summed up in memory; those before are in the database.
    Open(UnixMs, Summary),
}

/// What is known of one device's heartbeats.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Ledger {
    /// Place in history of the newest heartbeat, but for those that came while the clock was ahead. Places of a device are
    /// unique.
    pub(crate) last_at: UnixMs,
    /// The latest starts, the newest last.
    pub(crate) boots: Vec<Boot>,
    pub(crate) minute: Minute,
}

/// What is to be stored of a new heartbeat.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Entry {
    /// Its place in history.
    pub(crate) at: UnixMs,
    /// The agent's start, as it is now.
    pub(crate) boot: Option<Boot>,
    /// What is to be added to minutes, and to their hours.
    pub(crate) minutes: Vec<(UnixMs, Summary)>,
    /// Heartbeats that were lost right before this one.
    pub(crate) gap: u64,
    /// The first heartbeat of a start that is new to the server, of a device that it knows.
    pub(crate) restarted: bool,
}

impl Default for Ledger {
    /// The ledger of a device from which nothing has come yet.
    fn default() -> Self {
        Self { last_at: UnixMs(0), boots: Vec::new(), minute: Minute::Written(UnixMs(i64::MIN)) }
    }
}

impl Ledger {
    /// The start `id`, if it is in memory.
    pub(crate) fn boot(&self, id: u64) -> Option<&Boot> {
        self.boots.iter().find(|boot| boot.id == id)
    }

    /// Puts a start that the database knows, or has just made, into memory.
    pub(crate) fn remember(&mut self, boot: Boot) {
        self.boots.retain(|other| other.id != boot.id);
        self.boots.push(boot);
        self.boots.sort_by_key(|boot| boot.ordinal);
    }

    /// Forgets the oldest starts. The database knows them.
    pub(crate) fn forget_old_boots(&mut self) {
        let surplus = self.boots.len().saturating_sub(BOOTS_IN_MEMORY);
        self.boots.drain(..surplus);
    }

    /// Whether [`Ledger::close_minute`] has something to write.
    pub(crate) fn is_idle(&self, now: UnixMs) -> bool {
        matches!(self.minute, Minute::Open(minute, _) if now.since(minute) > 3 * MINUTE_MS)
    }

    /// Heartbeats that were sent and have not come, of the starts that are in memory.
    pub(crate) fn lost(&self) -> u64 {
        // A device may say any number.
        self.boots.iter().fold(0, |lost, boot| lost.saturating_add(boot.lost()))
    }

    /// Whether only the database can tell that this late heartbeat is new.
    pub(crate) fn must_look_up(&self, beat: &Beat) -> bool {
        let Some(Sequence { boot, number }) = beat.sequence else { return false };
        beat.replayed && self.boot(boot).is_some_and(|boot| boot.in_window(number) != Some(true))
    }

    /// Records a heartbeat that came at `now`. `known`: the database has it already. `late_ms`: how old a late one may be
    /// to go where it was sampled. `None`: it is repeated, and nothing is to be stored.
    pub(crate) fn book(&mut self, now: UnixMs, beat: &Beat, known: bool, late_ms: i64) -> Option<Entry> {
        let at = self.place(now, beat, late_ms);
        let first_of_device = self.boots.iter().all(|boot| boot.max == 0);
        let mut entry = Entry { at, boot: None, minutes: Vec::new(), gap: 0, restarted: false };
        if let Some(Sequence { boot: id, number }) = beat.sequence
            && let Some(boot) = self.boots.iter_mut().find(|boot| boot.id == id)
        {
            let first_of_boot = boot.max == 0;
            if beat.replayed {
                if known || boot.in_window(number) == Some(true) {
                    return None;
                }
                if let Some(age) = boot.max.checked_sub(number)
                    && age < 64
                {
                    boot.window |= 1 << age;
                }
                if number > boot.base {
                    boot.received += 1;
                }
            } else {
                entry.gap = boot.advance(number, first_of_device)?;
                entry.restarted = first_of_boot && !first_of_device;
            }
            boot.last_at = boot.last_at.max(now);
            entry.boot = Some(*boot);
        }
        self.last_at = if self.is_ahead(now) && !beat.replayed { at } else { self.last_at.max(at) };
        self.sum_up(at, &beat.reading.values, &mut entry.minutes);
        Some(entry)
    }

    /// Writes the open minute if it has been over for a while.
    pub(crate) fn close_minute(&mut self, now: UnixMs) -> Option<(UnixMs, Summary)> {
        match self.minute {
            Minute::Open(minute, summary) if self.is_idle(now) => {
                self.minute = Minute::Written(minute);
                Some((minute, summary))
            }
            _ => None,
        }
    }

    /// The place in history: the server's time for a live heartbeat. A late one goes where the device says that it was
    /// sampled, if that can be: otherwise an outage of an hour would end up in one minute, and in that of today.
    fn place(&self, now: UnixMs, beat: &Beat, late_ms: i64) -> UnixMs {
        match beat.sampled_at {
            Some(sampled) if beat.replayed && sampled <= now && now.since(sampled) < late_ms => sampled,
            // The newest one came while the clock was ahead. Behind it there would be no history before that time comes.
            _ if self.is_ahead(now) => now,
            _ => now.max(self.last_at.plus(1)),
        }
    }

    /// Whether the newest heartbeat is in the future of a clock that has been set since 1970.
    fn is_ahead(&self, now: UnixMs) -> bool {
        self.last_at.since(now) > CLOCK_STEP_MS && now >= CLOCK_PLAUSIBLE
    }

    fn sum_up(&mut self, at: UnixMs, values: &Values, minutes: &mut Vec<(UnixMs, Summary)>) {
        let minute = at.floor(MINUTE_MS);
        let mut summary = Summary::default();
        summary.add(values);
        match &mut self.minute {
            Minute::Open(open, sum) if *open == minute => sum.add(values),
            Minute::Open(open, _) | Minute::Written(open) if minute < *open => {
                minutes.push((minute, summary))
            }
            Minute::Written(written) if minute == *written => minutes.push((minute, summary)),
            Minute::Written(_) => self.minute = Minute::Open(minute, summary),
            Minute::Open(open, sum) => {
                minutes.push((*open, *sum));
                self.minute = Minute::Open(minute, summary);
            }
        }
    }
}

/// The hour into which a minute falls.
pub(crate) fn hour_of(minute: UnixMs) -> UnixMs {
    minute.floor(HOUR_MS)
}

#[cfg(test)]
mod tests {
    use std::collections::{BTreeMap, HashSet};

    use proptest::prelude::*;
    use serde_json::json;

    use super::*;
    use crate::model::document::sample;

    const T0: i64 = 1_700_000_000_000;
    const LATE_MS: i64 = 30 * crate::time::DAY_MS;

    fn beat(changes: serde_json::Value) -> Beat {
        Beat::parse(sample(changes).to_string().as_bytes()).unwrap()
    }

    fn numbered(number: u64) -> Beat {
        beat(json!({"seq": number}))
    }

    fn late(number: u64, sampled_s: i64) -> Beat {
        beat(json!({"seq": number, "replayed": true, "timestamp": sampled_s}))
    }

    fn ledger() -> Ledger {
        let mut ledger = Ledger::default();
        ledger.remember(Boot::new(0x0123_4567_89ab_cdef, 1, UnixMs(T0)));
        ledger
    }

    #[test]
    fn a_repeated_heartbeat_is_not_booked() {
        let mut ledger = ledger();
        assert!(ledger.book(UnixMs(T0), &numbered(1), false, LATE_MS).is_some());
        let before = ledger.clone();
        assert_eq!(ledger.book(UnixMs(T0 + 5000), &numbered(1), false, LATE_MS), None);
        assert_eq!(ledger, before);
    }

    #[test]
    fn lost_heartbeats_are_counted_until_they_come_late() {
        let mut ledger = ledger();
        ledger.book(UnixMs(T0), &numbered(1), false, LATE_MS);
        let entry = ledger.book(UnixMs(T0 + 20_000), &numbered(5), false, LATE_MS).unwrap();
        assert_eq!(entry.gap, 3);
        assert_eq!(ledger.boots[0].lost(), 3);
        for number in [2, 3] {
            assert!(ledger.book(UnixMs(T0 + 21_000), &late(number, T0 / 1000), false, LATE_MS).is_some());
            assert!(ledger.book(UnixMs(T0 + 21_000), &late(number, T0 / 1000), false, LATE_MS).is_none());
        }
        assert_eq!(ledger.boots[0].lost(), 1);
    }

    #[test]
    fn what_was_sent_before_the_server_knew_the_device_is_not_lost() {
        let mut ledger = ledger();
        let entry = ledger.book(UnixMs(T0), &numbered(100_000), false, LATE_MS).unwrap();
        assert_eq!((entry.gap, entry.restarted, ledger.boots[0].lost()), (0, false, 0));
    }

    #[test]
    fn late_heartbeats_that_come_first_make_no_restart_and_no_gap() {
        let mut ledger = ledger();
        for number in 1..40 {
            ledger.book(UnixMs(T0), &late(number, T0 / 1000 - 100), false, LATE_MS);
        }
        let entry = ledger.book(UnixMs(T0), &numbered(40), false, LATE_MS).unwrap();
        assert_eq!((entry.gap, entry.restarted, ledger.lost()), (0, false, 0));
        assert_eq!(ledger.book(UnixMs(T0), &numbered(42), false, LATE_MS).unwrap().gap, 1);
        assert_eq!(ledger.lost(), 1);
    }

    #[test]
    fn a_new_start_of_a_known_device_is_a_restart_and_misses_from_1() {
        let mut ledger = ledger();
        ledger.book(UnixMs(T0), &numbered(9), false, LATE_MS);
        ledger.remember(Boot::new(0xfeed_0000_0000_0001, 2, UnixMs(T0)));
        let beat = beat(json!({"boot_id": "feed000000000001", "seq": 3}));
        let entry = ledger.book(UnixMs(T0 + 5000), &beat, false, LATE_MS).unwrap();
        assert!(entry.restarted);
        assert_eq!(entry.gap, 2);
    }

    #[test]
    fn a_late_heartbeat_goes_where_it_was_sampled_if_that_can_be() {
        let mut ledger = ledger();
        ledger.book(UnixMs(T0), &numbered(50), false, LATE_MS);
        let place = |ledger: &mut Ledger, number, sampled| {
            ledger.book(UnixMs(T0 + 5000), &late(number, sampled), false, LATE_MS).unwrap().at
        };
        assert_eq!(place(&mut ledger, 1, T0 / 1000 - 3600), UnixMs(T0 - 3_600_000));
        // A device that was switched off for a week.
        assert_eq!(place(&mut ledger, 4, T0 / 1000 - 7 * 86_400), UnixMs(T0 - 7 * 86_400_000));
        // In the future, and from before the clock was set: the server's time.
        assert_eq!(place(&mut ledger, 2, T0 / 1000 + 3600), UnixMs(T0 + 5000));
        assert_eq!(place(&mut ledger, 3, 12), UnixMs(T0 + 5001));
    }

    #[test]
    fn places_of_live_heartbeats_rise_although_the_clock_is_corrected() {
        let mut ledger = ledger();
        let first = ledger.book(UnixMs(T0), &numbered(1), false, LATE_MS).unwrap().at;
        let second = ledger.book(UnixMs(T0 - 5000), &numbered(2), false, LATE_MS).unwrap().at;
        assert!(second > first);
        // A board that has just started in 1970.
        let third = ledger.book(UnixMs(20_000), &numbered(3), false, LATE_MS).unwrap().at;
        assert!(third > second);
    }

    #[test]
    fn a_clock_that_was_ahead_for_a_minute_leaves_the_history_as_it_is() {
        let mut ledger = ledger();
        let ahead = T0 + LATE_MS;
        ledger.book(UnixMs(T0), &numbered(1), false, LATE_MS);
        ledger.book(UnixMs(ahead), &numbered(2), false, LATE_MS);
        let mut minutes: BTreeMap<UnixMs, i64> = BTreeMap::new();
        for number in 3..40u64 {
            let now = UnixMs(T0 + 5000 * number.cast_signed());
            let entry = ledger.book(now, &numbered(number), false, LATE_MS).unwrap();
            assert_eq!(entry.at, now);
            for (minute, summary) in entry.minutes {
                *minutes.entry(minute).or_default() += summary.beats;
            }
            if number == 20 {
                // After a start the newest one in the database is that of the wrong minute.
                ledger.last_at = UnixMs(ahead);
            }
        }
        assert_eq!(ledger.last_at, UnixMs(T0 + 5000 * 39));
        assert_eq!(minutes.values().sum::<i64>(), 37, "each is in its minute: {minutes:?}");
        // Of two in a millisecond each has its place.
        let now = UnixMs(T0 + 200_000);
        let places = [40, 41].map(|number| ledger.book(now, &numbered(number), false, LATE_MS).unwrap().at);
        assert_eq!(places, [now, now.plus(1)]);
    }

    #[test]
    fn only_the_latest_starts_stay_in_memory() {
        let mut ledger = Ledger::default();
        for ordinal in 1..8u64 {
            ledger.remember(Boot::new(ordinal, ordinal.cast_signed(), UnixMs(T0)));
        }
        ledger.forget_old_boots();
        assert_eq!(ledger.boots.len(), BOOTS_IN_MEMORY);
        assert!(ledger.boot(7).is_some() && ledger.boot(3).is_none());
    }

    #[test]
    fn an_idle_minute_is_written_once() {
        let mut ledger = ledger();
        ledger.book(UnixMs(T0), &numbered(1), false, LATE_MS);
        assert_eq!(ledger.close_minute(UnixMs(T0 + 60_000)), None);
        assert!(ledger.close_minute(UnixMs(T0 + 400_000)).is_some());
        assert_eq!(ledger.close_minute(UnixMs(T0 + 400_000)), None);
    }

    #[test]
    fn numbers_of_any_size_are_counted() {
        let mut ledger = ledger();
        for (place, boot) in ["0123456789abcdef", "feed000000000001", "feed000000000002"].iter().enumerate() {
            let id = u64::from_str_radix(boot, 16).unwrap();
            if ledger.boot(id).is_none() {
                ledger.remember(Boot::new(id, i64::try_from(place).unwrap() + 1, UnixMs(T0)));
            }
            ledger.book(UnixMs(T0), &beat(json!({"boot_id": boot, "seq": 1})), false, LATE_MS);
            ledger.book(UnixMs(T0), &beat(json!({"boot_id": boot, "seq": u64::MAX})), false, LATE_MS);
        }
        assert_eq!(ledger.lost(), u64::MAX);
    }

    proptest! {
        /// With any mix of live, late and repeated heartbeats, every number is stored once, and the minutes hold what
        /// was stored.
        #[test]
        fn every_heartbeat_is_stored_once_and_summed_up_once(
            steps in proptest::collection::vec((1u64..90, any::<bool>(), 0i64..200_000), 1..200),
        ) {
            let mut ledger = ledger();
            let mut now = T0;
            let mut in_history = HashSet::new();
            let mut stored = Vec::new();
            let mut minutes: BTreeMap<UnixMs, i64> = BTreeMap::new();
            for (number, replayed, step) in steps {
                now += step / 10;
                let beat = if replayed { late(number, now / 1000 - step / 100) } else { numbered(number) };
                // An agent sends the live one first: what comes late has a smaller number.
                if replayed && number > ledger.boots[0].max { continue; }
                let known = ledger.must_look_up(&beat) && in_history.contains(&number);
                if let Some(entry) = ledger.book(UnixMs(now), &beat, known, LATE_MS) {
                    in_history.insert(number);
                    stored.push(entry.at);
                    for (minute, summary) in entry.minutes {
                        *minutes.entry(minute).or_default() += summary.beats;
                    }
                }
            }
            if let Minute::Open(minute, summary) = ledger.minute {
                *minutes.entry(minute).or_default() += summary.beats;
            }
            prop_assert_eq!(stored.len(), in_history.len());
            let mut expected: BTreeMap<UnixMs, i64> = BTreeMap::new();
            for at in &stored {
                *expected.entry(at.floor(MINUTE_MS)).or_default() += 1;
            }
            prop_assert_eq!(minutes, expected);
        }
    }
}
