//! Whether the clock has been synchronized, from what systemd-timesyncd leaves in `/run`.
//!
//! The kernel would say it for every daemon (`adjtimex(2)`), but the service's sandbox refuses that call (`ProtectClock=`)
//! because it can set the clock, too. systemd-timesyncd is what Raspberry Pi OS, Debian and Ubuntu install. chrony and ntpd leave no
//! mark that other users can read; beside them the answer is "not known".

use heartbeat_core::SensorError;

use crate::sources::sysroot::Sysroot;

/// Its runtime directory, which systemd removes when it stops (`RuntimeDirectory=`, systemd.exec(5)).
pub(super) const PLACE: &str = "/run/systemd/timesync";
/// "A file that is touched on each successful synchronization" (systemd-timesyncd.service(8), since version 239). It stays when
/// the server is out of reach later: the clock goes on from there.
const SYNCHRONIZED: &str = "/run/systemd/timesync/synchronized";

pub(super) fn read(root: &Sysroot) -> Result<bool, SensorError> {
    match root.locate(SYNCHRONIZED) {
        Ok(()) => Ok(true),
        Err(SensorError::Absent) => root.locate(PLACE).map(|()| false),
        Err(error) => Err(error),
    }
}
