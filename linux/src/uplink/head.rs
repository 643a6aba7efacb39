//! The head of a reply, read with tolerance: status line and the six headers that matter; the rest is dropped.
//!
//! The status is the answer, and other clients take replies that a strict parser refuses: a space before a colon, folded
//! lines, warnings of a PHP script among the headers, lines without CR, `100 Continue` with headers. What is unclear about
//! the length of the body costs the connection, not the heartbeat. What comes out ([`Head::render`]) is a minimal head
//! for the HTTP library.
//!
//! Memory and bytes are bounded: a line is kept up to [`LINE_MAX`], all heads of a reply together have [`HEAD_MAX`].

mod fields;

use std::io::{self, Write};

use self::fields::Fields;

/// Bytes of all heads of one reply, those with status 1xx included.
const HEAD_MAX: usize = 64 * 1024;
/// Bytes of a line that are looked at. The headers that matter are shorter.
const LINE_MAX: usize = 1024;
/// Interim replies (1xx) before the final one.
const INTERIM_MAX: u32 = 32;

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
    /// The server says that it understands deltas.
    pub(super) understands_deltas: bool,
    retry_after: Option<String>,
    date: Option<String>,
}

impl Head {
    /// Writes this head for the HTTP library. `body`: what it is to read of the body.
    ///
    /// # Errors
    ///
    /// What `to` says.
    pub(super) fn render(&self, body: Body, to: &mut impl Write) -> io::Result<()> {
        write!(to, "HTTP/1.1 {} \r\n", self.status)?;
        match body {
            Body::Length(length) => write!(to, "content-length: {length}\r\n")?,
            Body::Chunked => to.write_all(b"transfer-encoding: chunked\r\n")?,
            Body::None | Body::Unclear => to.write_all(b"content-length: 0\r\n")?,
            Body::UntilEnd => {}
        }
        if self.closes || body != self.body || matches!(body, Body::UntilEnd | Body::Unclear) {
            to.write_all(b"connection: close\r\n")?;
        }
        for (name, value) in [("retry-after", &self.retry_after), ("date", &self.date)] {
            if let Some(value) = value {
                write!(to, "{name}: {value}\r\n")?;
            }
        }
        to.write_all(b"\r\n")
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

impl HeadReader {
    /// At the beginning of a reply.
    pub(super) fn new() -> Self {
        Self::with_line(Vec::new())
    }

    /// At the beginning of a reply, with the [line](Self::into_line) of an earlier one, so that it need not be made again.
    pub(super) fn with_line(mut line: Vec<u8>) -> Self {
        line.clear();
        Self { line, is_cut: false, seen: 0, interim: 0, fields: None }
    }

    /// The memory of its line.
    pub(super) fn into_line(self) -> Vec<u8> {
        self.line
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
        let mut line = std::mem::take(&mut self.line);
        let head = self.end(&line);
        line.clear();
        self.line = line;
        head
    }

    fn end(&mut self, line: &[u8]) -> Result<Option<Head>, HeadError> {
        let is_cut = std::mem::take(&mut self.is_cut);
        let line = line.strip_suffix(b"\r").unwrap_or(line);
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

/// For `cargo fuzz`: no reply causes a panic, and the result is a valid head.
#[cfg(fuzzing)]
pub(super) fn fuzz(bytes: &[u8]) {
    if let Ok((used, Some(head))) = HeadReader::new().read(bytes) {
        let mut rendered = Vec::new();
        let is_written = head.render(head.body, &mut rendered).is_ok();
        assert!(is_written && used <= bytes.len() && rendered.ends_with(b"\r\n\r\n"));
    }
}

#[cfg(test)]
mod tests;
