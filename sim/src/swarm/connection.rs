//! A kept connection over plain HTTP/1.1.

use std::{future::Future, io, net::SocketAddr, pin::Pin};

use heartbeat_core::{Outcome, uplink::Fault};
use heartbeat_daemon::uplink::{Reply, outcome};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};

use super::failed;

/// Longest answer that is read, bytes.
const ANSWER_MAX: usize = 16_384;

/// A request under way: its outcome, and the connection if it can be used again.
type Exchange = Pin<Box<dyn Future<Output = (Outcome, Option<TcpStream>)> + Send>>;

/// The connection of a device, and the request on it.
pub(super) struct Connection {
    server: SocketAddr,
    idle: Option<TcpStream>,
    exchange: Option<Exchange>,
}

impl Connection {
    /// No connection yet.
    pub(super) const fn new(server: SocketAddr) -> Self {
        Self { server, idle: None, exchange: None }
    }

    /// Begins to send a document. [`Self::outcome`] does the work.
    pub(super) fn begin(&mut self, body: &[u8]) {
        let mut request = format!(
            "POST /heartbeat.php HTTP/1.1\r\nHost: {}\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n",
            self.server,
            body.len()
        )
        .into_bytes();
        request.extend_from_slice(body);
        self.exchange = Some(Box::pin(exchange(self.idle.take(), self.server, request)));
    }

    /// The outcome of the request; never without one. It may be dropped and called again.
    pub(super) async fn outcome(&mut self) -> Outcome {
        let Some(exchange) = &mut self.exchange else { return std::future::pending().await };
        let (outcome, kept) = exchange.await;
        (self.exchange, self.idle) = (None, kept);
        outcome
    }

    /// Closes it, so that what is under way cannot arrive late.
    pub(super) fn reset(&mut self) {
        (self.exchange, self.idle) = (None, None);
    }
}

async fn exchange(
    idle: Option<TcpStream>,
    server: SocketAddr,
    request: Vec<u8>,
) -> (Outcome, Option<TcpStream>) {
    let connected = match idle {
        Some(stream) => Ok(stream),
        None => TcpStream::connect(server).await,
    };
    let mut stream = match connected {
        Ok(stream) => stream,
        Err(error) => return (failed(Fault::Server, false, &error.to_string()), None),
    };
    match answer(&mut stream, &request).await {
        Ok((reply, keeps)) => (outcome(&Ok(reply)), keeps.then_some(stream)),
        Err(error) => (failed(Fault::Server, true, &error.to_string()), None),
    }
}

/// The answer, and whether the server keeps the connection.
async fn answer(stream: &mut TcpStream, request: &[u8]) -> io::Result<(Reply, bool)> {
    stream.write_all(request).await?;
    let mut received = Vec::with_capacity(256);
    loop {
        if stream.read_buf(&mut received).await? == 0 || received.len() > ANSWER_MAX {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        if let Some(answer) = parse(&received)? {
            return Ok(answer);
        }
    }
}

/// Status and `Retry-After` of a whole answer, and whether the connection is kept; `None` while bytes are missing.
fn parse(received: &[u8]) -> io::Result<Option<(Reply, bool)>> {
    let mut headers = [httparse::EMPTY_HEADER; 32];
    let mut response = httparse::Response::new(&mut headers);
    let parsed = response.parse(received).map_err(io::Error::other)?;
    let (httparse::Status::Complete(head), Some(status)) = (parsed, response.code) else { return Ok(None) };
    let value = |name: &str| {
        let mut found = response.headers.iter().filter(|header| header.name.eq_ignore_ascii_case(name));
        found.next().and_then(|header| std::str::from_utf8(header.value).ok()).map(str::trim)
    };
    let body: usize = value("content-length").and_then(|length| length.parse().ok()).unwrap_or(0);
    if received.len() < head.saturating_add(body) {
        return Ok(None);
    }
    let retry_after = value("retry-after").and_then(|seconds| seconds.parse().ok());
    let retry_after = retry_after.map(heartbeat_core::time::Duration::from_secs);
    let reply = Reply { retry_after, ..Reply::new(status) };
    let keeps = !value("connection").is_some_and(|value| value.eq_ignore_ascii_case("close"));
    Ok(Some((reply, keeps)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_is_complete_with_its_body() {
        let answer = b"HTTP/1.1 503 Unavailable\r\nRetry-After: 7\r\nContent-Length: 3\r\n\r\nfull";
        let whole = answer.len() - 1;
        assert!(parse(&answer[..10]).unwrap().is_none());
        assert!(parse(&answer[..whole - 1]).unwrap().is_none());
        let (reply, keeps) = parse(&answer[..whole]).unwrap().unwrap();
        assert_eq!((reply.status, reply.retry_after.map(|time| time.as_secs())), (503, Some(7)));
        assert!(keeps);
    }

    #[test]
    fn a_server_may_close_the_connection_or_answer_nonsense() {
        let (_, keeps) = parse(b"HTTP/1.1 200 OK\r\nConnection: Close\r\n\r\n").unwrap().unwrap();
        assert!(!keeps);
        assert!(parse(b"220 mail.example ESMTP\r\n\r\n").is_err());
    }
}
