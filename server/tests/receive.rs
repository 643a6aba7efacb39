//! Heartbeats over real connections: what is taken, what is refused and how, who may send.

#![allow(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used,
    reason = "a test fails by panicking"
)]

mod common;

use std::io::Write;

use common::{Server, document, eventually, read_answer};
use serde_json::json;

#[test]
fn both_paths_and_the_deprecated_form_are_taken_on_one_connection() {
    let server = Server::start();
    let mut stream = server.connect();
    for (number, path) in [(1, "/heartbeat.php"), (2, "/api/v1/heartbeat")] {
        let body = document("pi1", number).to_string();
        let request = format!(
            "POST {path} HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}",
            body.len()
        );
        stream.write_all(request.as_bytes()).unwrap();
        let answer = read_answer(&mut stream).unwrap();
        assert_eq!((answer.status, answer.body.as_str()), (200, ""));
        assert!(answer.headers.len() < 120, "the answer is small: {}", answer.headers);
    }
    let body = document("pi1", 3).to_string();
    let encoded: String = body.bytes().map(|byte| format!("%{byte:02X}")).collect();
    assert_eq!(server.get(&format!("/heartbeat.php?params={encoded}")).status, 200);
    assert_eq!(server.stored("pi1"), 3);
}

#[test]
fn what_is_no_heartbeat_is_refused_with_the_reason() {
    let server = Server::start();
    let post = |body: &str, kind: &str| {
        server.request("POST", "/heartbeat.php", &format!("Content-Type: {kind}\r\n"), body)
    };
    let cases = [
        ("{", "application/json", 400, "not JSON"),
        ("[]", "application/json", 422, "version 1"),
        ("{}", "application/json", 422, "missing field `hardwareid`"),
        ("x=1", "application/x-www-form-urlencoded", 415, "application/json"),
        (&" ".repeat(20_000), "application/json", 413, "larger than 8192 bytes"),
    ];
    for (body, kind, status, reason) in cases {
        let answer = post(body, kind);
        assert_eq!(answer.status, status, "{answer:?}");
        assert!(answer.body.contains(reason), "{answer:?}");
    }
    assert_eq!(server.get("/heartbeat.php").status, 400);
    assert_eq!(server.request("PUT", "/heartbeat.php", "", "").status, 405);
    assert_eq!(server.get("/no-such-page").status, 404);
}

#[test]
fn pages_of_other_sites_cannot_send_heartbeats() {
    let server = Server::start();
    let body = document("pi1", 1).to_string();
    let encoded: String = body.bytes().map(|byte| format!("%{byte:02x}")).collect();
    // `fetch` with `no-cors` sends no content type, an image or a link nothing but what the browser adds.
    let post = |head: &str| server.request("POST", "/heartbeat.php", head, &body).status;
    let get =
        |head: &str| server.request("GET", &format!("/heartbeat.php?params={encoded}"), head, "").status;
    for head in [
        "Sec-Fetch-Site: cross-site\r\n",
        "Sec-Fetch-Site: same-site\r\n",
        "Origin: https://evil.example\r\n",
    ] {
        assert_eq!([post(head), get(head)], [403, 403], "{head}");
    }
    assert_eq!(server.get("/api/v1/devices").json()["total"], 0);
    assert_eq!([post(""), get("")], [200, 200], "programs send nothing of that");
}

#[test]
fn a_repeated_heartbeat_is_acknowledged_and_stored_once() {
    let mut server = Server::start();
    let beat = document("pi1", 1);
    assert_eq!(server.beat(&beat).status, 200);
    assert_eq!(server.beat(&beat).status, 200);
    server.kill();
    server.restart();
    assert_eq!(server.beat(&beat).status, 200);
    assert_eq!(server.stored("pi1"), 1);
}

