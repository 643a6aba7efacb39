//! Whether heartbeats arrive on a grid: not each one an interval after the one before, which drifts, but all at whole
//! intervals from a common moment.

use std::time::{Duration, Instant};

use crate::finding::Evidence;

/// How far a heartbeat may be from its place on the grid, as a share of the interval.
const TOLERANCE: f64 = 0.125;
/// An emulated processor is as late as its host is busy.
const TOLERANCE_EMULATED: f64 = 0.25;
/// So many of all must be there: a busy board sends one late now and then. Of heartbeats without a grid, fewer are.
const SHARE_MIN: f64 = 0.75;

/// Heartbeats of one start as they arrived, without the first, which goes out at once.
#[derive(Debug, Default)]
pub(super) struct Grid(Vec<Instant>);

impl Grid {
    /// Adds the next one.
    pub(super) fn add(&mut self, at: Instant) {
        self.0.push(at);
    }

    /// Compares them with the grid that fits best.
    pub(super) fn judge(&self, interval: Duration, is_emulated: bool, evidence: &mut Evidence) {
        let tolerance = if is_emulated { TOLERANCE_EMULATED } else { TOLERANCE };
        let Some(first) = self.0.first() else { return };
        let slots: Vec<_> = self
            .0
            .iter()
            .map(|at| at.duration_since(*first).as_secs_f64() / interval.as_secs_f64())
            .collect();
        let (on_grid, doubled) = (on_grid(&slots, tolerance), doubled(&slots));
        let (share, seconds) = (on_grid * 100.0, tolerance * interval.as_secs_f64());
        evidence.holds(
            "heartbeats on one grid",
            format!("{share:.0} % of {}", slots.len()),
            format!("at least {:.0} % within {seconds:.2} s", SHARE_MIN * 100.0),
            "the receiver",
            on_grid >= SHARE_MIN,
        );
        evidence.holds("heartbeats in the slot of another", doubled, 0, "the receiver", doubled == 0);
    }
}

/// The largest share of moments, in intervals, that are near whole intervals from one of them.
fn on_grid(slots: &[f64], tolerance: f64) -> f64 {
    let near = |from: &f64| {
        slots.iter().filter(|slot| ((*slot - from) - (*slot - from).round()).abs() <= tolerance).count()
    };
    let best = slots.iter().map(near).max().unwrap_or(0);
    count(best) / count(slots.len()).max(1.0)
}

/// How many come less than half an interval after the one before.
fn doubled(slots: &[f64]) -> usize {
    slots.windows(2).filter(|pair| matches!(pair, [before, after] if after - before < 0.5)).count()
}

fn count(number: usize) -> f64 {
    u32::try_from(number).map_or(f64::INFINITY, f64::from)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn arrivals(slot: impl Fn(u32) -> f64) -> Vec<f64> {
        (0..16).map(slot).collect()
    }

    #[test]
    fn a_late_heartbeat_now_and_then_is_on_its_grid() {
        let slots = arrivals(|number| f64::from(number) + if number % 5 == 0 { 0.4 } else { 0.05 });
        assert!(on_grid(&slots, TOLERANCE) >= SHARE_MIN, "{slots:?}");
        // A slot that was not used.
        let slots = arrivals(|number| f64::from(number + number / 7));
        assert!(on_grid(&slots, TOLERANCE) >= SHARE_MIN, "{slots:?}");
    }

    #[test]
    fn an_interval_after_each_sending_drifts_off_the_grid() {
        for drift in [0.05, 0.15, 0.3] {
            let slots = arrivals(|number| f64::from(number) * (1.0 + drift));
            assert!(on_grid(&slots, TOLERANCE) < SHARE_MIN, "{drift}");
        }
    }

    #[test]
    fn heartbeats_without_a_grid_are_not_on_one() {
        // Multiples of the golden ratio are spread evenly.
        let slots = arrivals(|number| f64::from(number) + (f64::from(number) * 0.618_034).fract());
        assert!(on_grid(&slots, TOLERANCE_EMULATED) < SHARE_MIN, "{slots:?}");
    }

    #[test]
    fn two_at_once_are_seen() {
        assert_eq!(doubled(&[0.0, 1.0, 1.1, 2.0, 3.0]), 1);
        assert_eq!(doubled(&[0.0, 1.1, 2.0]), 0);
    }
}
