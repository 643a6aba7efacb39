//! `doctor`: each value, what was read and from where; or why not, and what to do.

use super::{Failure, options::Options, print, service_settings::warn_of_differences, warn_of_others};
use crate::{daemon::open_root, doctor};

pub(super) fn doctor(options: &Options, as_json: bool) -> Result<(), Failure> {
    let settings = options.settings()?;
    warn_of_differences(options);
    let root = open_root(&options.sysroot)?;
    warn_of_others(&root);
    let diagnoses = doctor::examine(&root, &settings)?;
    let report = if as_json { doctor::json(&diagnoses) } else { doctor::table(&diagnoses) };
    print(report.trim_end())?;
    let serious = diagnoses
        .iter()
        .filter_map(|diagnosis| diagnosis.complaint.as_ref())
        .filter(|complaint| complaint.is_serious);
    match serious.count() {
        0 => Ok(()),
        count => Err(Failure::Unwell(count)),
    }
}
