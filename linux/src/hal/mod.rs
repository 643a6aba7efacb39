//! The device: [`Hal`] over procfs, sysfs, the firmware, chips on a bus and the daemons of this machine.
//!
//! What cannot block is read where it is asked for; what can has a thread of its own (see [`background`]). A value with
//! several places that may know it is a [`chain`]; several values of one look are `parts`; what only completes a value
//! is waited for with `patience`. What is absent rests: it is looked for once a minute and costs a beat nothing.

mod answering;
mod app_version;
mod application;
pub mod background;
pub mod chain;
mod cpu;
mod disk;
mod firmware;
#[cfg(fuzzing)]
pub mod fuzzing;
mod gps;
pub mod hardware_id;
mod hwmon;
mod memory;
mod modem;
mod net;
mod parts;
mod patience;
mod power_supply;
pub mod probes;
mod process;
mod rest;
pub mod sysroot;
mod thermal;
pub mod time_zone;
mod ups;
mod uptime;

use std::{
    path::{Path, PathBuf},
    sync::Arc,
    task::Poll,
};

use heartbeat_core::{
    Hal, SensorError,
    limits::{APP_VERSION_MAX, INTERFACE_MAX},
    readings::{
        Activity, Cellular, CpuTimes, DiskSpace, Ethernet, Memory, Position, Sampled, Throttled, Ups, Uptime,
        Wifi,
    },
    text::Text,
    units::{Celsius, Rpm, UnixTime, Watts},
};

use self::{
    answering::Answering,
    app_version::AppVersion,
    application::Application,
    background::Background,
    chain::{Chain, Source},
    cpu::Cpu,
    firmware::Firmware,
    memory::Meminfo,
    modem::{Modem, ModemManager},
    net::wireless::{Details, Wireless},
    parts::Parts,
    patience::Patience,
    sysroot::Sysroot,
    uptime::UptimeFile,
};
use crate::{
    clock,
    config::Settings,
    setting_types::{UpsConfig, VersionSource},
    waker::Waker,
};

/// This machine, or a captured tree of another one.
#[derive(Debug)]
pub struct LinuxHal {
    root: Arc<Sysroot>,
    cpu: Cpu,
    memory: Meminfo,
    uptime: UptimeFile,
    firmware: Parts<firmware::Readings>,
    temperature: Chained<Celsius>,
    power: Chained<Watts>,
    fan: Chained<Rpm>,
    disk: Background<DiskSpace>,
    network: Parts<net::Snapshot>,
    wireless: Background<Vec<Details>>,
    modem: Background<Modem>,
    position: Chained<Position>,
    activity: Background<Activity>,
    app_version: Option<Background<Text<APP_VERSION_MAX>>>,
    ups: Option<Chained<Ups>>,
    patience: Patiences,
    /// What the kernel says of the wireless and the mobile interface while their details are awaited.
    wifi: Option<Wifi>,
    cellular: Option<Result<Cellular, SensorError>>,
    started_with: StartedWith,
    /// Whether the firmware gave the latest temperature, and the latest power.
    from_firmware: [bool; 2],
}

/// A value from a chain, on a thread of its own.
#[derive(Debug)]
struct Chained<T> {
    background: Background<T>,
    answering: Answering,
}

impl<T: Send + 'static> Chained<T> {
    fn start(name: &str, root: &Arc<Sysroot>, waker: &Waker, mut chain: Chain<T>) -> Self {
        let (root, answering) = (Arc::clone(root), chain.answering());
        Self { background: Background::start(name, waker.clone(), move || chain.read(&root)), answering }
    }

    fn poll(&mut self) -> Sampled<T> {
        self.background.poll()
    }
}

/// The patience with each source that only prefers or completes what another knows.
#[derive(Debug, Default)]
struct Patiences {
    firmware_temperature: Patience,
    power: Patience,
    wireless: Patience,
    modem: Patience,
}

impl LinuxHal {
    /// Starts the threads that watch the sources which may block. `waker` is woken whenever one has an answer.
    pub fn start(root: Arc<Sysroot>, settings: &Settings, waker: &Waker) -> Self {
        let mut of_firmware = Firmware::new(&root);
        let mut wireless = Wireless::new(&root);
        let mut modem = ModemManager::new(&root);
        let [for_firmware, for_wireless] = [(); 2].map(|()| Arc::clone(&root));
        Self {
            cpu: Cpu::new(),
            memory: Meminfo::new(),
            uptime: UptimeFile::new(),
            firmware: Parts::of(Background::start("firmware", waker.clone(), move || {
                of_firmware.read(&for_firmware)
            })),
            temperature: Chained::start("temperature", &root, waker, temperature_chain()),
            power: Chained::start("power", &root, waker, power_chain(settings.ups)),
            fan: Chained::start("fan", &root, waker, fan_chain()),
            disk: disk(&root, settings, waker),
            network: net::start(Arc::clone(&root), waker.clone()),
            wireless: Background::start("wireless", waker.clone(), move || wireless.read(&for_wireless)),
            modem: Background::start("modem", waker.clone(), move || modem.read()),
            position: Chained::start("gps", &root, waker, position_chain(&settings.app_tmp)),
            activity: activity(&root, settings, waker),
            app_version: app_version(&root, settings, waker),
            ups: settings.ups.map(|ups| Chained::start("ups", &root, waker, ups_chain(ups))),
            patience: Patiences::default(),
            wifi: None,
            cellular: None,
            started_with: StartedWith::of(settings),
            from_firmware: [false; 2],
            root,
        }
    }

