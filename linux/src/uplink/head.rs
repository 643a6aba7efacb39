//! The head of a reply, read with tolerance: status line and the five headers that matter; the rest is dropped.
//!
//! The status is the answer, and other clients take replies that a strict parser refuses: a space before a colon, folded
//! lines, warnings of a PHP script among the headers, lines without CR, `100 Continue` with headers. What is unclear about
//! the length of the body costs the connection, not the heartbeat. What comes out ([`Head::render`]) is a minimal head
//! for the HTTP library.
//!
//! Memory and bytes are bounded: a line is kept up to [`LINE_MAX`], all heads of a reply together have [`HEAD_MAX`].

use std::fmt::Write as _;

/// Bytes of all heads of one reply, those with status 1xx included.
const HEAD_MAX: usize = 64 * 1024;
/// Bytes of a line that are looked at. The headers that matter are shorter.
const LINE_MAX: usize = 1024;
/// Interim replies (1xx) before the final one.
const INTERIM_MAX: u32 = 32;
/// Bytes of the value of `Retry-After` or `Date`.
const VALUE_MAX: usize = 64;

/// What comes after the head.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Body {
    /// Nothing.
    None,
    /// So many bytes.
    Length(u64),
    /// Chunks.
    Chunked,
    /// What comes until the connection ends.
    UntilEnd,
    /// Its end cannot be determined.
    Unclear,
}

/// Why a reply cannot be used.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(super) enum HeadError {
    /// It does not begin with a status line.
    #[error("the answer does not begin as HTTP does")]
    NotHttp,
    /// It is longer than [`HEAD_MAX`].
    #[error("the header is larger than 64 KiB")]
    TooLarge,
    /// There are more than [`INTERIM_MAX`] interim replies.
    #[error("more than 32 interim replies (1xx)")]
    TooManyInterim,
}

/// The head of the final reply.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Head {
    pub(super) status: u16,
    pub(super) body: Body,
    /// The connection ends after this reply.
    pub(super) closes: bool,
    retry_after: Option<String>,
    date: Option<String>,
}

impl Head {
    /// This head for the HTTP library. `body`: what it is to read of the body.
    pub(super) fn render(&self, body: Body) -> String {
        let mut text = format!("HTTP/1.1 {} \r\n", self.status);
        // Writing to a string cannot fail.
        let _ = match body {
            Body::Length(length) => write!(text, "content-length: {length}\r\n"),
            Body::Chunked => write!(text, "transfer-encoding: chunked\r\n"),
            Body::None | Body::Unclear => write!(text, "content-length: 0\r\n"),
            Body::UntilEnd => Ok(()),
        };
        if self.closes || body != self.body || matches!(body, Body::UntilEnd | Body::Unclear) {
            text.push_str("connection: close\r\n");
        }
        for (name, value) in [("retry-after", &self.retry_after), ("date", &self.date)] {
            if let Some(value) = value {
                let _ = write!(text, "{name}: {value}\r\n");
            }
        }
        text.push_str("\r\n");
        text
    }
}

/// Reads heads piece by piece.
#[derive(Debug)]
pub(super) struct HeadReader {
    line: Vec<u8>,
    /// The line was longer than what is kept of it.
    is_cut: bool,
    seen: usize,
    interim: u32,
    fields: Option<Fields>,
}

/// What a head has said so far.
#[derive(Debug, Default)]
struct Fields {
    status: u16,
    /// Before 1.1 a connection ends after the reply unless the server says otherwise.
    is_old: bool,
    length: Length,
    coding: Coding,
    close: bool,
    keep_alive: bool,
    retry_after: Option<String>,
    date: Option<String>,
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
    #[default]
    Other,
}

impl HeadReader {
    /// At the beginning of a reply.
    pub(super) fn new() -> Self {
        Self { line: Vec::new(), is_cut: false, seen: 0, interim: 0, fields: None }
    }

    /// Reads more. Returns how many bytes belonged to heads, and the head of the final reply when it is complete.
    ///
    /// # Errors
    ///
    /// When the reply cannot be used.
    pub(super) fn read(&mut self, bytes: &[u8]) -> Result<(usize, Option<Head>), HeadError> {
        for (index, byte) in bytes.iter().copied().enumerate() {
            self.seen += 1;
            if self.seen > HEAD_MAX {
                return Err(HeadError::TooLarge);
            }
            if byte != b'\n' {
                if self.line.len() < LINE_MAX {
                    self.line.push(byte);
                } else {
                    self.is_cut = true;
                }
                self.refuse_early()?;
                continue;
            }
            if let Some(head) = self.end_line()? {
                return Ok((index + 1, Some(head)));
            }
        }
        Ok((bytes.len(), None))
    }

    /// A mail server's greeting need not be read to its end, which may never come.
    fn refuse_early(&self) -> Result<(), HeadError> {
        let begins = self.line.iter().zip(b"HTTP/").all(|(byte, expected)| byte == expected);
        let is_blank = matches!(self.line.as_slice(), [b'\r']);
        if self.fields.is_none() && !begins && !is_blank { Err(HeadError::NotHttp) } else { Ok(()) }
    }

