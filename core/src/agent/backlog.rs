//! The backlog: a queue of heartbeats that were not delivered. It holds the newest that fit; the oldest is sent first.
//!
//! It stores encoded documents, so that they cannot change. The frontend lends the memory: [`Storage`] is a ring of bytes, in
//! which each document follows its length.

use heapless::deque::DequeView;

use super::log_limit::LogLimit;
use crate::{
    limits::{BACKLOG_LOG_INTERVAL, LATE_REFUSALS_MAX},
    payload::{BODY_MAX, can_be_marked, mark_as_replayed},
    time::Instant,
    uplink::Verdict,
};

/// Memory for queued heartbeats: a typical one takes 600 bytes, the largest [`BODY_MAX`] and 2.
pub type Storage<const BYTES: usize> = heapless::Deque<u8, BYTES>;

/// [`Storage`] of any size.
pub type Ring = DequeView<u8>;

/// Bytes of the little-endian length before each document.
const HEADER: usize = 2;

/// The queue of heartbeats that were not delivered.
///
/// They are numbered from 0 in the order in which they were queued.
#[derive(Debug, Default)]
pub struct Backlog<'s> {
    ring: Option<&'s mut Ring>,
    len: usize,
    replayed: u64,
    dropped: u64,
    /// Heartbeats with lower numbers may be sent.
    released: u64,
    /// How often the server has refused the oldest since this start of the agent.
    refusals: u8,
    /// Replayed and dropped since they were last logged.
    unlogged: [u32; 2],
    log: LogLimit,
}

/// Counters of the backlog. At all times `queued = replayed + dropped` plus those in the queue.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Counts {
    /// Heartbeats that were queued, including restored ones.
    pub queued: u64,
    /// Of those, delivered late.
    pub replayed: u64,
    /// Of those, dropped: newer ones needed their place, the server refused them, or they may have arrived.
    pub dropped: u64,
}

impl<'s> Backlog<'s> {
    pub(super) fn new(ring: &'s mut Ring) -> Self {
        ring.clear();
        Self { ring: Some(ring), released: u64::MAX, ..Self::default() }
    }

    /// How many are in the queue.
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether the queue is empty.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// The counters.
    pub fn counts(&self) -> Counts {
        let queued = self.oldest().saturating_add(self.len as u64);
        Counts { queued, replayed: self.replayed, dropped: self.dropped }
    }

    /// The number of the oldest in the queue; if it is empty, of the next that will be queued.
    pub fn oldest(&self) -> u64 {
        self.replayed.saturating_add(self.dropped)
    }

    /// The queued documents from the one with this number on, each as the two parts in which the ring holds it.
    pub fn since(&self, number: u64) -> impl Iterator<Item = [&[u8]; 2]> {
        let (front, back) = self.ring.as_ref().map_or((&[][..], &[][..]), |ring| ring.as_slices());
        let mut start = 0_usize;
        let documents = (self.oldest()..self.counts().queued).map(move |number| {
            let end = start.saturating_add(self.frame_len(start));
            let (from, split) = (start.saturating_add(HEADER), front.len());
            start = end;
            let in_front = front.get(from.min(split)..end.min(split)).unwrap_or_default();
            let in_back = back.get(from.saturating_sub(split)..end.saturating_sub(split)).unwrap_or_default();
            (number, [in_front, in_back])
        });
        documents.filter(move |(found, _)| *found >= number).map(|(_, document)| document)
    }

    /// Releases heartbeats with lower numbers than this for sending, and no others. Without a call all are.
    pub(super) fn release(&mut self, below: u64) {
        self.released = below;
    }

    /// Queues a document, and drops the oldest so that at most `limit` are in the queue.
    pub(super) fn enqueue(&mut self, document: &[u8], limit: usize) {
        let (Ok(len), Some(others)) = (u16::try_from(document.len()), limit.checked_sub(1)) else { return };
        if self.ring.is_none() || !can_be_marked(document) {
            return;
        }
        let needed = HEADER.saturating_add(document.len());
        self.shrink(others, needed);
        if self.free() < needed {
            // It does not fit even alone.
            self.count_dropped();
            return;
        }
        let Some(ring) = self.ring.as_deref_mut() else { return };
        for byte in len.to_le_bytes().iter().chain(document) {
            // Cannot fail: there is room.
            let _ = ring.push_back(*byte);
        }
        self.len += 1;
    }