    /// Takes over new settings: only the sources that they change start anew.
    pub fn reconfigure(&mut self, settings: &Settings, waker: &Waker) {
        let wanted = StartedWith::of(settings);
        if wanted.disk_path != self.started_with.disk_path {
            self.disk = disk(&self.root, settings, waker);
        }
        if wanted.app_tmp != self.started_with.app_tmp {
            self.activity = activity(&self.root, settings, waker);
            self.position = Chained::start("gps", &self.root, waker, position_chain(&settings.app_tmp));
        }
        if wanted.app_version != self.started_with.app_version {
            self.app_version = app_version(&self.root, settings, waker);
        }
        if wanted.ups != self.started_with.ups {
            self.ups = settings.ups.map(|ups| Chained::start("ups", &self.root, waker, ups_chain(ups)));
            self.power = Chained::start("power", &self.root, waker, power_chain(settings.ups));
        }
        self.started_with = wanted;
    }

    /// Where each value was last read, by its key in the heartbeat; those that have no value have no place.
    pub fn sources(&self) -> Vec<(String, String)> {
        let [temperature, power] = self.from_firmware;
        let firmware = |is: bool, otherwise: &Answering| {
            if is { Some("the firmware".to_owned()) } else { otherwise.get() }
        };
        let fixed = |place: &str| Some(place.to_owned());
        let version = match &self.started_with.app_version {
            VersionSource::Unknown => None,
            VersionSource::Fixed(_) => fixed("the configuration"),
            VersionSource::File(path) | VersionSource::Folder(path) => Some(path.display().to_string()),
        };
        let all = [
            ("cpu", fixed("/proc/stat")),
            ("mem", fixed("/proc/meminfo")),
            ("temp", firmware(temperature, &self.temperature.answering)),
            ("power", firmware(power, &self.power.answering)),
            ("fan_rpm", self.fan.answering.get()),
            ("disk", Some(format!("statvfs {}", self.started_with.disk_path.display()))),
            ("connection", fixed("/sys/class/net, /proc/net/route")),
            ("gps", self.position.answering.get()),
            ("app_version", version),
            ("activity", Some(Application::new(&self.started_with.app_tmp).place())),
            ("ups", self.ups.as_ref().and_then(|ups| ups.answering.get())),
        ];
        let known = |(value, place): (&str, Option<String>)| Some((value.to_owned(), place?));
        all.into_iter().filter_map(known).collect()
    }
}

/// The settings that sources were started with.
#[derive(Debug)]
struct StartedWith {
    disk_path: PathBuf,
    app_tmp: PathBuf,
    app_version: VersionSource,
    ups: Option<UpsConfig>,
}

impl StartedWith {
    fn of(settings: &Settings) -> Self {
        Self {
            disk_path: settings.disk_path.clone(),
            app_tmp: settings.app_tmp.clone(),
            app_version: settings.app_version.clone(),
            ups: settings.ups,
        }
    }
}

fn temperature_chain() -> Chain<Celsius> {
    Chain::new(vec![Box::new(thermal::Thermal::default())])
}

fn power_chain(ups: Option<UpsConfig>) -> Chain<Watts> {
    let mut sources: Vec<Box<dyn Source<Watts>>> = Vec::new();
    sources.extend(ups.map(|ups| Box::new(ups::BatteryPower::new(ups)) as _));
    sources.push(Box::new(hwmon::HwmonPower::default()));
    sources.push(Box::new(power_supply::PowerSupply));
    Chain::new(sources)
}

fn fan_chain() -> Chain<Rpm> {
    Chain::new(vec![Box::new(hwmon::HwmonFan::of_the_board()), Box::new(hwmon::HwmonFan::any())])
}

fn position_chain(app_tmp: &Path) -> Chain<Position> {
    Chain::new(vec![Box::new(gps::Gpsd::new()), Box::new(gps::Streamer::new(app_tmp))])
}

fn ups_chain(ups: UpsConfig) -> Chain<Ups> {
    Chain::new(vec![Box::new(ups::Battery::new(ups))])
}

fn activity(root: &Arc<Sysroot>, settings: &Settings, waker: &Waker) -> Background<Activity> {
    let (root, application) = (Arc::clone(root), Application::new(&settings.app_tmp));
    Background::start("activity", waker.clone(), move || application.activity(&root))
}

fn disk(root: &Sysroot, settings: &Settings, waker: &Waker) -> Background<DiskSpace> {
    let path = root.host_path(&settings.disk_path);
    Background::start("disk", waker.clone(), move || disk::read(&path))
}