    fn end_line(&mut self) -> Result<Option<Head>, HeadError> {
        let line = std::mem::take(&mut self.line);
        let is_cut = std::mem::take(&mut self.is_cut);
        let line = line.strip_suffix(b"\r").unwrap_or(&line);
        let Some(fields) = &mut self.fields else {
            // Empty lines before a status line are to be ignored (RFC 9112, section 2.2).
            if !line.is_empty() {
                self.fields = Some(Fields::of_status_line(line).ok_or(HeadError::NotHttp)?);
            }
            return Ok(None);
        };
        if !line.is_empty() {
            fields.header(line, is_cut);
            return Ok(None);
        }
        let fields = self.fields.take().unwrap_or_default();
        // After 101 another protocol would follow, so that it is final.
        if (100..200).contains(&fields.status) && fields.status != 101 {
            self.interim += 1;
            return if self.interim > INTERIM_MAX { Err(HeadError::TooManyInterim) } else { Ok(None) };
        }
        Ok(Some(fields.finish()))
    }
}

impl Fields {
    /// `HTTP/1.1 200 OK`; the minor version and the reason may be missing.
    fn of_status_line(line: &[u8]) -> Option<Self> {
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

    fn header(&mut self, line: &[u8], is_cut: bool) {
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
            Header::Other => {}
        }
    }

    fn connection(&mut self, value: &[u8]) {
        for token in value.split(|byte| *byte == b',').map(<[u8]>::trim_ascii) {
            self.close |= token.eq_ignore_ascii_case(b"close");
            self.keep_alive |= token.eq_ignore_ascii_case(b"keep-alive");
        }
    }

