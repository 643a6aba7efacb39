//! As much of HTTP/1.1 as a heartbeat needs, with a limit on everything.

use std::io::{self, Read, Write};

use percent_encoding::percent_decode_str;

/// Bytes of a request's header.
const HEADER_MAX: usize = 16 * 1024;
/// Bytes of a request's body.
const BODY_MAX: usize = 64 * 1024;

/// How a document came.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Form {
    /// As the body of a POST.
    Post,
    /// As the parameter `params` of a GET.
    Get,
}

/// One request with a document.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Request {
    /// How it came.
    pub form: Form,
    /// The document.
    pub document: Vec<u8>,
    /// Bytes of the whole request.
    pub size: usize,
}

/// Why a request is not taken: a status and what was expected.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusal {
    /// HTTP status.
    pub status: u16,
    /// For people.
    pub reason: String,
}

impl Refusal {
    fn new(status: u16, reason: impl Into<String>) -> Self {
        Self { status, reason: reason.into() }
    }
}

/// Reads requests from one connection.
#[derive(Debug)]
pub struct Connection<S> {
    stream: S,
    /// Read, but not consumed.
    buffer: Vec<u8>,
}

impl<S: Read + Write> Connection<S> {
    /// A connection on which nothing has been read.
    pub const fn new(stream: S) -> Self {
        Self { stream, buffer: Vec::new() }
    }

    /// The next request. `None` when the peer closed the connection between requests.
    ///
    /// # Errors
    ///
    /// When the connection broke. A request that cannot be taken is a [`Refusal`], after which the connection is of
    /// no use.
    pub fn receive(&mut self) -> io::Result<Option<Result<Request, Refusal>>> {
        let header_len = loop {
            if let Some(end) = self.buffer.windows(4).position(|window| window == b"\r\n\r\n") {
                break end + 4;
            }
            if self.buffer.len() > HEADER_MAX {
                return Ok(Some(Err(Refusal::new(
                    431,
                    format!("expected a header of at most {HEADER_MAX} bytes"),
                ))));
            }
            if !self.fill()? {
                return if self.buffer.is_empty() {
                    Ok(None)
                } else {
                    Err(io::ErrorKind::UnexpectedEof.into())
                };
            }
        };
        let header: Vec<u8> = self.buffer.drain(..header_len).collect();
        let target = match parse(&header) {
            Ok(target) => target,
            Err(refusal) => return Ok(Some(Err(refusal))),
        };
        let (form, body_len, document) = match target {
            Target::Get(document) => (Form::Get, 0, document),
            Target::Post(len) => (Form::Post, len, Vec::new()),
        };
        while self.buffer.len() < body_len {
            if !self.fill()? {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
        }
        let body: Vec<u8> = self.buffer.drain(..body_len).collect();
        let size = header_len + body_len;
        let document = if form == Form::Post { body } else { document };
        Ok(Some(Ok(Request { form, document, size })))
    }

    /// Answers with a small JSON document.
    ///
    /// # Errors
    ///
    /// When the connection broke.
    pub fn reply(&mut self, status: u16, body: &str) -> io::Result<()> {
        let reason = if status == 200 { "OK" } else { "Refused" };
        let length = body.len();
        let reply = format!(
            "HTTP/1.1 {status} {reason}\r\nContent-Type: application/json\r\nContent-Length: {length}\r\n\r\n{body}"
        );
        self.stream.write_all(reply.as_bytes())
    }

    /// Reads more; false at the end of the stream.
    fn fill(&mut self) -> io::Result<bool> {
        let mut chunk = [0; 4096];
        let len = self.stream.read(&mut chunk)?;
        self.buffer.extend_from_slice(chunk.get(..len).unwrap_or_default());
        Ok(len > 0)
    }
}

/// Reads one whole request with a document, which must be the last of what the peer has sent, and returns the document.
///
/// # Errors
///
/// When the connection broke, ended, or brought something else.
pub fn read_request(stream: &mut impl Read) -> io::Result<Vec<u8>> {
    match Connection::new(ReadOnly(stream)).receive()? {
        Some(Ok(request)) => Ok(request.document),
        _ => Err(io::ErrorKind::UnexpectedEof.into()),
    }
}

struct ReadOnly<'s, S>(&'s mut S);

