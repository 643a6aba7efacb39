//! The firmware on an emulated board. Needs QEMU and the firmware: `embedded/check` builds and runs all of it.

#![allow(clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

mod board;

use std::str;

use board::{Board, program, run};
use schema::Schema;
use serde_json::Value;

// Not the whole simulator for it, in which it is public.
#[allow(unreachable_pub)]
#[path = "../../../sim/src/schema.rs"]
mod schema;

/// What the programs for the boards run, too.
#[path = "../../measure/src/device.rs"]
#[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
mod device;

/// A heartbeat that fits the schema.
fn heartbeat(board: &mut Board) -> (u32, Value) {
    let (number, document) = board.heartbeat();
    (
        number,
        Schema::new().check(document.as_bytes()).unwrap_or_else(|error| panic!("{error:?} in {document}")),
    )
}

#[test]
#[ignore = "needs QEMU and the firmware: embedded/check"]
fn firmware_samples_sends_counts_and_stops() {
    let mut board = Board::start(b"board-4711\0\0\0\0\0\0", 48_750);
    let (number, first) = heartbeat(&mut board);
    board.say(b"1 200\n");
    assert_eq!((number, &first["hardwareid"]), (1, &"board-4711".into()));
    assert_eq!(first["temp"], 48.8, "the sensor has sixteenths, and says it at once");
    assert_eq!(
        (&first["power"], &first["timestamp"]),
        (&Value::Null, &Value::Null),
        "there is no such chip, no clock"
    );

    board.set_temperature(-12_500);
    let (number, second) = heartbeat(&mut board);
    assert_eq!((number, &second["temp"]), (2, &(-12.5).into()));
    assert!(second["uptime_s"].as_u64() > first["uptime_s"].as_u64());
    // No answer in time; a late one to it is not one to the next.
    let (number, _) = heartbeat(&mut board);
    assert_eq!(number, 3);
    board.say(b"2 200\n");
    board.say(b"\x00\xff\xfe noise\n 3\n3 2000\n3 x\n3 200 x\n4 200\n");
    board.say(&[b'9'; 60]);
    board.say(b"\n3 500\n");
    let (number, _) = heartbeat(&mut board);
    assert_eq!(number, 4);
    board.say(b"4 204\r\nstop\n");
    let (status, log) = board.end();
    assert!(status.success(), "{status}: {log:#?}");
    let expected = [
        ["info hardware id board-4711", ""],
        ["warn heartbeat not delivered: no answer in time", ""],
        ["warn no heartbeat delivered for ", " s, 2 failed, now for another reason: status 500"],
        ["info heartbeats are delivered again after ", " s, 2 failed"],
        ["info stopped: 4 attempted, 2 delivered, 2 failed", ""],
    ];
    assert_eq!(log.len(), expected.len(), "{log:#?}");
    for (line, [start, end]) in log.iter().zip(expected) {
        assert!(line.starts_with(start) && line.ends_with(end), "{log:#?}");
    }
}

#[test]
#[ignore = "needs QEMU and the firmware: embedded/check"]
fn firmware_applies_retry_after() {
    let mut board = Board::start(b"x\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff", 0);
    let (_, first) = heartbeat(&mut board);
    assert_eq!(first["hardwareid"], "x", "erased flash is no part of it");
    board.say(b"1 503 12\n");
    let (number, second) = heartbeat(&mut board);
    assert_eq!(number, 2);
    assert!(second["uptime_s"].as_u64() >= Some(12), "{second}");
    board.say(b"2 200\nstop\n");
    assert!(board.end().0.success());
}

#[test]
#[ignore = "needs QEMU and the firmware: embedded/check"]
fn firmware_without_identity_exits_with_an_error() {
    for nothing in [[0xff; 16], [0; 16]] {
        let (status, log) = Board::start(&nothing, 0).end();
        assert_eq!((status.code(), log), (Some(1), vec!["error no hardware id in flash".to_owned()]));
    }
}

#[test]
#[ignore = "needs QEMU and the firmware: embedded/check"]
fn documents_are_identical_on_every_processor() {
    let mut here = Vec::new();
    let append = |body: &[u8]| here.extend_from_slice(&[body, b"\n"].concat());
    device::run(append, |agent, now, device, server| agent.poll(now, device, server));
    let schema = Schema::new();
    let mut count = 0;
    for document in str::from_utf8(&here).expect("UTF-8").lines() {
        schema.check(document.as_bytes()).unwrap_or_else(|error| panic!("{error:?} in {document}"));
        count += 1;
    }
    assert_eq!(count, device::BEATS);
    for (machine, target) in [("mps2-an385", "thumbv7m-none-eabi"), ("microbit", "thumbv6m-none-eabi")] {
        let (status, there) = run(machine, &program(target, "documents")).expect("QEMU is installed");
        assert!(status.success(), "{status}");
        assert!(there == here, "{target} sends other bytes than this machine");
    }
}
