//! What this machine, or a captured tree of another one, can tell about itself: [`Hal`] on Linux.
//!
//! Each value has a file, which says everything about it: its key in the document, its candidates in order, how a person
//! reads it, what to do about its absence. Its [`value`] does the rest, the same for all. Where candidates read is in
//! [`sources`](crate::sources). What may block is read by the [`worker`](crate::worker); what is absent is looked for
//! once in the re-probe interval and costs the beats in between nothing.
//!
//! A new value is a file, named as its method in the core's table of sensors, and its `mod`.

mod activity;
mod app_version;
mod board;
mod candidate;
mod cellular;
mod cpu;
mod cpu_mhz;
mod default_interface;
mod disk;
mod ethernet;
mod fan;
pub mod hardware_id;
mod memory;
mod position;
mod power;
mod reader;
mod system;
mod temperature;
mod throttled;
mod timestamp;
mod ups;
mod uptime;
pub mod value;
mod wifi;

use std::{sync::Arc, task::Poll};

use heartbeat_core::{
    Hal, SensorError,
    readings::{Sampled, Throttled},
    time::Instant,
    units::UnixTime,
};

use self::{
    candidate::Candidate,
    reader::Reader,
    ups::Battery,
    value::{AnyValue, Definition, Problem, Value},
};
use crate::{
    clock,
    config::Settings,
    sources::{
        Source,
        firmware::{self, Gencmd, replies},
        modem_manager::{Modem, ModemManager},
        network::{self, Network},
        nl80211::Nl80211,
        proc_wireless::ProcWireless,
        radio::Details,
        sysroot::Sysroot,
    },
    waker::Waker,
    worker::Worker,
};

/// Advice when the firmware does not answer.
const FIRMWARE_HANGS: &str = "the firmware or a bus hangs: heartbeats go on without it; a reboot helps";

/// This machine, or a captured tree of another one.
pub struct LinuxHal {
    shared: Shared,
    values: Values,
}

impl LinuxHal {
    /// Reads nothing before it is asked. `waker` is woken whenever something that was asked for may be there.
    pub fn new(root: Arc<Sysroot>, settings: &Settings, waker: &Waker) -> Self {
        Self::with_firmware(root, settings, waker, firmware::ways)
    }

    fn with_firmware(
        root: Arc<Sysroot>,
        settings: &Settings,
        waker: &Waker,
        ways: impl Fn(&Sysroot) -> Vec<Box<dyn Gencmd>> + 'static,
    ) -> Self {
        let shared = Shared::new(root, settings, waker, Box::new(ways));
        let values = Values::new(&shared, settings);
        Self { shared, values }
    }

    /// Takes over new settings: only the values that they change begin anew.
    pub fn reconfigure(&mut self, settings: &Settings) {
        self.shared.reconfigure(settings);
        self.values.reconfigure(&self.shared, settings);
    }

    /// Begins to read what was asked for since the last call. To be called after each poll of the agent.
    ///
    /// The answer is when to poll again at the latest, if the device has a reason of its own.
    pub fn dispatch(&mut self) -> Option<Instant> {
        let now = clock::now();
        if !self.values.hardware_id.is_answered() {
            // The agent does not ask for it again after the start; `status` shows where it is from.
            let _ = self.values.hardware_id.poll(now);
        }
        let worker = self.shared.worker.dispatch(now);
        self.values.due(now).into_iter().chain(worker).min()
    }

    /// Where each value that was used last was read, by its key in the document.
    pub fn sources(&self) -> Vec<(String, String)> {
        let mut sources = Vec::new();
        for value in self.values.all() {
            if let Some(place) = value.answered_by() {
                sources.extend(value.keys().iter().map(|key| ((*key).to_owned(), place.clone())));
            }
        }
        sources
    }

    /// All values, to be asked one by one.
    pub fn values(&mut self) -> Vec<&mut dyn AnyValue> {
        self.values.all_mut()
    }
}

type FirmwareWays = Box<dyn Fn(&Sysroot) -> Vec<Box<dyn Gencmd>>>;

/// What several values share.
struct Shared {
    root: Arc<Sysroot>,
    worker: Arc<Worker>,
    /// Makes the ways to ask the firmware.
    firmware_ways: FirmwareWays,
    network: Reader<network::Snapshot>,
    nl80211: Reader<Vec<Details>>,
    proc_wireless: Reader<<ProcWireless as Source>::Reading>,
    modem_manager: Reader<Modem>,
    throttled: Reader<Throttled>,
    battery: Option<Battery>,
}