impl<S: Read> Read for ReadOnly<'_, S> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.0.read(buffer)
    }
}

impl<S> Write for ReadOnly<'_, S> {
    fn write(&mut self, _: &[u8]) -> io::Result<usize> {
        Err(io::ErrorKind::Unsupported.into())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

enum Target {
    /// With the decoded parameter.
    Get(Vec<u8>),
    /// With the length of the body.
    Post(usize),
}

fn parse(header: &[u8]) -> Result<Target, Refusal> {
    let mut headers = [httparse::EMPTY_HEADER; 64];
    let mut request = httparse::Request::new(&mut headers);
    request.parse(header).map_err(|error| Refusal::new(400, format!("not an HTTP request: {error}")))?;
    match request.method {
        Some("GET") => {
            let query = request.path.and_then(|path| path.split_once('?')).map_or("", |(_, query)| query);
            let params = query
                .split('&')
                .find_map(|pair| pair.strip_prefix("params="))
                .ok_or_else(|| Refusal::new(400, "expected the parameter params"))?;
            // PHP decodes a plus sign to a space as well.
            Ok(Target::Get(percent_decode_str(&params.replace('+', " ")).collect()))
        }
        Some("POST") => {
            let field = |name: &str| {
                let found = request.headers.iter().find(|header| header.name.eq_ignore_ascii_case(name));
                found.and_then(|header| str::from_utf8(header.value).ok()).map(str::trim)
            };
            let kind = field("content-type").unwrap_or("none");
            if !kind.starts_with("application/json") {
                return Err(Refusal::new(
                    415,
                    format!("expected Content-Type: application/json, found {kind}"),
                ));
            }
            let len = field("content-length")
                .and_then(|len| len.parse().ok())
                .ok_or_else(|| Refusal::new(411, "expected a Content-Length"))?;
            if len > BODY_MAX {
                return Err(Refusal::new(
                    413,
                    format!("expected a body of at most {BODY_MAX} bytes, found {len}"),
                ));
            }
            Ok(Target::Post(len))
        }
        method => {
            Err(Refusal::new(405, format!("expected POST or GET, found {}", method.unwrap_or("nothing"))))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Cursor;

    fn receive(bytes: &[u8]) -> Vec<Result<Request, Refusal>> {
        let mut connection = Connection::new(Cursor::new(bytes.to_vec()));
        let mut requests = Vec::new();
        while let Ok(Some(request)) = connection.receive() {
            let refused = request.is_err();
            requests.push(request);
            if refused {
                break;
            }
        }
        requests
    }

    #[test]
    fn requests_follow_each_other_on_one_connection() {
        let requests = receive(
            b"POST /h HTTP/1.1\r\ncontent-type: application/json\r\nContent-Length: 2\r\n\r\n{}\
              GET /h?a=b&params=%7B%22a%22%3A+1%7D HTTP/1.1\r\n\r\n",
        );
        let documents: Vec<_> = requests.into_iter().map(|request| request.expect("taken")).collect();
        assert_eq!(documents.len(), 2);
        assert_eq!((documents[0].form, documents[0].document.as_slice()), (Form::Post, &b"{}"[..]));
        assert_eq!((documents[1].form, documents[1].document.as_slice()), (Form::Get, &br#"{"a": 1}"#[..]));
    }

    #[test]
    fn what_is_not_taken_is_explained() {
        for (request, status) in [
            (&b"PUT / HTTP/1.1\r\n\r\n"[..], 405),
            (b"POST / HTTP/1.1\r\nContent-Length: 2\r\n\r\n{}", 415),
            (b"POST / HTTP/1.1\r\nContent-Type: application/json\r\n\r\n", 411),
            (b"POST / HTTP/1.1\r\nContent-Type: application/json\r\nContent-Length: 65537\r\n\r\n", 413),
            (b"GET /?x=1 HTTP/1.1\r\n\r\n", 400),
            (b"\x16\x03\x01 TLS on a plain port\r\n\r\n", 400),
        ] {
            let refusals: Vec<_> = receive(request).into_iter().filter_map(Result::err).collect();
            assert_eq!(refusals.first().map(|refusal| refusal.status), Some(status), "{refusals:?}");
        }
        assert_eq!(receive(&vec![b'x'; 20_000])[0].as_ref().map_err(|refusal| refusal.status), Err(431));
    }
}
