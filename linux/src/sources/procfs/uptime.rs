//! Time since boot, from `/proc/uptime`.

use heartbeat_core::{SensorError, readings::Uptime};

use crate::sources::{
    Source,
    sysroot::{Reread, Sysroot},
};

const PATH: &str = "/proc/uptime";

/// Reads `/proc/uptime`, which counts suspend.
#[derive(Debug)]
pub(crate) struct UptimeFile(Reread);

impl UptimeFile {
    pub(crate) const fn new() -> Self {
        Self(Reread::new(PATH))
    }
}

impl Source for UptimeFile {
    type Reading = Uptime;

    fn place(&self) -> String {
        PATH.to_owned()
    }

    fn read(&mut self, root: &Sysroot) -> Result<Uptime, SensorError> {
        let mut buffer = [0; 64];
        parse(self.0.read(root, &mut buffer)?).ok_or(SensorError::Invalid)
    }
}

/// `SECONDS.HUNDREDTHS IDLE` (proc_uptime(5)).
pub(crate) fn parse(uptime: &[u8]) -> Option<Uptime> {
    let text = str::from_utf8(uptime).ok()?;
    let (whole, _) = text.split_once('.')?;
    let digits = whole.bytes().all(|byte| byte.is_ascii_digit());
    whole.parse().ok().filter(|_| digits).map(Uptime)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parses_whole_seconds_and_rejects_the_rest() {
        assert_eq!(parse(b"350735.47 234388.90\n"), Some(Uptime(350_735)));
        for bad in [&b""[..], b"x", b"-1.0", b"+1.0", b"12", b"99999999999999999999.0", b"\xff.0"] {
            assert_eq!(parse(bad), None, "{bad:?}");
        }
    }
}
