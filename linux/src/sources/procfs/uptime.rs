//! Time since boot, from `/proc/uptime`.

use heartbeat_core::readings::Uptime;

/// Its path.
pub(crate) const PATH: &str = "/proc/uptime";

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
