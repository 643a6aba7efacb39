//! What the lines of a head say.

use super::{Body, Head};

/// Bytes of the value of `Retry-After` or `Date`.
const VALUE_MAX: usize = 64;

/// What a head has said so far.
#[derive(Debug, Default)]
pub(super) struct Fields {
    pub(super) status: u16,
    /// Before 1.1 a connection ends after the reply unless the server says otherwise.
    is_old: bool,
    length: Length,
    coding: Coding,
    close: bool,
    keep_alive: bool,
    retry_after: Option<String>,
    date: Option<String>,
    understands_deltas: bool,
    /// The header to which a folded line belongs.
    latest: Header,
}

#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
enum Length {
    #[default]
    Unsaid,
    Said(u64),
    Unclear,
}

#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
enum Coding {
    #[default]
    None,
    Chunked,
    Unclear,
}

/// Those that matter.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
enum Header {
    ContentLength,
    TransferEncoding,
    Connection,
    RetryAfter,
    Date,
    HeartbeatAccept,
    #[default]
    Other,
}
impl Fields {
    /// `HTTP/1.1 200 OK`; the minor version and the reason may be missing.
    pub(super) fn of_status_line(line: &[u8]) -> Option<Self> {
        let rest = line.strip_prefix(b"HTTP/")?;
        let (version, rest) = rest.split_at_checked(rest.iter().position(|byte| *byte == b' ')?)?;
        let is_version = |byte: &u8| byte.is_ascii_digit() || *byte == b'.';
        if version.is_empty() || !version.iter().all(is_version) {
            return None;
        }
        let rest = rest.trim_ascii_start();
        let (digits, after) = rest.split_at_checked(3)?;
        if !digits.iter().all(u8::is_ascii_digit) || after.first().is_some_and(u8::is_ascii_graphic) {
            return None;
        }
        let status = digits.iter().fold(0, |status, digit| status * 10 + u16::from(digit - b'0'));
        (status >= 100).then(|| Self { status, is_old: version != b"1.1", ..Self::default() })
    }

    pub(super) fn header(&mut self, line: &[u8], is_cut: bool) {
        if matches!(line.first(), Some(b' ' | b'\t')) {
            return self.continuation(line);
        }
        self.latest = Header::Other;
        let Some(colon) = line.iter().position(|byte| *byte == b':') else { return };
        let (name, value) = line.split_at(colon);
        let value = value.get(1..).unwrap_or_default().trim_ascii();
        self.latest = Header::named(name.trim_ascii_end());
        match self.latest {
            Header::ContentLength => self.length = self.length.and(value, is_cut),
            Header::TransferEncoding => self.coding = self.coding.and(value, is_cut),
            Header::Connection => self.connection(value),
            Header::RetryAfter => self.retry_after = self.retry_after.take().or_else(|| printable(value)),
            Header::Date => self.date = self.date.take().or_else(|| printable(value)),
            Header::HeartbeatAccept => self.heartbeat_accept(value),
            Header::Other => {}
        }
    }

    /// A folded line (RFC 9112, section 5.2).
    fn continuation(&mut self, line: &[u8]) {
        match self.latest {
            Header::ContentLength => self.length = Length::Unclear,
            Header::TransferEncoding => self.coding = Coding::Unclear,
            Header::Connection => self.connection(line),
            Header::RetryAfter => self.retry_after = None,
            Header::Date => self.date = None,
            Header::HeartbeatAccept => self.heartbeat_accept(line),
            Header::Other => {}
        }
    }

    fn connection(&mut self, value: &[u8]) {
        for token in value.split(|byte| *byte == b',').map(<[u8]>::trim_ascii) {
            self.close |= token.eq_ignore_ascii_case(b"close");
            self.keep_alive |= token.eq_ignore_ascii_case(b"keep-alive");
        }
    }

    fn heartbeat_accept(&mut self, value: &[u8]) {
        let mut tokens = value.split(|byte| *byte == b',').map(<[u8]>::trim_ascii);
        self.understands_deltas |= tokens.any(|token| token.eq_ignore_ascii_case(b"delta"));
    }

    pub(super) fn finish(self) -> Head {
        let has_none = matches!(self.status, 101 | 204 | 304);
        let body = match (self.coding, self.length) {
            _ if has_none => Body::None,
            (Coding::Unclear, _) | (Coding::None, Length::Unclear) => Body::Unclear,
            (Coding::Chunked, _) => Body::Chunked,
            (Coding::None, Length::Said(0)) => Body::None,
            (Coding::None, Length::Said(length)) => Body::Length(length),
            (Coding::None, Length::Unsaid) => Body::UntilEnd,
        };
        // A reply with both may be an attempt at request smuggling or response splitting (RFC 9112, section 6.3).
        let is_odd = self.coding != Coding::None && self.length != Length::Unsaid;
        let closes = self.close
            || self.status == 101
            || self.is_old && !self.keep_alive
            || is_odd
            || matches!(body, Body::UntilEnd | Body::Unclear);
        Head {
            status: self.status,
            body,
            closes,
            understands_deltas: self.understands_deltas,
            retry_after: self.retry_after,
            date: self.date,
        }
    }
}

impl Length {
    /// With another `Content-Length`. One that is repeated is the same; a list of equal ones is, too.
    fn and(self, value: &[u8], is_cut: bool) -> Self {
        let mut length = self;
        for item in value.split(|byte| *byte == b',').map(<[u8]>::trim_ascii) {
            let number =
                std::str::from_utf8(item).ok().filter(|item| item.bytes().all(|b| b.is_ascii_digit()));
            length = match (length, number.and_then(|number| number.parse().ok())) {
                (Self::Unsaid, Some(number)) => Self::Said(number),
                (Self::Said(said), Some(number)) if said == number => Self::Said(said),
                _ => Self::Unclear,
            };
        }
        if is_cut { Self::Unclear } else { length }
    }
}

impl Coding {
    fn and(self, value: &[u8], is_cut: bool) -> Self {
        match self {
            Self::None if is_cut => Self::Unclear,
            Self::None if value.eq_ignore_ascii_case(b"chunked") => Self::Chunked,
            // No coding at all, of old servers.
            Self::None if value.eq_ignore_ascii_case(b"identity") => Self::None,
            _ => Self::Unclear,
        }
    }
}

impl Header {
    fn named(name: &[u8]) -> Self {
        [
            (&b"content-length"[..], Self::ContentLength),
            (b"transfer-encoding", Self::TransferEncoding),
            (b"connection", Self::Connection),
            (b"retry-after", Self::RetryAfter),
            (b"date", Self::Date),
            (b"heartbeat-accept", Self::HeartbeatAccept),
        ]
        .into_iter()
        .find(|(known, _)| name.eq_ignore_ascii_case(known))
        .map_or(Self::Other, |(_, header)| header)
    }
}

/// A value that can be passed on as it is.
fn printable(value: &[u8]) -> Option<String> {
    let is_plain = value.iter().all(|byte| byte.is_ascii_graphic() || *byte == b' ');
    if !is_plain || value.len() > VALUE_MAX {
        return None;
    }
    std::str::from_utf8(value).ok().map(str::to_owned)
}
