//! What the board is, and what runs on it: its model, its system, the wear of its storage, whether its clock is synchronized.

mod clock;
pub(crate) mod model;
pub(crate) mod os;
pub(crate) mod wear;

use heartbeat_core::{
    SensorError,
    limits::{MODEL_MAX, OS_MAX},
    readings::{Board, Wear},
    text::Text,
    time::Duration,
};

use super::{REPROBE, Source, kept::Kept, sysroot::Sysroot};

/// What hardly ever changes is read so often: an upgrade of the system changes its name.
const SLOW: Duration = Duration::from_secs(3600);

/// Files of `/proc`, `/sys`, `/etc` and `/run`, each part for itself.
#[derive(Default)]
pub(crate) struct BoardState {
    slow: Kept<Slow>,
    /// The places that told something.
    places: Vec<&'static str>,
}

/// What hardly ever changes.
#[derive(Clone)]
struct Slow {
    model: Result<Text<MODEL_MAX>, SensorError>,
    os: Result<Text<OS_MAX>, SensorError>,
    wear: Result<Wear, SensorError>,
}

impl Slow {
    fn read(root: &Sysroot) -> Self {
        Self { model: model::read(root), os: os::read(root), wear: wear::read(root) }
    }

    /// What fails is tried again as soon as what is absent.
    fn holds(&self) -> Duration {
        let errors = [self.model.as_ref().err(), self.os.as_ref().err(), self.wear.as_ref().err()];
        let fails = errors.into_iter().flatten().any(|error| *error != SensorError::Absent);
        if fails { REPROBE } else { SLOW }
    }
}

impl Source for BoardState {
    type Reading = Board;

    fn place(&self) -> String {
        if self.places.is_empty() {
            return [model::PLACE, os::PLACE, wear::PLACE, clock::PLACE].join(", ");
        }
        self.places.join(", ")
    }

    fn read(&mut self, root: &Sysroot) -> Result<Board, SensorError> {
        let now = crate::clock::now();
        let slow = match self.slow.get(now) {
            Some(slow) => slow,
            None => {
                let slow = Slow::read(root);
                let holds = slow.holds();
                self.slow.keep(slow, now, holds)
            }
        };
        let Slow { model, os, wear } = slow.clone();
        let board = Board { model, os, wear, clock_synchronized: clock::read(root) };
        let told = [
            (board.model.is_ok(), model::PLACE),
            (board.os.is_ok(), os::PLACE),
            (board.wear.is_ok(), wear::PLACE),
            (board.clock_synchronized.is_ok(), clock::PLACE),
        ];
        self.places = told.into_iter().filter(|(is_told, _)| *is_told).map(|(_, place)| place).collect();
        let absent = SensorError::Absent;
        let nothing =
            Board { model: Err(absent), os: Err(absent), wear: Err(absent), clock_synchronized: Err(absent) };
        if board == nothing { Err(absent) } else { Ok(board) }
    }

    fn holds(&self, _: &Result<Board, SensorError>) -> Duration {
        REPROBE
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use heartbeat_core::readings::PreEol;
    use std::{fs, path::Path};

    fn write(dir: &Path, path: &str, content: &str) {
        let path = dir.join(path);
        fs::create_dir_all(path.parent().expect("a parent")).expect("created");
        fs::write(path, content).expect("written");
    }

    #[test]
    fn each_part_is_read_for_itself() {
        let dir = tempfile::tempdir().expect("a directory");
        let root = Sysroot::new(dir.path()).expect("opened");
        assert_eq!(BoardState::default().read(&root), Err(SensorError::Absent));
        write(dir.path(), "sys/class/mmc_host/mmc0/mmc0:0001/life_time", "0x02 0x01\n");
        write(dir.path(), "sys/class/mmc_host/mmc0/mmc0:0001/pre_eol_info", "0x01\n");
        fs::create_dir_all(dir.path().join("run/systemd/timesync")).expect("created");
        let mut source = BoardState::default();
        let wear = Wear { life_used: Some(10), pre_eol: Some(PreEol::Normal) };
        let expected = Board {
            model: Err(SensorError::Absent),
            os: Err(SensorError::Absent),
            wear: Ok(wear),
            clock_synchronized: Ok(false),
        };
        assert_eq!(source.read(&root), Ok(expected.clone()));
        assert_eq!(source.place(), "/sys/class/mmc_host, /run/systemd/timesync");
        write(dir.path(), "run/systemd/timesync/synchronized", "");
        write(dir.path(), "sys/class/mmc_host/mmc0/mmc0:0001/life_time", "0x09 0x01\n");
        let read = source.read(&root);
        assert_eq!(read, Ok(Board { clock_synchronized: Ok(true), ..expected }), "wear is read once an hour");
    }

    #[test]
    fn what_fails_is_tried_again_soon() {
        let slow =
            Slow { model: Err(SensorError::Absent), os: Ok("Linux".into()), wear: Err(SensorError::Absent) };
        assert_eq!(slow.holds(), SLOW);
        assert_eq!(Slow { wear: Err(SensorError::Io), ..slow }.holds(), REPROBE);
    }
}
