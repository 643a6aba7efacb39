//! How long a server asks clients to back off (RFC 9110, sections 10.2.3 and 5.6.7).

use std::str;

use heartbeat_core::time::Duration;

/// Reads `Retry-After`: seconds, or a date, which is compared with the server's own `Date`. This device's clock may be
/// years off. `None` for what is neither.
pub(super) fn parse(retry_after: &[u8], date: Option<&[u8]>) -> Option<Duration> {
    let text = str::from_utf8(retry_after).ok()?.trim();
    if !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit()) {
        // Only too many digits are left to fail.
        return Some(Duration::from_secs(text.parse().unwrap_or(u64::MAX)));
    }
    let until = httpdate::parse_http_date(text).ok()?;
    let now = httpdate::parse_http_date(str::from_utf8(date?).ok()?.trim()).ok()?;
    Some(until.duration_since(now).map_or(Duration::ZERO, Duration::from))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const NOON: &[u8] = b"Tue, 24 Nov 2026 12:00:00 GMT";

    #[test]
    fn seconds_and_dates_are_understood_and_the_rest_is_not() {
        let parse = |text: &str, date| super::parse(text.as_bytes(), date).map(Duration::as_secs);
        assert_eq!(parse("120", None), Some(120));
        assert_eq!(parse(" 0 ", None), Some(0));
        assert_eq!(parse("99999999999999999999999", None).map(|secs| secs > 1 << 40), Some(true));
        assert_eq!(parse("Tue, 24 Nov 2026 12:01:30 GMT", Some(NOON)), Some(90));
        assert_eq!(parse("Tue, 24 Nov 2026 11:00:00 GMT", Some(NOON)), Some(0), "in the past");
        assert_eq!(
            parse("Tue, 24 Nov 2026 12:01:30 GMT", None),
            None,
            "dates are relative to a clock that may be wrong"
        );
        for nonsense in ["", "-1", "+5", "1.5", "soon", "12 s", "0x10"] {
            assert_eq!(parse(nonsense, Some(NOON)), None, "{nonsense:?}");
        }
        assert_eq!(super::parse(b"\xff", Some(NOON)), None);
    }

    proptest! {
        #[test]
        fn any_header_is_survived(text: Vec<u8>, date: Option<Vec<u8>>) {
            let _ = parse(&text, date.as_deref());
        }
    }
}