    /// Drops the oldest until at most `limit` are in the queue and `room` bytes are free.
    pub(super) fn shrink(&mut self, limit: usize, room: usize) {
        while self.len > 0 && (self.len > limit || self.free() < room) {
            self.drop_oldest();
        }
    }

    /// Whether there is an oldest that may be sent.
    pub(super) fn may_send(&self) -> bool {
        self.len > 0 && self.oldest() < self.released
    }

    /// Writes the oldest into `buffer`, marked as late, and returns its length; `None` when the queue is empty.
    pub(super) fn write_oldest(&self, buffer: &mut [u8; BODY_MAX]) -> Option<usize> {
        let [front, back] = self.since(0).next()?;
        let len = front.len().saturating_add(back.len());
        for (to, from) in buffer.get_mut(..len)?.iter_mut().zip(front.iter().chain(back)) {
            *to = *from;
        }
        mark_as_replayed(buffer, len)
    }

    /// Records how sending the oldest ended. True when the next may follow at once.
    pub(super) fn on_outcome(&mut self, now: Instant, verdict: Verdict) -> bool {
        match verdict {
            Verdict::Accepted => {
                self.replayed = self.replayed.saturating_add(1);
                self.unlogged[0] = self.unlogged[0].saturating_add(1);
                self.remove_oldest();
            }
            Verdict::Failed { may_have_arrived: true, .. } => self.drop_oldest(),
            // "Later" says nothing about this heartbeat.
            Verdict::Refused { retry_after: Some(_) } => {}
            Verdict::Refused { retry_after: None } => {
                self.refusals = self.refusals.saturating_add(1);
                if self.refusals >= LATE_REFUSALS_MAX {
                    self.drop_oldest();
                }
            }
            // It has not left the device and stays in the queue.
            Verdict::Failed { may_have_arrived: false, .. } => {}
        }
        if self.len == 0 && self.log.allow(now, BACKLOG_LOG_INTERVAL) {
            let [replayed, dropped] = core::mem::take(&mut self.unlogged);
            log_info!("{} heartbeats were delivered late, {} dropped", replayed, dropped);
        }
        verdict.is_accepted()
    }

    fn free(&self) -> usize {
        self.ring.as_ref().map_or(0, |ring| ring.storage_capacity().saturating_sub(ring.storage_len()))
    }

    /// Bytes of the document that begins at `start`, and of its length.
    fn frame_len(&self, start: usize) -> usize {
        let byte = |at: usize| self.ring.as_ref().and_then(|ring| ring.get(at)).copied().unwrap_or(0);
        let len = u16::from_le_bytes([byte(start), byte(start.saturating_add(1))]);
        HEADER.saturating_add(usize::from(len))
    }

    fn count_dropped(&mut self) {
        self.dropped = self.dropped.saturating_add(1);
        self.unlogged[1] = self.unlogged[1].saturating_add(1);
    }

    fn drop_oldest(&mut self) {
        self.count_dropped();
        self.remove_oldest();
    }

