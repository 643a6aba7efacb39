//! The trace of a run: a line for each event, while it goes on.

use heartbeat_core::time::Instant;

/// Receives the events of a run.
pub trait Trace {
    /// Something happened. `line` is called only by a trace that uses the text.
    fn line(&mut self, at: Instant, line: impl FnOnce() -> String);
}

/// Ignores all events.
#[derive(Debug, Clone, Copy, Default)]
pub struct Untraced;

impl Trace for Untraced {
    fn line(&mut self, _: Instant, _: impl FnOnce() -> String) {}
}

/// A hash that two runs share when their traces are the same: FNV-1a over all lines.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TraceHash(u64);

impl Default for TraceHash {
    fn default() -> Self {
        Self(0xcbf2_9ce4_8422_2325)
    }
}

impl TraceHash {
    /// The number.
    pub const fn value(self) -> u64 {
        self.0
    }

    fn add(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.0 = (self.0 ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3);
        }
    }
}

impl Trace for TraceHash {
    fn line(&mut self, at: Instant, line: impl FnOnce() -> String) {
        self.add(&at.as_micros().to_le_bytes());
        self.add(line().as_bytes());
    }
}

/// Hands each line on, and hashes them all.
pub struct Told<F> {
    tell: F,
    hash: TraceHash,
}

impl<F: FnMut(Instant, &str)> Told<F> {
    /// Hands lines to this function.
    pub fn new(tell: F) -> Self {
        Self { tell, hash: TraceHash::default() }
    }

    /// The hash of everything so far.
    pub fn hash(&self) -> TraceHash {
        self.hash
    }
}

impl<F: FnMut(Instant, &str)> Trace for Told<F> {
    fn line(&mut self, at: Instant, line: impl FnOnce() -> String) {
        let line = line();
        (self.tell)(at, &line);
        self.hash.line(at, || line);
    }
}