#[test]
fn delta_is_stored_as_the_full_document_that_it_stands_for() {
    let server = Server::start();
    let mut full = document("pi1", 1);
    let boot = full["boot_id"].clone();
    let delta =
        |seq: u64, base: u64| json!({"boot_id": boot, "seq": seq, "base": base, "temp": 60.5, "cpu": null});
    let answer = server.beat(&full);
    assert_eq!(answer.header("heartbeat-accept").as_deref(), Some("delta"));
    let answer = server.beat(&delta(2, 1));
    assert_eq!((answer.status, answer.header("heartbeat-accept")), (409, None), "its base is not kept yet");
    full["seq"] = json!(2);
    assert_eq!(server.beat(&full).status, 200);
    assert_eq!(server.beat(&delta(3, 1)).status, 409, "not the latest");
    let answer = server.beat(&delta(3, 2));
    assert_eq!((answer.status, answer.header("heartbeat-accept").as_deref()), (200, Some("delta")));
    assert_eq!(server.beat(&delta(3, 2)).status, 200, "repeated");
    (full["seq"], full["temp"], full["cpu"]) = (json!(3), json!(60.5), json!(null));
    assert_eq!(server.get("/api/v1/devices/pi1").json()["document"], full);
    assert_eq!(server.stored("pi1"), 3);
    let mut wrong = delta(4, 2);
    wrong["temp"] = json!("hot");
    assert_eq!(server.beat(&wrong).status, 422);
}

#[test]
fn delta_needs_the_token_of_its_device() {
    let server = Server::with("[receive]\nrequire_token = true\n");
    let [own, other] = ["pi1", "pi2"].map(|id| server.token(&["--device", id]));
    let full = document("pi1", 1);
    let delta = json!({"boot_id": full["boot_id"], "seq": 2, "base": 1});
    assert_eq!(server.beat_with(&full, Some(&own)).status, 200);
    assert_eq!(server.beat_with(&delta, Some(&own)).status, 409);
    assert_eq!(server.beat_with(&full, Some(&own)).status, 200);
    assert_eq!(server.beat_with(&delta, None).status, 401);
    // What it refers to came with another token; that device's document comes with the wrong one.
    assert_eq!(server.beat_with(&delta, Some(&other)).status, 409);
    assert_eq!(server.beat_with(&full, Some(&other)).status, 403);
    assert_eq!(server.beat_with(&delta, Some(&own)).status, 200);
}

#[test]
fn unknown_keys_are_kept() {
    let server = Server::start();
    let mut beat = document("pi1", 1);
    beat["cpu_mhz"] = json!(1500);
    assert_eq!(server.beat(&beat).status, 200);
    assert_eq!(server.get("/api/v1/devices/pi1").json()["document"]["cpu_mhz"], 1500);
}

#[test]
fn tokens_decide_who_may_send_and_a_revoked_one_is_refused_within_a_second() {
    let server = Server::with("[receive]\nrequire_token = true");
    let token = server.token(&["--group", "north", "--expires", "30d"]);
    let read = server.token(&["--read"]);
    assert_eq!(server.beat_with(&document("pi1", 1), Some(&token)).status, 200, "at once");
    assert_eq!(server.get("/api/v1/devices/pi1").json()["group"], "north");
    let answer = server.beat(&document("pi1", 2));
    assert_eq!((answer.status, answer.header("www-authenticate").as_deref()), (401, Some("Bearer")));
    assert_eq!(server.beat_with(&document("pi1", 2), Some("guess")).status, 401);
    assert_eq!(server.beat_with(&document("pi1", 2), Some(&read)).status, 403);
    let (_, list, _) = server.command(&["token", "list"], "");
    assert!(list.contains("north") && !list.contains(&token), "{list}");
    assert!(server.command(&["token", "revoke", "1"], "").0);
    eventually("it is revoked", || server.beat_with(&document("pi1", 2), Some(&token)).status == 401);
}