impl Shared {
    fn new(root: Arc<Sysroot>, settings: &Settings, waker: &Waker, firmware_ways: FirmwareWays) -> Self {
        let worker = Arc::new(Worker::new(waker.clone()));
        let throttled = firmware::Command::new("get_throttled", replies::throttled, firmware_ways(&root));
        let mut shared = Self {
            firmware_ways,
            throttled: Reader::new(&root, &worker, throttled),
            network: Reader::new(&root, &worker, Network::default()),
            nl80211: Reader::new(&root, &worker, Nl80211::new(&root)),
            proc_wireless: Reader::new(&root, &worker, ProcWireless),
            modem_manager: Reader::new(&root, &worker, ModemManager::new(&root)),
            battery: None,
            root,
            worker,
        };
        shared.reconfigure(settings);
        shared
    }

    fn reconfigure(&mut self, settings: &Settings) {
        if self.battery.as_ref().map(|battery| battery.config) != settings.ups {
            self.battery = settings.ups.map(|ups| Battery::new(ups, self));
        }
    }

    /// A source that may block.
    fn reader<S: Source>(&self, source: S) -> Reader<S::Reading> {
        Reader::new(&self.root, &self.worker, source)
    }

    /// A candidate that may block.
    fn blocking<S: Source<Reading: Clone>>(&self, source: S) -> Candidate<S::Reading> {
        Candidate::part(&self.reader(source), |reading| Ok(reading.clone()))
    }

    /// What the firmware answers to `command`.
    fn firmware<T: Clone + Send + 'static>(
        &self,
        command: &'static str,
        parse: fn(&str) -> Result<T, SensorError>,
    ) -> Candidate<T> {
        self.blocking(firmware::Command::new(command, parse, (self.firmware_ways)(&self.root)))
    }

    /// A candidate that never blocks.
    fn prompt<S: Source>(&self, source: S) -> Candidate<S::Reading> {
        Candidate::prompt(&self.root, source)
    }
}

/// A value that the configuration gives.
struct Configured<T>(T);

impl<T: Clone + Send + 'static> Source for Configured<T> {
    type Reading = T;

    fn place(&self) -> String {
        "the configuration".to_owned()
    }

    fn read(&mut self, _: &Sysroot) -> Result<T, SensorError> {
        Ok(self.0.clone())
    }
}

/// What there is of several parts, for people.
fn listed<const N: usize>(parts: [Option<String>; N]) -> String {
    parts.into_iter().flatten().collect::<Vec<_>>().join(", ")
}

