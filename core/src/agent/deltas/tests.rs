//! Which document a delta refers to, and when there is none.

use super::*;
use crate::{
    agent::config::Identity,
    payload::{BootId, Connection},
    time::Duration,
    uplink::Fault,
};
use std::string::{String, ToString};

const TAKEN: Verdict = Verdict::Accepted;
const LOST: Verdict = Verdict::Failed { fault: Fault::Server, may_have_arrived: true };
const FULL: Wire = Wire { understands_deltas: Some(1), was_delta: false };
const DELTA: Wire = Wire { understands_deltas: Some(1), was_delta: true };
const SILENT: Wire = Wire { understands_deltas: None, was_delta: false };

/// An agent of which only the deltas are there, with an interval of 5 s.
struct Agent<'m> {
    deltas: Deltas<'m>,
    config: Config,
    seq: u64,
}

impl Agent<'_> {
    /// The next beat, 5 s later: the number that its delta refers to; it ends like this.
    fn beat(&mut self, verdict: Verdict, wire: Wire) -> Option<u64> {
        let base = self.offer();
        self.deltas.on_outcome(verdict, wire);
        base
    }

    fn offer(&mut self) -> Option<u64> {
        self.seq += 1;
        let identity = Identity::new("x");
        let heartbeat = heartbeat(&identity, self.config.sequence().then_some(self.seq));
        let now = Instant::from_millis(self.seq * 5_000);
        let delta = self.deltas.offer(now, &heartbeat, &self.config)?;
        assert_eq!(delta.connection, 1);
        let text = core::str::from_utf8(delta.document).expect("UTF-8").to_string();
        let expected: String =
            std::format!("{{\"boot_id\":\"0000000000000007\",\"seq\":{},\"base\":", self.seq);
        let base = text.strip_prefix(&expected).expect("a delta").strip_suffix('}').expect("its end");
        Some(base.parse().expect("a number"))
    }
}

fn heartbeat(identity: &Identity, seq: Option<u64>) -> Heartbeat<'_> {
    Heartbeat {
        hardwareid: &identity.hardwareid,
        cpu: None,
        mem: None,
        temp: None,
        power: None,
        fan_rpm: None,
        disk: None,
        connection: Connection {
            default_interface: None,
            ethernet: None,
            wifi: None,
            cellular: None,
            gps: None,
        },
        timestamp: None,
        app_version: None,
        streaming_active: false,
        tracking_active: false,
        recording_active: false,
        recording_file_size_mb: None,
        recording_file_path: None,
        uptime_s: None,
        diagnostics: None,
        #[cfg(feature = "board")]
        board: None,
        boot_id: seq.map(|_| BootId(7)),
        seq,
    }
}

fn with_deltas(test: impl FnOnce(Agent<'_>)) {
    let mut memory = Memory::default();
    let config = Config::default().with_deltas(true);
    test(Agent { deltas: Deltas::new(&mut memory), config, seq: 0 });
}

#[test]
fn deltas_refer_to_the_full_document_until_a_minute_has_passed() {
    with_deltas(|mut agent| {
        assert_eq!(agent.beat(TAKEN, FULL), None, "the first one");
        for _ in 2..=12 {
            assert_eq!(agent.beat(TAKEN, DELTA), Some(1));
        }
        assert_eq!(agent.beat(TAKEN, FULL), None, "a minute later");
        assert_eq!(agent.beat(TAKEN, DELTA), Some(13));
    });
}

#[test]
fn only_what_was_confirmed_is_referred_to() {
    for lost in [LOST, Verdict::Refused { retry_after: None }] {
        with_deltas(|mut agent| {
            agent.beat(TAKEN, FULL);
            assert_eq!(agent.beat(lost, DELTA), Some(1));
            assert_eq!(agent.beat(lost, FULL), None, "the reply was lost");
            assert_eq!(agent.beat(TAKEN, FULL), None);
            assert_eq!(agent.beat(TAKEN, DELTA), Some(4));
        });
    }
}

#[test]
fn server_that_does_not_say_so_is_sent_full_documents() {
    with_deltas(|mut agent| {
        assert_eq!(agent.beat(TAKEN, SILENT), None);
        assert_eq!(agent.beat(TAKEN, FULL), None);
        assert_eq!(agent.beat(TAKEN, Wire { understands_deltas: None, was_delta: true }), Some(2));
        assert_eq!(agent.beat(TAKEN, SILENT), None, "it has stopped to say so");
    });
}

/// The uplink sends the full document over another connection.
#[test]
fn full_document_over_another_connection_is_the_new_base() {
    with_deltas(|mut agent| {
        agent.beat(TAKEN, Wire { understands_deltas: Some(0), was_delta: false });
        assert_eq!(
            agent.deltas.0.as_ref().and_then(|memory| memory.base.as_ref()).map(|base| base.1),
            Some(0)
        );
        agent.deltas.offer(
            Instant::from_millis(9_000),
            &heartbeat(&Identity::new("x"), Some(2)),
            &agent.config.clone(),
        );
        agent.deltas.on_outcome(TAKEN, FULL);
        agent.seq = 2;
        assert_eq!(agent.beat(TAKEN, DELTA), Some(2));
        assert_eq!(agent.beat(TAKEN, Wire { understands_deltas: Some(2), was_delta: true }), Some(2));
        assert_eq!(agent.beat(TAKEN, FULL), None, "a delta over a connection that is not that of its base");
    });
}

#[test]
fn without_memory_settings_or_numbers_all_are_full() {
    with_deltas(|mut agent| {
        agent.config = agent.config.with_deltas(false);
        assert_eq!([agent.beat(TAKEN, FULL), agent.beat(TAKEN, FULL)], [None; 2]);
    });
    with_deltas(|mut agent| {
        agent.config = agent.config.with_sequence(false);
        assert_eq!([agent.beat(TAKEN, FULL), agent.beat(TAKEN, FULL)], [None; 2]);
    });
    with_deltas(|mut agent| {
        agent.deltas = Deltas::default();
        assert_eq!([agent.beat(TAKEN, FULL), agent.beat(TAKEN, FULL)], [None; 2]);
    });
    with_deltas(|mut agent| {
        agent.config = Config::new(FULL_EVERY, Duration::from_secs(1)).expect("in range").with_deltas(true);
        agent.beat(TAKEN, FULL);
        agent.seq += 11;
        assert_eq!(agent.beat(TAKEN, FULL), None, "beats that are a minute apart");
    });
}

#[test]
fn forgets_what_the_server_knew_with_new_settings() {
    with_deltas(|mut agent| {
        agent.beat(TAKEN, FULL);
        agent.deltas.forget();
        assert_eq!(agent.beat(TAKEN, FULL), None);
        assert!(agent.offer().is_some());
        agent.deltas.forget();
        agent.deltas.on_outcome(TAKEN, FULL);
        assert_eq!(agent.beat(TAKEN, FULL), None, "nor what was under way");
    });
}

#[cfg(feature = "board")]
#[test]
fn document_that_tells_the_board_is_full() {
    with_deltas(|mut agent| {
        agent.beat(TAKEN, FULL);
        let identity = Identity::new("x");
        let board = crate::payload::Board { model: None, os: None, wear: None };
        let telling = Heartbeat { board: Some(board), ..heartbeat(&identity, Some(2)) };
        assert_eq!(agent.deltas.offer(Instant::from_millis(10_000), &telling, &agent.config.clone()), None);
        agent.deltas.on_outcome(TAKEN, FULL);
        agent.seq = 2;
        assert_eq!(agent.beat(TAKEN, DELTA), Some(2), "and others refer to it");
    });
}
