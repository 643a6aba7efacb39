//! The HTTP library's buffers, made once: the library's own are made and filled with zeros anew for each request.

use std::mem;

use ureq::unversioned::transport::Buffers;

/// Bytes of the input: a minimal head and what came with it.
const INPUT: usize = 4 * 1024;

/// Room for a request's head and document, and for what the library reads of a reply. Without any until it is
/// [lent](Self::lend).
#[derive(Debug, Default)]
pub(super) struct RequestBuffers {
    output: Vec<u8>,
    input: Vec<u8>,
    /// Bytes of the input that were used.
    used: usize,
    /// Bytes of the input that were received, those that were used included.
    received: usize,
    /// The latest look at the input used some of it.
    has_progressed: bool,
    /// Memory for a line of a reply's head.
    pub(super) line: Vec<u8>,
}

impl RequestBuffers {
    /// Gives them away empty, with `output` bytes of room for what is sent. Until they are put back there are none here.
    pub(super) fn lend(&mut self, output: usize) -> Self {
        let Self { output: mut sent, input: mut received, line, .. } = mem::take(self);
        sent.resize(output, 0);
        received.resize(INPUT, 0);
        Self { output: sent, input: received, line, ..Self::default() }
    }
}

impl Buffers for RequestBuffers {
    fn output(&mut self) -> &mut [u8] {
        &mut self.output
    }

    fn input(&self) -> &[u8] {
        self.input.get(self.used..self.received).unwrap_or_default()
    }

    fn input_append_buf(&mut self) -> &mut [u8] {
        if self.used > 0 {
            self.input.copy_within(self.used..self.received, 0);
            self.received -= self.used;
            self.used = 0;
        }
        self.input.get_mut(self.received..).unwrap_or_default()
    }

    fn input_appended(&mut self, amount: usize) {
        self.received = self.input.len().min(self.received.saturating_add(amount));
    }

    fn input_consume(&mut self, amount: usize) {
        self.has_progressed = amount > 0;
        self.used = self.received.min(self.used.saturating_add(amount));
    }

    fn tmp_and_output(&mut self) -> (&mut [u8], &mut [u8]) {
        // All of the input is free while a document is sent: nothing is received before that.
        (&mut self.input, &mut self.output)
    }

    fn can_use_input(&self) -> bool {
        self.has_progressed && self.used < self.received
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn receive(buffers: &mut RequestBuffers, bytes: &[u8]) {
        let room = buffers.input_append_buf();
        room.get_mut(..bytes.len()).expect("room").copy_from_slice(bytes);
        buffers.input_appended(bytes.len());
    }

    #[test]
    fn what_is_received_is_used_once_and_makes_room() {
        let mut buffers = RequestBuffers::default().lend(10);
        receive(&mut buffers, &[7; INPUT - 1]);
        assert!(!buffers.can_use_input(), "nothing was used yet");
        buffers.input_consume(INPUT - 3);
        assert!(buffers.can_use_input());
        assert_eq!(buffers.input(), [7, 7]);
        receive(&mut buffers, b"next");
        assert_eq!(buffers.input(), b"\x07\x07next");
        assert_eq!(buffers.input_append_buf().len(), INPUT - 6);
        buffers.input_consume(0);
        assert!(!buffers.can_use_input(), "half a chunk needs more");
        buffers.input_consume(6);
        assert!(!buffers.can_use_input() && buffers.input().is_empty());
    }

    #[test]
    fn lent_again_they_are_empty_and_the_same_memory() {
        let mut kept = RequestBuffers::default();
        let mut lent = kept.lend(2_000);
        receive(&mut lent, b"what was not read");
        lent.input_consume(4);
        let places = (lent.output.as_ptr(), lent.input.as_ptr());
        kept = lent;
        let mut lent = kept.lend(1_000);
        assert_eq!((lent.output.as_ptr(), lent.input.as_ptr()), places);
        assert!(lent.input().is_empty() && !lent.can_use_input());
        let (scratch, output) = lent.tmp_and_output();
        assert_eq!((scratch.len(), output.len()), (INPUT, 1_000));
        assert_eq!(kept.output.capacity(), 0);
    }
}