/// The values of the heartbeat that sensors give: each line of the core's table of sensors is a method of [`Hal`] and a file
/// of the same name here. Without its file it does not compile.
macro_rules! values {
    ($($(#[$doc:meta])* $name:ident, $variant:ident, $reading:ty, $label:literal;)*) => {
        struct Values {
            hardware_id: Value<hardware_id::Sensor>,
            timestamp: Value<timestamp::Sensor>,
            $($name: Value<$name::Sensor>,)*
        }

        impl Values {
            fn new(shared: &Shared, settings: &Settings) -> Self {
                Self {
                    hardware_id: Value::new(shared, settings),
                    timestamp: Value::new(shared, settings),
                    $($name: Value::new(shared, settings),)*
                }
            }

            fn reconfigure(&mut self, shared: &Shared, settings: &Settings) {
                self.hardware_id.reconfigure(shared, settings);
                self.timestamp.reconfigure(shared, settings);
                $(self.$name.reconfigure(shared, settings);)*
            }

            /// When one must be polled again at the latest.
            fn due(&self, now: Instant) -> Option<Instant> {
                let times = [self.hardware_id.due(now), self.timestamp.due(now), $(self.$name.due(now),)*];
                times.into_iter().flatten().min()
            }

            fn all(&self) -> Vec<&dyn AnyValue> {
                vec![&self.hardware_id, &self.timestamp, $(&self.$name,)*]
            }

            fn all_mut(&mut self) -> Vec<&mut dyn AnyValue> {
                vec![&mut self.hardware_id, &mut self.timestamp, $(&mut self.$name,)*]
            }
        }

        impl Hal for LinuxHal {
            fn unix_time(&mut self) -> Option<UnixTime> {
                match self.values.timestamp.poll(clock::now()) {
                    Poll::Ready(time) => time.ok(),
                    Poll::Pending => None,
                }
            }

            $(fn $name(&mut self) -> Sampled<$reading> {
                self.values.$name.poll(clock::now())
            })*
        }
    };
}

heartbeat_core::for_each_sensor!(values);

#[cfg(test)]
mod scene;
#[cfg(test)]
mod tests;

#[cfg(test)]
mod hanging_tests {
    use super::{scene::Scene, *};
    use heartbeat_core::units::Celsius;
    use std::{
        fs,
        sync::{
            Mutex,
            atomic::{AtomicU32, Ordering},
            mpsc::{self, Receiver},
        },
    };

    /// A firmware that answers once, hangs when it is asked again, and answers after that.
    #[derive(Clone)]
    struct Hanging {
        answered: Arc<AtomicU32>,
        released: Arc<Mutex<Receiver<()>>>,
    }

    impl Gencmd for Hanging {
        fn place(&self) -> String {
            "fake".to_owned()
        }

        fn ask(&mut self, _: &Sysroot, command: &str) -> Result<String, SensorError> {
            if command != "measure_temp" {
                return Err(SensorError::Io);
            }
            if self.answered.fetch_add(1, Ordering::Relaxed) == 1 {
                self.released.lock().expect("one thread").recv().expect("the test releases");
            }
            Ok("temp=61.3'C".to_owned())
        }
    }

    #[test]
    fn sources_name_the_kernel_while_the_firmware_hangs() {
        let dir = tempfile::tempdir().expect("a directory");
        let zone = dir.path().join("sys/class/thermal/thermal_zone0");
        fs::create_dir_all(&zone).expect("created");
        fs::write(zone.join("type"), "cpu-thermal").expect("written");
        fs::write(zone.join("temp"), "48774").expect("written");
        let (release, released) = mpsc::channel();
        let hanging = Hanging { answered: Arc::default(), released: Arc::new(Mutex::new(released)) };
        let root = Sysroot::new(dir.path()).expect("opened");
        let mut scene = Scene::new(root, move |_| vec![Box::new(hanging.clone())]);
        assert_eq!(scene.source("temp"), None, "nothing has been read");
        assert_eq!(scene.read(Hal::temperature), Ok(Celsius::from_raw(613)));
        assert_eq!(scene.source("temp").as_deref(), Some("fake measure_temp"));
        for _ in 0..2 {
            assert_eq!(scene.read(Hal::temperature), Ok(Celsius::from_raw(488)), "the firmware hangs");
            assert_eq!(scene.source("temp").as_deref(), Some("/sys/class/thermal/thermal_zone0/temp"));
        }
        assert!(scene.read(Hal::disk).is_ok(), "no other value waits for it");
        release.send(()).expect("it hangs");
        while scene.source("temp").as_deref() != Some("fake measure_temp") {
            assert!(scene.read(Hal::temperature).is_ok());
        }
    }

    #[test]
    fn each_value_has_a_name_and_keys_of_its_own() {
        let root = Sysroot::new(std::path::Path::new("/")).expect("opened");
        let mut scene = Scene::new(root, |_| Vec::new());
        let values = scene.hal.values();
        let mut names: Vec<_> = values.iter().map(|value| value.name()).collect();
        let mut keys: Vec<_> = values.iter().flat_map(|value| value.keys()).collect();
        let count = (names.len(), keys.len());
        names.sort_unstable();
        names.dedup();
        keys.sort_unstable();
        keys.dedup();
        assert_eq!((names.len(), keys.len()), count);
    }

    #[test]
    fn a_setting_begins_only_the_values_anew_that_depend_on_it() {
        let mut scene = Scene::new(Sysroot::new(std::path::Path::new("/")).expect("opened"), |_| Vec::new());
        assert!(scene.read(Hal::disk).is_ok());
        let mut settings = scene.settings();
        settings.disk_path = "/tmp".into();
        let activity = scene.read(Hal::activity);
        scene.hal.reconfigure(&settings);
        assert_eq!(scene.source("disk"), None);
        assert_eq!(scene.source("streaming_active").is_some(), activity.is_ok());
        assert!(scene.read(Hal::disk).is_ok());
        assert_eq!(scene.source("disk").as_deref(), Some("statvfs /tmp"));
    }
}
