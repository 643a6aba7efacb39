//! What other programs ask: history, the list, metrics.

#![allow(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used,
    reason = "a test fails by panicking"
)]

mod common;

use common::{Server, document};
use serde_json::json;

/// Puts heartbeats of the last hour into the history of the first device, beside the running server.
fn fill(server: &Server, heartbeats: i64) -> i64 {
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_millis();
    let from = i64::try_from(now).unwrap() - 3_600_000;
    let mut database = rusqlite::Connection::open(server.database()).unwrap();
    let transaction = database.transaction().unwrap();
    for n in 0..heartbeats {
        let sql = "INSERT INTO beat (device, at, flags, boot, seq, temp) VALUES (1, ?1, 0, 1, ?2, 488)";
        transaction.execute(sql, [from + n, 1_000_000 + n]).unwrap();
    }
    transaction.commit().unwrap();
    from
}

#[test]
fn a_long_history_comes_in_answers_of_20_000_points() {
    let server = Server::start();
    server.beat(&document("pi1", 1));
    let from = fill(&server, 20_600);
    let get = |query: &str| server.get(&format!("/api/v1/devices/pi1/history?step=beat&{query}"));
    let first = get("").json();
    let points = first["points"].as_array().unwrap();
    assert_eq!((points.len(), &points[0]["at"]), (20_000, &json!(from)));
    assert!((0i64..).zip(points).all(|(n, point)| point["at"] == json!(from + n)), "one after the other");
    assert_eq!(first["next"], json!(from + 20_000));
    let rest = get(&format!("from={}", first["next"])).json();
    assert_eq!(
        (rest["points"].as_array().unwrap().len(), &rest["next"]),
        (601, &json!(null)),
        "and the live one"
    );
    let csv = get("format=csv");
    assert_eq!(csv.header("x-next"), Some((from + 20_000).to_string()));
    assert_eq!(csv.body.lines().count(), 20_001);
    assert!(csv.body.lines().skip(1).all(|line| line.contains(",48.8,")));
    // A number of points that is one of the parts in which they are read.
    let part = get(&format!("from={from}&to={}", from + 500)).json();
    assert_eq!((part["points"].as_array().unwrap().len(), &part["next"]), (500, &json!(null)));
    assert_eq!(get(&format!("from={from}&to={from}")).json(), json!({"points": [], "next": null}));
}

#[test]
fn what_is_refused_is_counted_by_reason() {
    let server = Server::with("[receive]\ndevices = 1");
    assert_eq!(server.beat(&document("pi1", 1)).status, 200);
    let full = server.beat(&document("pi2", 1));
    assert!(full.status == 403 && full.body.contains("receive.devices = 1 is reached"), "{full:?}");
    for _ in 0..2 {
        assert_eq!(server.beat_with(&document("pi1", 2), Some("guess")).status, 401);
    }
    assert_eq!(server.beat(&json!({"cpu": 1})).status, 422);
    assert_eq!(server.request("POST", "/heartbeat.php", "Content-Type: text/plain\r\n", "x").status, 415);
    let metrics = server.get("/metrics").body;
    for (reason, count) in [("devices_max", 1), ("token_unknown", 2), ("malformed", 2), ("queue", 0)] {
        let line = format!("heartbeat_refused_total{{reason=\"{reason}\"}} {count}\n");
        assert!(metrics.contains(&line), "{line}{metrics}");
    }
    assert!(metrics.contains("heartbeat_device_up{hardwareid=\"pi1\"} 1\n"), "{metrics}");
}

#[test]
fn a_filter_with_a_typing_error_is_refused() {
    let server = Server::start();
    server.beat(&document("pi1", 1));
    assert_eq!(server.get("/api/v1/devices?state=offline&page=1").json()["total"], 0);
    for query in ["sate=offline", "state=offline&limit=5", "State=offline"] {
        let answer = server.get(&format!("/api/v1/devices?{query}"));
        assert_eq!(answer.status, 400, "{query}: {answer:?}");
    }
}
