//! Every value with the places that may know it, asked one by one: what `doctor` shows.

use std::{
    path::Path,
    sync::Arc,
    time::{Duration, Instant},
};

use heartbeat_core::{SensorError, payload::Disk, readings::Throttled, text::Text, units::Percent};

use super::{
    Cpu, Details, Firmware, Meminfo, ModemManager, Sysroot, UptimeFile, Wireless,
    app_version::AppVersion,
    application::Application,
    chain::Attempt,
    disk, fan_chain, firmware,
    hardware_id::{self, NoIdentity},
    modem, net, position_chain, power_chain, temperature_chain, ups_chain,
};
use crate::{clock, config::Settings, setting_types::VersionSource};

/// What came of asking one place, as text.
pub type Finding = Attempt<String>;

/// One value, not asked yet.
pub struct Probe {
    /// Its key in the heartbeat.
    pub value: &'static str,
    /// Asks its places up to the first that answers. May block for as long as they do.
    pub ask: Box<dyn FnOnce() -> Vec<Finding> + Send>,
}

/// All values of a heartbeat.
pub fn all(root: &Arc<Sysroot>, settings: &Settings) -> Vec<Probe> {
    let probe = |value, ask: fn(&Sysroot, &Settings) -> Vec<Finding>| {
        let (root, settings) = (Arc::clone(root), settings.clone());
        Probe { value, ask: Box::new(move || ask(&root, &settings)) }
    };
    vec![
        probe("hardwareid", identity),
        probe("cpu", |root, _| {
            vec![timed("/proc/stat", || Cpu::new().read(root).map(|cpu| since_boot(&cpu)))]
        }),
        probe("mem", |root, _| {
            vec![timed("/proc/meminfo", || Meminfo::new().read(root).and_then(|memory| used(&memory)))]
        }),
        probe("temp", |root, _| {
            let firmware = Firmware::new(root).explain(root, "measure_temp", firmware::temperature);
            preferring(shown(firmware, |temp| format!("{temp} °C")), || {
                shown(temperature_chain().explain(root), |temp| format!("{temp} °C"))
            })
        }),
        probe("power", |root, settings| {
            preferring(shown(power_chain(settings.ups).explain(root), |watts| format!("{watts} W")), || {
                let pmic = Firmware::new(root).explain(root, "pmic_read_adc", firmware::pmic_power);
                shown(pmic, |watts| format!("{watts} W"))
            })
        }),
        probe("fan_rpm", |root, _| shown(fan_chain().explain(root), |rpm| format!("{rpm} rpm"))),
        probe("disk", filesystem),
        probe("connection", connection),
        probe("wifi", |root, _| {
            let mut wireless = Wireless::new(root);
            let place = wireless.place();
            vec![timed(place, || {
                wireless
                    .read(root)
                    .map(|all| all.iter().map(Details::describe).collect::<Vec<_>>().join(", "))
            })]
        }),
        probe("4g", |root, _| {
            vec![timed(modem::MMCLI, || {
                ModemManager::new(root).read().map(|modem| format!("{:?}", modem.connection(None)))
            })]
        }),
        probe("gps", |root, settings| {
            shown(position_chain(&settings.app_tmp).explain(root), |position| format!("{:?}", position.fix))
        }),
        probe("timestamp", |_, _| {
            vec![timed("the clock", || {
                clock::unix_time().map(|time| time.to_string()).ok_or(SensorError::Invalid)
            })]
        }),
        probe("app_version", version),
        probe("activity", |root, settings| {
            let application = Application::new(&settings.app_tmp);
            vec![timed(&application.place(), || application.activity(root).map(|activity| doing(&activity)))]
        }),
        probe("uptime_s", |root, _| {
            vec![timed("/proc/uptime", || UptimeFile::new().read(root).map(|uptime| uptime.0.to_string()))]
        }),
        probe("throttled", |root, _| {
            shown(Firmware::new(root).explain(root, "get_throttled", firmware::throttled), conditions)
        }),
        probe("ups", |root, settings| match settings.ups {
            None => Vec::new(),
            Some(ups) => shown(ups_chain(ups).explain(root), |ups| {
                let volts = ups.voltage.map_or("-".to_owned(), |volts| format!("{volts} V"));
                let percent = ups.percent.map_or("-".to_owned(), |percent| format!("{percent} %"));
                format!("{volts}, {percent}")
            }),
        }),
    ]
}

fn timed(place: &str, read: impl FnOnce() -> Result<String, SensorError>) -> Finding {
    let began = Instant::now();
    let outcome = read();
    Finding { place: place.to_owned(), outcome, took: began.elapsed() }
}

fn shown<T>(attempts: Vec<Attempt<T>>, show: impl Fn(T) -> String) -> Vec<Finding> {
    let show = |attempt: Attempt<T>| Finding {
        place: attempt.place,
        outcome: attempt.outcome.map(&show),
        took: attempt.took,
    };
    attempts.into_iter().map(show).collect()
}