    fn finish(self) -> Head {
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
        Head { status: self.status, body, closes, retry_after: self.retry_after, date: self.date }
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

/// For `cargo fuzz`: no reply causes a panic, and the result is a valid head.
#[cfg(fuzzing)]
pub(super) fn fuzz(bytes: &[u8]) {
    if let Ok((used, Some(head))) = HeadReader::new().read(bytes) {
        assert!(used <= bytes.len() && head.render(head.body).ends_with("\r\n\r\n"));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn read(reply: &[u8]) -> Result<Option<Head>, HeadError> {
        HeadReader::new().read(reply).map(|(_, head)| head)
    }

    fn head(reply: &str) -> Head {
        read(reply.as_bytes()).expect(reply).expect(reply)
    }

    /// Each is a delivery over a connection that can be used again.
    #[test]
    fn odd_replies_that_other_clients_accept_count() {
        for reply in [
            "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n",
            "HTTP/1.1 200 \r\nContent-Length: 2\r\n\r\n",
            "HTTP/1.1 200\r\nContent-Length: 2\r\n\r\n",
            "HTTP/1.1 200 OK\nContent-Length: 2\n\n",
            "\r\nHTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n",
            "HTTP/1.1 200 Tr\u{e8}s bien\r\nContent-Length: 2\r\n\r\n",
            "HTTP/1.1 100 Continue\r\nServer: IIS\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n",
            "HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n",
            "HTTP/1.1 200 OK\r\nX-Foo : bar\r\nContent-Length : 2\r\n\r\n",
            "HTTP/1.1 200 OK\r\nX Foo(bar): 1\r\nContent-Length: 2\r\n\r\n",
            "HTTP/1.1 200 OK\r\nWarning: undefined variable in x.php\r\nGarbage line\r\ncontent-length:2\r\n\r\n",
            "HTTP/1.1 200 OK\r\nX-Fold: a\r\n b\r\n\tc: d\r\nContent-Length: 2\r\n\r\n",
            "HTTP/1.1 200 OK\r\nX-Nul: a\0b\u{7f}\r\nContent-Length: 2\r\n\r\n",
            "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: 2\r\n\r\n",
            "HTTP/1.1 200 OK\r\nContent-Length: 2, 2\r\n\r\n",
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: identity\r\nContent-Length: 2\r\n\r\n",
            "HTTP/1.0 200 OK\r\nConnection: Keep-Alive\r\nContent-Length: 2\r\n\r\n",
            "HTTP/1.1 200 OK\r\nConnection: Upgrade, Keep-Alive\r\nContent-Length: 2\r\n\r\n",
        ] {
            let head = head(reply);
            assert_eq!((head.status, head.body, head.closes), (200, Body::Length(2), false), "{reply:?}");
        }
    }

    #[test]
    fn unclear_length_costs_the_connection_only() {
        for length in ["-1", "+2", "", "2, 3", "2\r\nContent-Length: 3", "2\r\n 3", "99999999999999999999"] {
            let head = head(&format!("HTTP/1.1 200 OK\r\nContent-Length: {length}\r\n\r\n"));
            assert_eq!((head.status, head.body, head.closes), (200, Body::Unclear, true), "{length:?}");
        }
        for coding in ["gzip", "gzip, chunked", "chunked\r\nTransfer-Encoding: chunked", "chunked\r\n x"] {
            let head = head(&format!("HTTP/1.1 200 OK\r\nTransfer-Encoding: {coding}\r\n\r\n"));
            assert_eq!((head.status, head.body, head.closes), (200, Body::Unclear, true), "{coding:?}");
        }
    }

    #[test]
    fn end_of_the_connection_is_recognised() {
        for (reply, body) in [
            ("HTTP/1.1 200 OK\r\n\r\n", Body::UntilEnd),
            ("HTTP/1.0 200 OK\r\nContent-Length: 2\r\n\r\n", Body::Length(2)),
            ("HTTP/1.1 200 OK\r\nConnection: x, CLOSE\r\nContent-Length: 2\r\n\r\n", Body::Length(2)),
            ("HTTP/1.1 200 OK\r\nConnection: x,\r\n close\r\nContent-Length: 2\r\n\r\n", Body::Length(2)),
            ("HTTP/1.1 101 Switching\r\nConnection: Upgrade\r\n\r\n", Body::None),
            ("HTTP/1.1 200 OK\r\nContent-Length: 2\r\nTransfer-Encoding: Chunked\r\n\r\n", Body::Chunked),
        ] {
            let head = head(reply);
            assert_eq!((head.body, head.closes), (body, true), "{reply:?}");
        }
    }

    #[test]
    fn what_is_not_http_is_refused_at_once() {
        for reply in ["2", "220 mail.example.org ESMTP", "HTTX", "\r\n\r\nx", "http/1.1 200 OK"] {
            assert_eq!(read(reply.as_bytes()), Err(HeadError::NotHttp), "{reply:?}");
        }
        for line in
            ["HTTP/1.1 099 x", "HTTP/1.1 2000 x", "HTTP/1.1 20", "HTTP/x 200", "HTTP/ 200", "HTTP/1.1"]
        {
            assert_eq!(read(format!("{line}\r\n").as_bytes()), Err(HeadError::NotHttp), "{line:?}");
        }
    }

    #[test]
    fn endless_heads_have_an_end() {
        let interim = b"HTTP/1.1 103 Early Hints\r\n\r\n".repeat(40);
        assert_eq!(read(&interim), Err(HeadError::TooManyInterim));
        let long = [b"HTTP/1.1 200 OK\r\nX: ".to_vec(), vec![b'x'; HEAD_MAX]].concat();
        assert_eq!(read(&long), Err(HeadError::TooLarge));
        let mut reader = HeadReader::new();
        reader.read(&long[..HEAD_MAX - 10]).expect("64 KiB are allowed");
        assert!(reader.line.capacity() <= LINE_MAX * 2, "{}", reader.line.capacity());
    }

    #[test]
    fn body_is_left_to_the_caller() {
        let reply = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}";
        let mut reader = HeadReader::new();
        for (index, byte) in reply.iter().enumerate() {
            let (used, head) = reader.read(std::slice::from_ref(byte)).expect("a head");
            assert_eq!(used, 1);
            if head.is_some() {
                assert_eq!(index + 1, reply.len() - 2, "byte by byte");
                return;
            }
        }
        panic!("no head");
    }

    #[test]
    fn head_is_rendered_with_what_matters() {
        let head = head(
            "HTTP/1.1 503 Busy\r\nX-Any: thing\r\nDate: Tue, 24 Nov 2026 12:00:00 GMT\r\nRetry-After: 120\r\n\
             Content-Length: 99999\r\n\r\n",
        );
        assert_eq!(
            head.render(Body::None),
            "HTTP/1.1 503 \r\ncontent-length: 0\r\nconnection: close\r\nretry-after: 120\r\n\
             date: Tue, 24 Nov 2026 12:00:00 GMT\r\n\r\n"
        );
        assert!(!head.render(head.body).contains("close"));
    }

    proptest! {
        #[test]
        fn any_reply_is_survived_and_rendered_for_any_parser(
            noise: Vec<u8>,
            status in 0u16..1000,
            names in proptest::collection::vec("(Content-Length|Transfer-Encoding|Connection|Date|Retry-After|X)[ :]{0,2}[ -~]{0,12}\r?\n[ \t]?", 0..6),
        ) {
            let _ = read(&noise);
            let reply = format!("HTTP/1.1 {status:03} x\r\n{}\r\n\r\n", names.concat());
            if let Ok(Some(head)) = read(reply.as_bytes()) {
                for body in [head.body, Body::None] {
                    let rendered = head.render(body);
                    let mut headers = [httparse::EMPTY_HEADER; 8];
                    let mut response = httparse::Response::new(&mut headers);
                    prop_assert_eq!(response.parse(rendered.as_bytes()), Ok(httparse::Status::Complete(rendered.len())));
                    prop_assert_eq!(response.code, Some(head.status));
                }
            }
        }
    }
}
