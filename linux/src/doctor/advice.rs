//! What to do about a value that is not there.

use std::{os::unix::fs::MetadataExt, path::Path};

use heartbeat_core::SensorError;
use nix::unistd::{Gid, Group};

use super::{Complaint, telling};
use crate::{config::Settings, hal::probes::Finding};

/// About a value that no place knows.
pub(super) fn about(value: &str, findings: &[Finding], settings: &Settings) -> Complaint {
    let Some((finding, error)) = telling(findings) else {
        return Complaint {
            serious: false,
            why: "not configured".to_owned(),
            advice: when_unset(value).to_owned(),
        };
    };
    let advice = match error {
        SensorError::Absent => when_absent(value, settings).to_owned(),
        SensorError::Denied => when_denied(&finding.place),
        SensorError::Io => "see the kernel's log: dmesg | tail".to_owned(),
        SensorError::Invalid => match value {
            "timestamp" => {
                "the clock has not been set: is there a network, and timedatectl set-ntp true?".to_owned()
            }
            _ => format!("look at what is there: {}", finding.place),
        },
    };
    Complaint { serious: error != SensorError::Absent, why: error.to_string(), advice }
}

/// About a value whose place hangs.
pub(super) fn about_hanging(value: &str, why: String) -> Complaint {
    let advice = match value {
        "disk" => "a mount hangs: see mount, and unmount what does not answer",
        "temp" | "power" | "throttled" => {
            "the firmware or a bus hangs: heartbeats go on without it; a reboot helps"
        }
        "4g" => "ModemManager hangs: systemctl restart ModemManager",
        _ => "heartbeats go on without it",
    };
    Complaint { serious: true, why, advice: advice.to_owned() }
}

fn when_unset(value: &str) -> &'static str {
    match value {
        "app_version" => "set app_version, app_version_file or app_dir",
        "ups" => "set ups.preset if the board stands on a supply with a battery",
        _ => "nothing to do",
    }
}

fn when_absent(value: &str, settings: &Settings) -> &'static str {
    match value {
        "hardwareid" => "set hardware_id",
        "temp" => "nothing to do: this machine has no sensor that the kernel knows",
        "power" if settings.ups.is_none() => {
            "nothing to do, unless the board stands on a supply with a battery: set ups.preset"
        }
        "power" | "ups" => "is the supply plugged on, and I2C on (raspi-config, dtparam=i2c_arm=on)?",
        "fan_rpm" => "nothing to do: no fan with a tachometer",
        "wifi" => "nothing to do: no wireless interface that is in use",
        "4g" => "install ModemManager if there is a modem: apt-get install modemmanager",
        "gps" => {
            "neither gpsd nor the streaming application's GPS daemon runs; start one if there is a receiver"
        }
        "throttled" => "nothing to do: only the firmware of a Raspberry Pi knows it",
        "app_version" => "is the configured path right?",
        _ => "nothing to do",
    }
}

/// The group that could read it.
fn when_denied(place: &str) -> String {
    let path = place.split(' ').next().unwrap_or(place);
    let group = Path::new(path).metadata().ok().and_then(|metadata| {
        let readable = metadata.mode() & 0o040 != 0;
        Group::from_gid(Gid::from_raw(metadata.gid())).ok().flatten().filter(|_| readable)
    });
    match group {
        Some(group) if group.name != "root" => {
            format!("give the service's user the group of {path}: usermod -aG {} USER", group.name)
        }
        _ if path.starts_with("/dev/vcio") => {
            format!(
                "only root may open {path}: update raspberrypi-sys-mods, or give it to group video with a udev rule"
            )
        }
        _ => format!("the service's user may not read {path}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn permissions_name_the_group() {
        assert_eq!(when_denied("/nonexistent"), "the service's user may not read /nonexistent");
        assert!(when_denied("/dev/vcio_gencmd measure_temp").contains("group video"));
        // A terminal belongs to group tty on every Linux machine that has that group.
        if Path::new("/dev/tty")
            .metadata()
            .is_ok_and(|metadata| metadata.gid() == 5 && metadata.mode() & 0o040 != 0)
        {
            assert!(when_denied("/dev/tty").ends_with("usermod -aG tty USER"));
        }
    }
}