/// The first findings, and the others' where they have no value.
fn preferring(mut first: Vec<Finding>, others: impl FnOnce() -> Vec<Finding>) -> Vec<Finding> {
    if first.iter().all(|finding| finding.outcome.is_err()) {
        first.extend(others());
    }
    first
}

fn identity(root: &Sysroot, settings: &Settings) -> Vec<Finding> {
    if let Some(id) = &settings.hardware_id {
        return vec![Finding {
            place: "the configuration".to_owned(),
            outcome: Ok(id.clone()),
            took: Duration::ZERO,
        }];
    }
    let began = Instant::now();
    let (place, outcome) = match hardware_id::find(root) {
        Ok((id, source)) => (source.place(), Ok(id)),
        Err(NoIdentity::Unreadable(source)) => (source.place(), Err(SensorError::Io)),
        Err(NoIdentity::Unidentified(error)) => ("serial, network interfaces, machine-id", Err(error)),
    };
    vec![Finding { place: place.to_owned(), outcome, took: began.elapsed() }]
}

fn since_boot(cpu: &heartbeat_core::readings::CpuTimes) -> String {
    let busy = Percent::of(cpu.busy, cpu.total).map_or("-".to_owned(), |percent| percent.to_string());
    format!("{busy} % since boot")
}

fn used(memory: &heartbeat_core::readings::Memory) -> Result<String, SensorError> {
    let used = Percent::of(memory.total.saturating_sub(memory.available), memory.total);
    used.map(|percent| format!("{percent} %")).ok_or(SensorError::Invalid)
}

fn filesystem(root: &Sysroot, settings: &Settings) -> Vec<Finding> {
    let read = || {
        let space = disk::read(&root.host_path(&settings.disk_path))?;
        let disk = Disk::from_space(space).ok_or(SensorError::Invalid)?;
        Ok(format!("{} % of {} GiB", disk.percent, disk.total_gb))
    };
    vec![timed(&format!("statvfs {}", settings.disk_path.display()), read)]
}

fn connection(root: &Sysroot, _: &Settings) -> Vec<Finding> {
    let read = || {
        let look = net::Snapshot::take(root, &mut net::interfaces::Interfaces::default())?;
        let default = look.default_interface.unwrap_or(Err(SensorError::Absent));
        let kinds = [
            look.ethernet.and_then(Result::ok).map(|ethernet| format!("ethernet {}", ethernet.interface)),
            look.wifi.and_then(Result::ok).map(|wifi| format!("wifi {}", wifi.interface)),
            look.cellular
                .and_then(Result::ok)
                .and_then(|cellular| cellular.interface)
                .map(|name| format!("4g {name}")),
        ];
        let up: Vec<_> = kinds.into_iter().flatten().collect();
        Ok(format!(
            "{}, default route by {}",
            up.join(", "),
            default.as_ref().map_or("nothing", Text::as_str)
        ))
    };
    vec![timed("/sys/class/net, /proc/net/route", read)]
}

fn version(root: &Sysroot, settings: &Settings) -> Vec<Finding> {
    let place = match &settings.app_version {
        VersionSource::Unknown => return Vec::new(),
        VersionSource::Fixed(_) => "the configuration".to_owned(),
        VersionSource::File(path) => path.display().to_string(),
        VersionSource::Folder(path) => Path::new(path).join("**/*.{py,html,png}").display().to_string(),
    };
    let mut version = AppVersion::new(settings.app_version.clone());
    vec![timed(&place, || version.read(root).map(|version| version.to_string()))]
}

fn doing(activity: &heartbeat_core::readings::Activity) -> String {
    let state = |name: &str, active: bool| format!("{name} {}", if active { "yes" } else { "no" });
    let states = [
        state("streaming", activity.streaming),
        state("tracking", activity.tracking),
        state("recording", activity.recording.is_some()),
    ];
    states.join(", ")
}

/// The mask with what its bits mean (Raspberry Pi documentation, "vcgencmd get_throttled").
fn conditions(throttled: Throttled) -> String {
    const NAMES: [&str; 4] = ["under-voltage", "frequency capped", "throttled", "soft temperature limit"];
    let named = |shift: u32| {
        let set = NAMES.iter().zip(0u32..).filter(|(_, bit)| throttled.0 & (1 << (bit + shift)) != 0);
        set.map(|(name, _)| *name).collect::<Vec<_>>().join(", ")
    };
    match (named(0).as_str(), named(16).as_str()) {
        ("", "") => "0x0: never since boot".to_owned(),
        ("", before) => format!("{:#x}: since boot {before}", throttled.0),
        (now, _) => format!("{:#x}: now {now}", throttled.0),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_mask_is_explained() {
        assert_eq!(conditions(Throttled(0)), "0x0: never since boot");
        assert_eq!(conditions(Throttled(0x50000)), "0x50000: since boot under-voltage, throttled");
        assert_eq!(conditions(Throttled(0x50005)), "0x50005: now under-voltage, throttled");
    }
}