/// No thread for a version that is nowhere to be found.
fn app_version(
    root: &Arc<Sysroot>,
    settings: &Settings,
    waker: &Waker,
) -> Option<Background<Text<APP_VERSION_MAX>>> {
    if settings.app_version == VersionSource::Unknown {
        return None;
    }
    let (root, mut version) = (Arc::clone(root), AppVersion::new(settings.app_version.clone()));
    Some(Background::start("app_version", waker.clone(), move || version.read(&root)))
}

/// Remembers whether it has answered with a value.
fn note<T>(answered: &mut bool, sampled: &Sampled<T>) {
    if let Poll::Ready(answer) = sampled {
        *answered = answer.is_ok();
    }
}

fn poll_if_there<T: Send + 'static>(source: &mut Option<Background<T>>) -> Sampled<T> {
    source.as_mut().map_or(Poll::Ready(Err(SensorError::Absent)), Background::poll)
}

impl Hal for LinuxHal {
    fn unix_time(&mut self) -> Option<UnixTime> {
        clock::unix_time()
    }

    fn cpu(&mut self) -> Sampled<CpuTimes> {
        Poll::Ready(self.cpu.read(&self.root))
    }

    fn memory(&mut self) -> Sampled<Memory> {
        Poll::Ready(self.memory.read(&self.root))
    }

    fn uptime(&mut self) -> Sampled<Uptime> {
        Poll::Ready(self.uptime.read(&self.root))
    }

    /// The firmware's own, else the kernel's.
    fn temperature(&mut self) -> Sampled<Celsius> {
        let firmware = self.firmware.take(|readings| &mut readings.temperature);
        note(&mut self.from_firmware[0], &firmware);
        self.patience.firmware_temperature.prefer(firmware, || self.temperature.poll())
    }

    /// That of a monitor, else what the PMIC's rails add up to.
    fn power(&mut self) -> Sampled<Watts> {
        let monitor = self.power.poll();
        let from_firmware = &mut self.from_firmware[1];
        if monitor.is_ready() {
            *from_firmware = false;
        }
        self.patience.power.prefer(monitor, || {
            let firmware = self.firmware.take(|readings| &mut readings.power);
            note(from_firmware, &firmware);
            firmware
        })
    }

    fn throttled(&mut self) -> Sampled<Throttled> {
        self.firmware.take(|readings| &mut readings.throttled)
    }

    fn fan(&mut self) -> Sampled<Rpm> {
        self.fan.poll()
    }

    fn disk(&mut self) -> Sampled<DiskSpace> {
        self.disk.poll()
    }

    fn default_interface(&mut self) -> Sampled<Text<INTERFACE_MAX>> {
        self.network.take(|look| &mut look.default_interface)
    }

    fn ethernet(&mut self) -> Sampled<Ethernet> {
        self.network.take(|look| &mut look.ethernet)
    }

    /// The kernel's interface, with the radio's details where they come in time.
    fn wifi(&mut self) -> Sampled<Wifi> {
        if self.wifi.is_none() {
            match self.network.take(|look| &mut look.wifi) {
                Poll::Ready(Ok(wifi)) => self.wifi = Some(wifi),
                other => return other,
            }
        }
        let Poll::Ready(details) = self.patience.wireless.with(self.wireless.poll()) else {
            return Poll::Pending;
        };
        let wifi = self.wifi.take().map(|mut wifi| {
            let all = details.and_then(Result::ok).unwrap_or_default();
            if let Some(details) = all.iter().find(|details| details.interface == wifi.interface.as_str()) {
                details.complete(&mut wifi);
            }
            wifi
        });
        Poll::Ready(wifi.ok_or(SensorError::Absent))
    }

    /// The modem, with its interface's address; without ModemManager the interface alone.
    fn cellular(&mut self) -> Sampled<Cellular> {
        if self.cellular.is_none() {
            match self.network.take(|look| &mut look.cellular) {
                Poll::Ready(kernel) => self.cellular = Some(kernel),
                Poll::Pending => return Poll::Pending,
            }
        }
        let Poll::Ready(modem) = self.patience.modem.with(self.modem.poll()) else { return Poll::Pending };
        let kernel = self.cellular.take().unwrap_or(Err(SensorError::Absent));
        Poll::Ready(match (modem, kernel) {
            (Some(Ok(modem)), kernel) => Ok(modem.connection(kernel.ok())),
            // What is there and fails says more than what is not there.
            (Some(Err(error)), Err(SensorError::Absent)) => Err(error),
            (_, kernel) => kernel,
        })
    }

    fn position(&mut self) -> Sampled<Position> {
        self.position.poll()
    }

    fn app_version(&mut self) -> Sampled<Text<APP_VERSION_MAX>> {
        poll_if_there(&mut self.app_version)
    }

    fn activity(&mut self) -> Sampled<Activity> {
        self.activity.poll()
    }

    fn ups(&mut self) -> Sampled<Ups> {
        self.ups.as_mut().map_or(Poll::Ready(Err(SensorError::Absent)), Chained::poll)
    }
}
