//! Which heartbeats tell what the board is: after a start all until one is delivered, then one an hour, and one when it changes.
//!
//! A start of the agent is often earlier than the network, so that a single heartbeat would often be lost.

use crate::{limits::BOARD_EVERY, payload, readings::Board, time::Instant};

/// What the server knows of the board.
#[derive(Debug, Default)]
pub(super) struct Announcement {
    /// What was delivered last, and when it was sent.
    told: Option<(Instant, Board)>,
    /// What the heartbeat that is being sent tells.
    offered: Option<(Instant, Board)>,
}

impl Announcement {
    /// A heartbeat goes out at `now`; `board` is what there is to tell.
    pub(super) fn offer(&mut self, now: Instant, board: Option<&Board>) {
        let is_due = |board: &&Board| match &self.told {
            Some((at, told)) => now.since(*at) >= BOARD_EVERY || !says_the_same(told, board),
            None => true,
        };
        self.offered = board.filter(is_due).map(|board| (now, board.clone()));
    }

    /// What the heartbeat tells.
    pub(super) fn offered(&self) -> Option<&Board> {
        self.offered.as_ref().map(|(_, board)| board)
    }

    /// The heartbeat was delivered, or was not.
    pub(super) fn on_outcome(&mut self, is_delivered: bool) {
        let offered = self.offered.take();
        if is_delivered && offered.is_some() {
            self.told = offered;
        }
    }
}

/// Errors are told in every heartbeat.
fn says_the_same(one: &Board, other: &Board) -> bool {
    payload::Board::of(one) == payload::Board::of(other)
        && one.clock_synchronized.ok() == other.clock_synchronized.ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::readings::{SensorError, Wear};

    fn board() -> Board {
        Board {
            model: Ok("Raspberry Pi 4 Model B Rev 1.4".into()),
            os: Err(SensorError::Absent),
            wear: Err(SensorError::Absent),
            clock_synchronized: Ok(false),
        }
    }

    fn at(secs: u64) -> Instant {
        Instant::from_millis(secs * 1000)
    }

    #[test]
    fn is_told_until_it_is_delivered_and_once_an_hour() {
        let mut announcement = Announcement::default();
        for now in [at(0), at(5)] {
            announcement.offer(now, Some(&board()));
            assert_eq!(announcement.offered(), Some(&board()));
            announcement.on_outcome(false);
            assert_eq!(announcement.offered(), None);
        }
        announcement.offer(at(10), Some(&board()));
        announcement.on_outcome(true);
        announcement.offer(at(15), Some(&board()));
        assert_eq!(announcement.offered(), None);
        announcement.on_outcome(true);
        announcement.offer(at(9) + BOARD_EVERY, Some(&board()));
        assert_eq!(announcement.offered(), None, "the hour counts from the heartbeat that told it");
        announcement.offer(at(10) + BOARD_EVERY, Some(&board()));
        assert!(announcement.offered().is_some());
    }

    #[test]
    fn is_told_when_it_changes_but_not_for_another_error() {
        let mut announcement = Announcement::default();
        announcement.offer(at(0), Some(&board()));
        announcement.on_outcome(true);
        let changes: [fn(&mut Board); 4] = [
            |board| board.clock_synchronized = Ok(true),
            |board| board.model = Err(SensorError::Io),
            |board| board.os = Ok("Debian".into()),
            |board| board.wear = Ok(Wear { life_used: Some(10), pre_eol: None }),
        ];
        for change in changes {
            let mut changed = board();
            change(&mut changed);
            announcement.offer(at(5), Some(&changed));
            assert_eq!(announcement.offered(), Some(&changed));
        }
        announcement.offer(at(5), Some(&Board { os: Err(SensorError::Denied), ..board() }));
        assert_eq!(announcement.offered(), None);
        announcement.offer(at(5), None);
        assert_eq!(announcement.offered(), None, "there is nothing to tell");
    }
}