#[test]
fn guessers_do_not_keep_a_new_token_waiting() {
    let server = Server::with("[receive]\nrequire_token = true");
    std::thread::scope(|scope| {
        for guesser in 0..20 {
            let server = &server;
            scope.spawn(move || {
                for n in 0..5 {
                    let guess = format!("guess-{guesser}-{n}");
                    assert_eq!(server.beat_with(&document("pi1", 1), Some(&guess)).status, 401);
                }
            });
        }
        let token = server.token(&[]);
        assert_eq!(server.beat_with(&document("pi1", 1), Some(&token)).status, 200);
    });
}

#[test]
fn devices_are_listed_with_their_state() {
    let server = Server::with("[groups.quick]\ninterval_s = 0.5\noffline_after_s = 5");
    let token = server.token(&["--group", "quick"]);
    server.beat(&document("pi1", 1));
    server.beat_with(&document("pi2", 1), Some(&token));
    let states = || {
        let (_, list, _) = server.command(&["device", "list"], "");
        let words = |line: &str| line.split_whitespace().nth(1).map(str::to_owned);
        list.lines().skip(1).filter_map(words).collect::<Vec<_>>()
    };
    assert_eq!(states()[0], "online");
    eventually("the one of the group is offline", || states()[1] == "offline");
}

#[test]
fn an_enrolled_device_has_a_token_that_only_it_can_use() {
    let server = Server::with("[receive]\nrequire_token = true");
    let enrol = server.token(&["--enrol", "--group", "south"]);
    let head = format!("Content-Type: application/json\r\nAuthorization: Bearer {enrol}\r\n");
    let ask =
        |id: &str| server.request("POST", "/api/v1/enrol", &head, &json!({ "hardwareid": id }).to_string());
    assert_eq!(ask("pi0").status, 200, "at once");
    let answer = ask("pi1");
    let own = answer.json()["token"].as_str().unwrap().to_owned();
    assert_eq!(server.beat_with(&document("pi1", 1), Some(&own)).status, 200, "at once");
    assert_eq!(server.beat_with(&document("pi2", 1), Some(&own)).status, 403);
    assert_eq!(server.beat_with(&document("pi1", 2), Some(&enrol)).status, 403);
    assert_eq!(ask("pi1").status, 409, "it cannot be enrolled by somebody else");
    assert_eq!(server.get("/api/v1/devices/pi1").json()["group"], "south");
}

#[test]
fn of_enrolments_at_once_one_has_a_token_and_it_is_good() {
    let server = Server::with("[receive]\nrequire_token = true");
    let enrol = server.token(&["--enrol", "--group", "north"]);
    let head = format!("Content-Type: application/json\r\nAuthorization: Bearer {enrol}\r\n");
    for round in 0..5 {
        let body = json!({"hardwareid": format!("pi{round}")}).to_string();
        let enrol = || server.request("POST", "/api/v1/enrol", &head, &body);
        let answers: Vec<_> = std::thread::scope(|scope| {
            let enrolling: Vec<_> = (0..6).map(|_| scope.spawn(enrol)).collect();
            enrolling.into_iter().map(|one| one.join().unwrap()).collect()
        });
        let (made, refused): (Vec<_>, Vec<_>) = answers.iter().partition(|answer| answer.status == 200);
        assert!(made.len() == 1 && refused.iter().all(|answer| answer.status == 409), "{answers:?}");
        let token = made[0].json()["token"].as_str().unwrap().to_owned();
        assert_eq!(server.beat_with(&document(&format!("pi{round}"), 1), Some(&token)).status, 200);
    }
}

#[test]
fn enrolment_takes_over_no_device_of_another_group() {
    let server = Server::with("[receive]\nrequire_token = true");
    let south = server.token(&["--group", "south"]);
    assert_eq!(server.beat_with(&document("pi1", 1), Some(&south)).status, 200);
    let enrol = |arguments: &[&str]| {
        let token = server.token(&[&["--enrol"], arguments].concat());
        let head = format!("Content-Type: application/json\r\nAuthorization: Bearer {token}\r\n");
        server.request("POST", "/api/v1/enrol", &head, "{\"hardwareid\": \"pi1\"}").status
    };
    assert_eq!([enrol(&["--group", "north"]), enrol(&[])], [409, 409]);
    assert_eq!(server.beat_with(&document("pi1", 2), Some(&south)).status, 200, "its token is still good");
    assert_eq!(enrol(&["--group", "south"]), 200);
}