    fn remove_oldest(&mut self) {
        let bytes = self.frame_len(0);
        if let Some(ring) = self.ring.as_deref_mut() {
            for _ in 0..bytes {
                let _ = ring.pop_front();
            }
        }
        self.len = self.len.saturating_sub(1);
        self.refusals = 0;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::uplink::Fault;
    use proptest::prelude::*;
    use std::{collections::VecDeque, format, string::String, vec::Vec};

    const NOW: Instant = Instant::ZERO;
    const NOT_LEFT: Verdict = Verdict::Failed { fault: Fault::Unanswered, may_have_arrived: false };
    const LOST: Verdict = Verdict::Failed { fault: Fault::Server, may_have_arrived: true };

    fn document(number: u64) -> String {
        format!("{{\"n\":{number}}}")
    }

    fn oldest(backlog: &Backlog<'_>) -> Option<String> {
        let mut buffer = [0; BODY_MAX];
        let len = backlog.may_send().then(|| backlog.write_oldest(&mut buffer))??;
        Some(String::from_utf8(buffer[..len].to_vec()).expect("UTF-8"))
    }

    fn send(backlog: &mut Backlog<'_>, verdict: Verdict) -> bool {
        backlog.on_outcome(NOW, verdict)
    }

    /// The documents as a frontend reads them to store them.
    fn documents(backlog: &Backlog<'_>, number: u64) -> Vec<String> {
        backlog.since(number).map(|parts| String::from_utf8(parts.concat()).expect("UTF-8")).collect()
    }

    #[test]
    fn the_newest_are_kept_and_the_oldest_is_sent_first() {
        let mut memory = Storage::<1_000>::new();
        let mut backlog = Backlog::new(memory.as_mut_view());
        for number in 0..5 {
            backlog.enqueue(document(number).as_bytes(), 3);
        }
        assert_eq!(oldest(&backlog).as_deref(), Some(r#"{"n":2,"replayed":true}"#));
        assert!(send(&mut backlog, Verdict::Accepted));
        assert_eq!(oldest(&backlog).as_deref(), Some(r#"{"n":3,"replayed":true}"#));
        assert_eq!((backlog.oldest(), backlog.len()), (3, 2));
        assert_eq!(backlog.counts(), Counts { queued: 5, replayed: 1, dropped: 2 });
        backlog.shrink(0, 0);
        assert!(backlog.is_empty());
        assert_eq!(backlog.counts(), Counts { queued: 5, replayed: 1, dropped: 4 });
    }

    #[test]
    fn drops_what_may_have_arrived_and_keeps_what_has_not_left() {
        let mut memory = Storage::<1_000>::new();
        let mut backlog = Backlog::new(memory.as_mut_view());
        for number in 0..2 {
            backlog.enqueue(document(number).as_bytes(), 10);
        }
        for _ in 0..10 {
            assert!(!send(&mut backlog, NOT_LEFT));
        }
        assert_eq!(backlog.oldest(), 0);
        assert!(!send(&mut backlog, LOST));
        assert_eq!((backlog.oldest(), backlog.counts().dropped), (1, 1));
    }

    #[test]
    fn the_end_of_a_backlog_is_logged_and_not_too_often() {
        let mut memory = Storage::<1_000>::new();
        let mut backlog = Backlog::new(memory.as_mut_view());
        for number in 0..2 {
            backlog.enqueue(document(number).as_bytes(), 10);
        }
        assert!(send(&mut backlog, Verdict::Accepted));
        assert_eq!((backlog.len(), backlog.unlogged), (1, [1, 0]));
        assert!(send(&mut backlog, Verdict::Accepted));
        assert_eq!((backlog.len(), backlog.unlogged), (0, [0, 0]), "logged");
        for (now, unlogged) in [(NOW, 1), (NOW + BACKLOG_LOG_INTERVAL, 0)] {
            backlog.enqueue(b"{}", 10);
            assert!(backlog.on_outcome(now, Verdict::Accepted));
            assert_eq!(backlog.unlogged, [unlogged, 0]);
        }
    }

    /// A rate limit that lets the live heartbeat through and not the late one would empty the backlog.
    #[test]
    fn server_that_asks_for_time_costs_no_heartbeat() {
        let mut memory = Storage::<1_000>::new();
        let mut backlog = Backlog::new(memory.as_mut_view());
        backlog.enqueue(document(0).as_bytes(), 10);
        for _ in 0..10 {
            assert!(!send(&mut backlog, Verdict::Refused { retry_after: Some(crate::time::Duration::ZERO) }));
        }
        assert_eq!((backlog.len(), backlog.counts().dropped), (1, 0));
    }

    #[test]
    fn drops_a_heartbeat_after_three_refusals() {
        let mut memory = Storage::<1_000>::new();
        let mut backlog = Backlog::new(memory.as_mut_view());
        for number in 0..2 {
            backlog.enqueue(document(number).as_bytes(), 10);
        }
        for refusals in 1..=4 {
            send(&mut backlog, Verdict::Refused { retry_after: None });
            assert_eq!(backlog.oldest(), u64::from(refusals >= 3), "after {refusals}");
        }
        assert_eq!(backlog.counts().dropped, 1, "the next one has its own three tries");
    }

    #[test]
    fn sends_only_released_heartbeats() {
        let mut memory = Storage::<1_000>::new();
        let mut backlog = Backlog::new(memory.as_mut_view());
        backlog.release(1);
        for number in 0..3 {
            backlog.enqueue(document(number).as_bytes(), 10);
        }
        assert!(oldest(&backlog).is_some());
        send(&mut backlog, Verdict::Accepted);
        assert_eq!(oldest(&backlog), None);
        backlog.release(2);
        assert!(oldest(&backlog).is_some());
    }

    #[test]
    fn rejects_non_documents_and_what_does_not_fit() {
        let mut memory = Storage::<16>::new();
        let mut backlog = Backlog::new(memory.as_mut_view());
        for nonsense in [&b"nonsense"[..], b"", &[b'}'; BODY_MAX]] {
            backlog.enqueue(nonsense, 10);
        }
        assert_eq!(backlog.counts(), Counts::default());
        backlog.enqueue(b"{\"n\":1}", 10);
        backlog.enqueue(b"{\"n\":1234567890}", 10);
        assert_eq!(
            backlog.counts(),
            Counts { queued: 2, replayed: 0, dropped: 2 },
            "it does not fit even alone"
        );
        let mut none = Backlog::default();
        none.enqueue(b"{}", 10);
        assert_eq!(none.counts(), Counts::default(), "without memory nothing is queued");
    }

    #[derive(Debug, Clone)]
    enum Step {
        Keep(usize),
        Send(bool),
        Shrink(usize),
    }

    proptest! {
        /// Compares with a queue of the standard library.
        #[test]
        fn behaves_like_a_bounded_queue(
            steps in prop::collection::vec(prop_oneof![
                (2usize..90).prop_map(Step::Keep),
                any::<bool>().prop_map(Step::Send),
                (0usize..9).prop_map(Step::Shrink),
            ], 0..200),
            limit in 0usize..9,
        ) {
            let mut memory = Storage::<256>::new();
            let mut backlog = Backlog::new(memory.as_mut_view());
            let mut model = VecDeque::new();
            let mut gone = 0;
            for (number, step) in steps.into_iter().enumerate() {
                match step {
                    Step::Keep(len) => {
                        let document = format!("{{{:>1$}}}", number, len);
                        backlog.enqueue(document.as_bytes(), limit);
                        if limit > 0 {
                            model.push_back(document);
                        }
                        let bytes = |model: &VecDeque<String>| -> usize { model.iter().map(|d| d.len() + 2).sum() };
                        while model.len() > limit || bytes(&model) > 256 {
                            model.pop_front();
                            gone += 1;
                        }
                    }
                    Step::Send(arrives) => {
                        let found = oldest(&backlog);
                        let expected = model.front().map(|d| format!("{},\"replayed\":true}}", &d[..d.len() - 1]));
                        prop_assert_eq!(&found, &expected);
                        if found.is_some() {
                            let verdict = if arrives { Verdict::Accepted } else { NOT_LEFT };
                            prop_assert_eq!(send(&mut backlog, verdict), arrives);
                            if arrives {
                                model.pop_front();
                                gone += 1;
                            }
                        }
                    }
                    Step::Shrink(limit) => {
                        backlog.shrink(limit, 0);
                        while model.len() > limit {
                            model.pop_front();
                            gone += 1;
                        }
                    }
                }
                prop_assert_eq!((backlog.len(), backlog.oldest()), (model.len(), gone));
                prop_assert_eq!(backlog.may_send(), !model.is_empty());
                let counts = backlog.counts();
                prop_assert_eq!(counts.queued, counts.replayed + counts.dropped + backlog.len() as u64);
                for skip in 0..3 {
                    let rest: Vec<String> = model.iter().skip(skip).cloned().collect();
                    prop_assert_eq!(documents(&backlog, gone + skip as u64), rest);
                }
            }
        }
    }
}
