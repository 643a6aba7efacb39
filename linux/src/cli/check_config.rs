//! `check-config`: the settings, and where each comes from.

use super::{Failure, options::Options, print};
use crate::{
    config::{Key, Settings},
    daemon::{StartError, identity, open_root},
    uplink::{Client, Traffic},
};

pub(super) fn check_config(options: &Options) -> Result<(), Failure> {
    let (layers, _) = options.layers()?;
    let settings = options.settings()?;
    // What only shows when it is used: the board's id, the certificate authorities.
    identity(&settings, &*open_root(&options.sysroot)?)?;
    Client::new(&settings, &Traffic::default()).map_err(StartError::from)?;
    for key in Key::ALL {
        if let Some(value) = shown(*key, &settings) {
            print(format_args!("{:<18} {value:<48} {}", key.name(), layers.origin(*key)))?;
        }
    }
    let path = options.config_path();
    // A named file that is missing was refused before.
    let state = if path.exists() { "valid" } else { "not there, the defaults apply" };
    print(format_args!("{}: {state}", path.display()))?;
    Ok(())
}

fn shown_ups(key: Key, ups: &crate::hal::UpsConfig) -> Option<String> {
    use crate::hal::UpsChip;
    match (key, ups.chip) {
        (Key::UpsPreset, UpsChip::Ina219 { .. }) => Some("an INA219".to_owned()),
        (Key::UpsPreset, UpsChip::Max17040) => Some("a MAX17040".to_owned()),
        (Key::UpsBus, _) => Some(ups.bus.to_string()),
        (Key::UpsAddress, UpsChip::Ina219 { address, .. }) => Some(format!("{address:#04x}")),
        (Key::UpsShunt, UpsChip::Ina219 { shunt_uohm, .. }) => {
            Some((f64::from(shunt_uohm) / 1e6).to_string())
        }
        (Key::UpsPositive, UpsChip::Ina219 { positive_charges, .. }) => {
            Some(if positive_charges { "charges" } else { "discharges" }.to_owned())
        }
        _ => None,
    }
}

/// A setting as it will be used; `None` for those that are not in use.
fn shown(key: Key, settings: &Settings) -> Option<String> {
    use crate::{config::Method, hal::VersionSource};
    let seconds = |duration| format!("{} s", std::time::Duration::from(duration).as_secs_f64());
    let path = |path: &std::path::Path| path.display().to_string();
    match key {
        Key::Url => Some(settings.endpoint.to_string()),
        Key::Interval => Some(seconds(settings.rhythm.interval())),
        Key::Timeout => Some(seconds(settings.rhythm.timeout())),
        Key::Method => Some(match settings.method {
            Method::Post => "post".to_owned(),
            Method::Get => "get".to_owned(),
        }),
        Key::Pidfile => Some(settings.pidfile.as_deref().map_or("none".to_owned(), path)),
        Key::CaFile => settings.ca_file.as_deref().map(path),
        Key::AppTmp => Some(path(&settings.app_tmp)),
        Key::DiskPath => Some(path(&settings.disk_path)),
        Key::HardwareId => settings.hardware_id.clone(),
        Key::BackoffCap => Some(seconds(settings.rhythm.backoff_cap())),
        Key::BacklogBeats => Some(settings.rhythm.backlog().to_string()),
        Key::BacklogPerInterval if settings.rhythm.backlog() > 0 => {
            Some(settings.rhythm.late_per_interval().to_string())
        }
        Key::BacklogPerInterval => None,
        Key::BacklogFile => settings.backlog_file.as_deref().map(path),
        Key::Sequence => Some(settings.rhythm.sequence().to_string()),
        Key::Diagnostics => Some(settings.rhythm.diagnostics().to_string()),
        Key::UpsPreset | Key::UpsBus | Key::UpsAddress | Key::UpsShunt | Key::UpsPositive => {
            settings.ups.and_then(|ups| shown_ups(key, &ups))
        }
        Key::AppVersion | Key::AppVersionFile | Key::AppDir => match (key, &settings.app_version) {
            (Key::AppVersion, VersionSource::Fixed(version)) => Some(version.clone()),
            (Key::AppVersionFile, VersionSource::File(file)) => Some(path(file)),
            (Key::AppDir, VersionSource::Folder(folder)) => Some(path(folder)),
            _ => None,
        },
    }
}