#[test]
fn a_removed_device_is_gone_and_can_be_restored() {
    let server = Server::start();
    assert_eq!(server.beat(&document("pi1", 1)).status, 200);
    assert!(server.command(&["device", "remove", "pi1"], "").0);
    eventually("it is refused", || server.beat(&document("pi1", 2)).status == 410);
    assert_eq!(server.get("/api/v1/devices").json()["total"], 0);
    let (_, list, _) = server.command(&["device", "list"], "");
    let rows: Vec<Vec<&str>> = list.lines().map(|line| line.split_whitespace().collect()).collect();
    assert_eq!(rows[0], ["hardware", "id", "state", "heard", "(UTC)", "name", "group", "tags"]);
    assert_eq!((rows[1].len(), &rows[1][..2]), (4, &["pi1", "removed"][..]));
    assert!(server.command(&["device", "restore", "pi1"], "").0);
    eventually("it is taken", || server.beat(&document("pi1", 3)).status == 200);
    let (ok, _, error) = server.command(&["device", "remove", "pi9"], "");
    assert!(!ok && error.contains("there is no device pi9"), "{error}");
}

#[test]
fn a_stop_answers_what_is_under_way_and_ends_with_success() {
    let mut server = Server::start();
    let idle = server.connect();
    assert_eq!(server.beat(&document("pi1", 1)).status, 200);
    assert!(server.stop().success());
    drop(idle);
    server.restart();
    assert_eq!(server.stored("pi1"), 1);
}

#[test]
fn a_database_that_is_away_costs_503_with_retry_after_and_comes_back() {
    let server = Server::start();
    assert_eq!(server.beat(&document("pi1", 1)).status, 200);
    let aside = server.directory.path().join("aside");
    std::fs::rename(server.database(), &aside).unwrap();
    let answer = server.beat(&document("pi1", 2));
    assert_eq!(answer.status, 503);
    let seconds: u64 = answer.header("retry-after").unwrap().parse().unwrap();
    assert!((5..=60).contains(&seconds));
    assert_eq!(server.get("/healthz").status, 503);
    std::fs::rename(&aside, server.database()).unwrap();
    assert_eq!(server.beat(&document("pi1", 2)).status, 200);
    assert_eq!(server.get("/healthz").status, 200);
    assert_eq!(server.stored("pi1"), 2);
}

#[test]
fn a_backup_of_the_running_server_can_be_started_from() {
    let server = Server::start();
    for number in 1..=20 {
        assert_eq!(server.beat(&document("pi1", number)).status, 200);
    }
    let file = server.directory.path().join("copy.db");
    let (ok, _, error) = server.command(&["backup", file.to_str().unwrap()], "");
    assert!(ok, "{error}");
    let mut other = Server::start();
    other.stop();
    std::fs::copy(&file, other.database()).unwrap();
    for suffix in ["-wal", "-shm"] {
        let _ = std::fs::remove_file(other.directory.path().join(format!("state/heartbeat.db{suffix}")));
    }
    other.restart();
    assert_eq!(other.stored("pi1"), 20);
    assert_eq!(other.beat(&document("pi1", 20)).status, 200);
    assert_eq!(other.stored("pi1"), 20, "repetitions are known");
}

#[test]
fn a_public_address_without_password_and_tokens_is_refused() {
    let mut server = Server::start();
    // Two servers do not share a file.
    let (ok, _, error) = server.command(&["--listen", "127.0.0.1:0"], "");
    assert!(!ok && error.contains("a heartbeat-server uses"), "{error}");
    server.stop();
    let (ok, _, error) = server.command(&["--listen", "0.0.0.0:0"], "");
    assert!(!ok && error.contains("receive.require_token = true and a password"), "{error}");
}
