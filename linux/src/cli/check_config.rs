//! `check-config`: the settings in use, and where each comes from.

use super::{Failure, options::Options, print, service_settings::warn_of_differences};
use crate::{
    daemon::{StartError, identity, open_root},
    uplink::{Client, Traffic},
};

/// Prints a configuration file with the settings in use; comments say where each comes from.
pub(super) fn check_config(options: &Options) -> Result<(), Failure> {
    let (layers, _) = options.layers()?;
    let settings = options.settings()?;
    warn_of_differences(options);
    // What only shows when it is used: the board's id, the certificate authorities.
    identity(&settings, &*open_root(&options.sysroot)?)?;
    Client::new(&settings, &Traffic::default()).map_err(StartError::from)?;
    for mut entry in layers.in_use()? {
        // A query may hold a secret, and people show others what this prints.
        if let Some((address, _)) = entry.value.split_once('?').filter(|_| entry.key == "url") {
            entry.value = format!("{address}?(not shown)\"");
        }
        print(entry)?;
    }
    let path = options.config_path();
    // A named file that is missing was refused before.
    let state = if path.exists() { "valid" } else { "not there, the defaults apply" };
    print(format_args!("# {}: {state}", path.display()))?;
    Ok(())
}
