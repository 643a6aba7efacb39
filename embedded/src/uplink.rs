//! The way to the server: lines over the UART, to a gateway that posts them and answers with the server's status.

use core::task::Poll;

use heapless::{String, Vec};
use heartbeat_core::{
    Outcome, Uplink, Verdict,
    time::{Duration, Instant},
    uplink::Fault,
};

use crate::{clock, uart};

/// Longest line that can be an answer, with room for spaces.
const LINE_MAX: usize = 40;

/// The gateway's answer for a heartbeat.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Reply {
    /// The server's HTTP status.
    status: u16,
    /// How long the server asks its clients to wait.
    retry_after: Option<Duration>,
}

/// A line that was received.
#[derive(Debug, PartialEq, Eq)]
enum Line {
    Answer { number: u32, reply: Reply },
    Stop,
}

/// The serial line.
#[derive(Debug)]
pub(crate) struct SerialLine {
    /// Number of the latest heartbeat. An answer has it, so that a late answer is not taken for another heartbeat's.
    number: u32,
    deadline: Option<Instant>,
    answer: Option<Reply>,
    stop: bool,
    /// The received part of the next line; `None` when it is too long.
    line: Option<Vec<u8, LINE_MAX>>,
}

impl SerialLine {
    pub(crate) const fn new() -> Self {
        Self { number: 0, deadline: None, answer: None, stop: false, line: Some(Vec::new()) }
    }

    /// Processes received bytes. True when there is an answer or a stop.
    pub(crate) fn listen(&mut self) -> bool {
        while let Some(byte) = uart::read() {
            if byte != b'\n' {
                self.line = self.line.take().and_then(|mut line| line.push(byte).is_ok().then_some(line));
                continue;
            }
            match self.line.replace(Vec::new()).as_deref().and_then(parse) {
                Some(Line::Answer { number, reply }) if number == self.number && self.deadline.is_some() => {
                    self.answer = Some(reply);
                }
                Some(Line::Stop) => self.stop = true,
                // A late answer, or an invalid line.
                Some(Line::Answer { .. }) | None => {}
            }
        }
        self.answer.is_some() || self.stop
    }

    pub(crate) const fn stop_was_asked(&self) -> bool {
        self.stop
    }
}

impl Uplink for SerialLine {
    fn send(&mut self, body: &[u8], timeout: Duration) {
        self.number = self.number.wrapping_add(1);
        self.deadline = Some(clock::now() + timeout);
        self.answer = None;
        let mut number = [0; 10];
        uart::write(decimal(self.number, &mut number));
        uart::write(b" ");
        uart::write(body);
        uart::write(b"\n");
    }

    fn poll(&mut self) -> Poll<Outcome> {
        self.listen();
        let Some(deadline) = self.deadline else { return Poll::Pending };
        let outcome = match self.answer.take() {
            Some(reply) => reply.outcome(),
            None if clock::now() >= deadline => timeout(),
            None => return Poll::Pending,
        };
        self.deadline = None;
        Poll::Ready(outcome)
    }

    fn cancel(&mut self) -> Outcome {
        self.deadline = None;
        self.answer = None;
        // Ends a line that was cut off.
        uart::discard();
        uart::write(b"\n");
        timeout()
    }
}

impl Reply {
    fn outcome(self) -> Outcome {
        let verdict = match self.status {
            200..=299 => Verdict::Accepted,
            429 | 503 => Verdict::Refused { retry_after: self.retry_after },
            _ => Verdict::Refused { retry_after: None },
        };
        let mut detail = String::<20>::new();
        let (mut digits, status) = ([0; 10], u32::from(self.status));
        // Always UTF-8, and shorter than the buffer.
        let _ = detail.push_str("status ");
        let _ = detail.push_str(str::from_utf8(decimal(status, &mut digits)).unwrap_or_default());
        Outcome::new(verdict, &detail)
    }
}

/// The gateway did not answer, and may have posted the heartbeat.
fn timeout() -> Outcome {
    let verdict = Verdict::Failed { fault: Fault::Server, may_have_arrived: true };
    Outcome::new(verdict, "no answer in time")
}

/// `NUMBER STATUS`, `NUMBER STATUS RETRY-AFTER` in seconds, or `stop`; other lines are ignored.
fn parse(line: &[u8]) -> Option<Line> {
    let line = str::from_utf8(line).ok()?.trim_ascii();
    if line == "stop" {
        return Some(Line::Stop);
    }
    let mut words = line.split_ascii_whitespace();
    let number = words.next()?.parse().ok()?;
    let status = words.next()?.parse().ok().filter(|status| (100..=599).contains(status))?;
    let retry_after = match words.next() {
        Some(secs) => Some(Duration::from_secs(secs.parse().ok()?)),
        None => None,
    };
    words.next().is_none().then_some(Line::Answer { number, reply: Reply { status, retry_after } })
}

/// The decimal digits of a number, without `core::fmt`.
fn decimal(mut number: u32, digits: &mut [u8; 10]) -> &[u8] {
    let mut len = 0_usize;
    for digit in digits.iter_mut().rev() {
        // A digit is less than 10.
        *digit = b'0'.wrapping_add((number % 10) as u8);
        number /= 10;
        len = len.saturating_add(1);
        if number == 0 {
            break;
        }
    }
    digits.split_at(digits.len().saturating_sub(len)).1
}
