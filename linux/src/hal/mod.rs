//! The device: [`Hal`] over procfs, sysfs, the firmware, chips on a bus and the daemons of this machine.
//!
//! What cannot block is read where it is asked for; what can has a thread of its own (see [`background`]). A value with
//! several places that may know it is a [`chain`]; several values of one look are `parts`; what only completes a value
//! is waited for with `patience`. What is absent rests: it is looked for once a minute and costs a beat nothing.

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
mod ups;
mod uptime;

use std::{path::PathBuf, sync::Arc, task::Poll};

use heartbeat_core::{
    Hal, SensorError,
    hal::{Activity, CpuTimes, DiskSpace, Memory, Sampled, Throttled, Ups, Uptime},
    limits::{APP_VERSION_MAX, INTERFACE_MAX},
    payload::{Cellular, Ethernet, Position, Wifi},
    text::Text,
    units::{Celsius, Rpm, UnixTime, Watts},
};

use self::{
    app_version::AppVersion,
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
pub use self::{
    app_version::VersionSource,
    ups::{UpsChip, UpsConfig},
};
use crate::{clock, config::Settings, waker::Waker};

/// This machine, or a captured tree of another one.
#[derive(Debug)]
pub struct LinuxHal {
    root: Arc<Sysroot>,
    cpu: Cpu,
    memory: Meminfo,
    uptime: UptimeFile,
    firmware: Parts<firmware::Readings>,
    temperature: Background<Celsius>,
    power: Background<Watts>,
    fan: Background<Rpm>,
    disk: Background<DiskSpace>,
    network: Parts<net::Snapshot>,
    wireless: Background<Vec<Details>>,
    modem: Background<Modem>,
    position: Background<Position>,
    activity: Background<Activity>,
    app_version: Option<Background<Text<APP_VERSION_MAX>>>,
    ups: Option<Background<Ups>>,
    patience: Patiences,
    /// What the kernel says of the wireless and the mobile interface while their details are awaited.
    wifi: Option<Wifi>,
    cellular: Option<Result<Cellular, SensorError>>,
    sources: Sources,
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
        let [for_firmware, for_wireless, for_activity] = [(); 3].map(|()| Arc::clone(&root));
        Self {
            cpu: Cpu::new(),
            memory: Meminfo::new(),
            uptime: UptimeFile::new(),
            firmware: Parts::of(Background::start("firmware", waker.clone(), move || {
                of_firmware.read(&for_firmware)
            })),
            temperature: chained("temperature", &root, waker, temperature_chain()),
            power: chained("power", &root, waker, power_chain(settings.ups)),
            fan: chained("fan", &root, waker, fan_chain()),
            disk: disk(&root, settings, waker),
            network: net::start(Arc::clone(&root), waker.clone()),
            wireless: Background::start("wireless", waker.clone(), move || wireless.read(&for_wireless)),
            modem: Background::start("modem", waker.clone(), move || modem.read()),
            position: chained("gps", &root, waker, position_chain()),
            activity: Background::start("activity", waker.clone(), move || {
                application::activity(&for_activity)
            }),
            app_version: app_version(&root, settings, waker),
            ups: settings.ups.map(|ups| chained("ups", &root, waker, ups_chain(ups))),
            patience: Patiences::default(),
            wifi: None,
            cellular: None,
            sources: Sources::of(settings),
            root,
        }
    }

    /// Takes over new settings: only the sources that they change start anew.
    pub fn reconfigure(&mut self, settings: &Settings, waker: &Waker) {
        let sources = Sources::of(settings);
        if sources.disk_path != self.sources.disk_path {
            self.disk = disk(&self.root, settings, waker);
        }
        if sources.app_version != self.sources.app_version {
            self.app_version = app_version(&self.root, settings, waker);
        }
        if sources.ups != self.sources.ups {
            self.ups = settings.ups.map(|ups| chained("ups", &self.root, waker, ups_chain(ups)));
            self.power = chained("power", &self.root, waker, power_chain(settings.ups));
        }
        self.sources = sources;
    }
}

/// The settings that sources were started with.
#[derive(Debug)]
struct Sources {
    disk_path: PathBuf,
    app_version: VersionSource,
    ups: Option<UpsConfig>,
}

impl Sources {
    fn of(settings: &Settings) -> Self {
        Self {
            disk_path: settings.disk_path.clone(),
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

fn position_chain() -> Chain<Position> {
    Chain::new(vec![Box::new(gps::Gpsd::new()), Box::new(gps::Streamer)])
}

fn ups_chain(ups: UpsConfig) -> Chain<Ups> {
    Chain::new(vec![Box::new(ups::Battery::new(ups))])
}

fn chained<T: Send + 'static>(
    name: &str,
    root: &Arc<Sysroot>,
    waker: &Waker,
    mut chain: Chain<T>,
) -> Background<T> {
    let root = Arc::clone(root);
    Background::start(name, waker.clone(), move || chain.read(&root))
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
        self.patience.firmware_temperature.prefer(firmware, || self.temperature.poll())
    }

    /// That of a monitor, else what the PMIC's rails add up to.
    fn power(&mut self) -> Sampled<Watts> {
        let monitor = self.power.poll();
        self.patience.power.prefer(monitor, || self.firmware.take(|readings| &mut readings.power))
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
        poll_if_there(&mut self.ups)
    }
}
