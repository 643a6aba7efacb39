//! The grid: which slots have come due, and what became of each.

use heartbeat_core::{
    Config, Stats,
    time::{Duration, Instant},
};

use super::{Broken, broken};

/// What became of a slot.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fate {
    /// Its sensors are being asked.
    Open,
    Attempted,
    HeldBack,
    Skipped,
}

/// All slots so far, and the current one.
#[derive(Debug)]
pub(super) struct Slots {
    current: Instant,
    /// Until when the beat may wait for sensors, and until when it may go out at all: as the settings were when it began.
    limits: (Instant, Instant),
    next: Instant,
    fate: Fate,
    passed: u64,
    skipped: u64,
    held_back: u64,
    /// No attempt before this time: the previous one plus an interval less the lateness that both may have had.
    none_before: Instant,
    first_gap: Duration,
}

impl Slots {
    pub(super) fn new(now: Instant, first_gap: Duration) -> Self {
        Self {
            current: now,
            limits: (now, now),
            next: now,
            fate: Fate::Skipped,
            passed: 0,
            skipped: 0,
            held_back: 0,
            none_before: Instant::ZERO,
            first_gap,
        }
    }

    pub(super) fn current(&self) -> Instant {
        self.current
    }

    pub(super) fn next(&self) -> Instant {
        self.next
    }

    pub(super) fn passed(&self) -> u64 {
        self.passed
    }

    pub(super) fn skipped(&self) -> u64 {
        self.skipped
    }

    pub(super) fn held_back(&self) -> u64 {
        self.held_back
    }

    /// Until when the current beat may wait for sensors.
    pub(super) fn sampling_deadline(&self) -> Instant {
        self.limits.0
    }

    pub(super) fn is_open(&self) -> bool {
        self.fate == Fate::Open
    }

    pub(super) fn is_held_back(&self) -> bool {
        self.fate == Fate::HeldBack
    }

    /// Takes the slots that have come due. True when there were any.
    pub(super) fn advance(&mut self, now: Instant, config: &Config, stalled: bool) -> Result<bool, Broken> {
        if now < self.next {
            return Ok(false);
        }
        let before = self.skipped;
        if self.fate == Fate::Open {
            self.skipped += 1;
        }
        let first = self.passed == 0;
        let gap = if first { self.first_gap } else { config.interval() };
        let overdue = now.since(self.next);
        let missed = if first { 0 } else { overdue.as_micros() / gap.as_micros() };
        self.passed += missed + 1;
        self.skipped += missed;
        self.current = self.next + Duration::from_micros(missed * gap.as_micros());
        self.next = self.current + gap;
        self.limits = (self.current + config.sampling_deadline(), self.current + config.lateness_limit());
        self.fate = Fate::Open;
        if now > self.limits.0 {
            self.fate = Fate::Skipped;
            self.skipped += 1;
        }
        if self.skipped > before && !stalled {
            broken!("S4 coverage", "no poll for {overdue:?} after a slot");
        }
        Ok(true)
    }

    /// Checks whether back-off has rightly withheld, or not, the beat of the slot that has just begun, if it has one:
    /// `patience` is until when it must be withheld, and from when on it must not be.
    pub(super) fn hold(&mut self, stats: &Stats, patience: (Instant, Instant)) -> Result<(), Broken> {
        if self.fate != Fate::Open {
            return Ok(());
        }
        if stats.withheld > self.held_back {
            if self.current >= patience.1 {
                broken!("S15 back-off", "a beat was held back at {:?} without reason", self.current);
            }
            self.held_back += 1;
            self.fate = Fate::HeldBack;
        } else if self.current < patience.0 {
            broken!("S15 back-off", "a beat begins at {:?}, before {:?}", self.current, patience.0);
        }
        Ok(())
    }

    /// The beat of the current slot goes out. `waiting`: for a sensor, until now.
    pub(super) fn attempt(&mut self, now: Instant, stalled: bool, waiting: bool) -> Result<(), Broken> {
        if self.fate != Fate::Open {
            broken!("S2 grid", "an attempt in a slot that is {:?}", self.fate);
        }
        let late = now.since(self.current);
        let excused =
            late == Duration::ZERO || (waiting && now <= self.limits.0) || (stalled && now <= self.limits.1);
        if !excused {
            broken!("S2 grid", "an attempt {late:?} after its slot");
        }
        if now < self.none_before {
            broken!(
                "S7 no catch-up",
                "an attempt {:?} too early after the previous one",
                self.none_before.since(now)
            );
        }
        self.none_before = now + (self.next.since(self.current) - self.limits.1.since(self.current));
        self.fate = Fate::Attempted;
        Ok(())
    }

    /// After everything else: a beat that has not gone out must have a reason.
    pub(super) fn settle(&mut self, now: Instant, stalled: bool, waiting: bool) -> Result<(), Broken> {
        if self.fate != Fate::Open {
            return Ok(());
        }
        let late = now.since(self.current);
        if stalled && now > self.limits.1 {
            self.fate = Fate::Skipped;
            self.skipped += 1;
        } else if now >= self.limits.0 {
            broken!("S4 coverage", "no attempt {late:?} after its slot");
        } else if !waiting {
            broken!("S4 coverage", "no attempt although every sensor has answered");
        }
        Ok(())
    }

    /// Nothing more will come of the current slot.
    pub(super) fn stop(&mut self) {
        if self.fate == Fate::Open {
            self.fate = Fate::Skipped;
            self.skipped += 1;
        }
    }
}
