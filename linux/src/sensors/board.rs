//! `board` and `diagnostics.clock_synchronized`: what the board is, and what runs on it.

use heartbeat_core::{SensorError, payload::Reason, readings::Board};

use super::{Candidate, Definition, Shared, listed};
use crate::{config::Settings, sources::board::BoardState};

/// Defines the value.
pub(super) struct Sensor;

impl Definition for Sensor {
    type Reading = Board;
    type Config = ();
    const NAME: &'static str = "board";
    const KEYS: &'static [&'static str] =
        &["diagnostics.clock_synchronized", "board.model", "board.os", "board.wear"];

    fn config(_: &Settings) {}

    fn candidates(shared: &Shared, (): &()) -> Vec<Candidate<Board>> {
        vec![shared.blocking(BoardState::default())]
    }

    fn show(board: &Board) -> String {
        let wear = board.wear.map(|wear| {
            let used = wear.life_used.map(|used| format!("{used} % of its life used"));
            let reserve = wear.pre_eol.map(|pre_eol| format!("reserve {}", pre_eol.word()));
            format!("storage: {}", listed([used, reserve]))
        });
        let clock = board.clock_synchronized.map(|is| if is { "synchronized" } else { "not synchronized" });
        listed([
            part("model", board.model.as_ref().map(ToString::to_string).map_err(|error| *error)),
            part("system", board.os.as_ref().map(ToString::to_string).map_err(|error| *error)),
            part("storage", wear),
            part("clock", clock.map(|word| format!("clock {word}"))),
        ])
    }
}

/// One part; by its name if it could not be read, none where it is not there.
fn part(name: &str, value: Result<String, SensorError>) -> Option<String> {
    value
        .map(Some)
        .unwrap_or_else(|error| Reason::of(error).map(|reason| format!("{name} {}", reason.word())))
}

#[cfg(test)]
mod tests {
    use super::*;
    use heartbeat_core::readings::{PreEol, Wear};

    #[test]
    fn shows_what_there_is_and_what_could_not_be_read() {
        let mut board = Board {
            model: Ok("Raspberry Pi 4 Model B Rev 1.4".into()),
            os: Ok("Debian, Linux 6.6.51".into()),
            wear: Ok(Wear { life_used: Some(20), pre_eol: Some(PreEol::Normal) }),
            clock_synchronized: Ok(false),
        };
        let shown = "Raspberry Pi 4 Model B Rev 1.4, Debian, Linux 6.6.51, storage: 20 % of its life used, reserve normal, clock not synchronized";
        assert_eq!(Sensor::show(&board), shown);
        board.os = Err(SensorError::Denied);
        board.wear = Err(SensorError::Absent);
        board.clock_synchronized = Ok(true);
        assert_eq!(Sensor::show(&board), "Raspberry Pi 4 Model B Rev 1.4, system denied, clock synchronized");
    }
}
