//! The values of a tree, for tests.

use heartbeat_core::time::Duration;

use super::*;
use crate::{config::Layers, daemon::Sleeper, waker};

/// Values, asked as the daemon's loop does.
pub(super) struct Scene {
    pub(super) hal: LinuxHal,
    pub(super) sleeper: Sleeper,
}

impl Scene {
    pub(super) fn new(root: Sysroot, ways: impl Fn(&Sysroot) -> Vec<Box<dyn Gencmd>> + 'static) -> Self {
        let (waker, wake_ups) = waker::pair().expect("a pair");
        let settings = Settings::new(&Layers::default()).expect("the defaults");
        let hal = LinuxHal::with_firmware(Arc::new(root), &settings, &waker, ways);
        Self { hal, sleeper: Sleeper::new(wake_ups).expect("a timer") }
    }

    /// The settings with which it began.
    pub(super) fn settings(&self) -> Settings {
        Settings::new(&Layers::default()).expect("the defaults")
    }

    /// Asks a sensor as the daemon's loop does.
    pub(super) fn read<T>(&mut self, sensor: fn(&mut LinuxHal) -> Sampled<T>) -> Result<T, SensorError> {
        loop {
            if let Poll::Ready(answer) = sensor(&mut self.hal) {
                return answer;
            }
            let due = self.hal.dispatch().unwrap_or(clock::now() + Duration::from_secs(60));
            self.sleeper.sleep_until(due).expect("slept");
        }
    }

    pub(super) fn source(&self, key: &str) -> Option<String> {
        self.hal.sources().into_iter().find(|(known, _)| known == key).map(|(_, place)| place)
    }
}
