//! `kill -9` under load: what was acknowledged is there, once.

#![allow(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used,
    reason = "a test fails by panicking"
)]

mod common;

use std::{
    collections::HashMap,
    io::Write,
    net::TcpStream,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering},
    },
    thread,
    time::Duration,
};

use common::{Server, document, eventually, postgres::Cluster, read_answer};
use serde_json::Value;

/// Devices that beat at once.
const DEVICES: usize = 8;

/// Beats of one device as fast as they are answered. After a broken connection the same number is sent again, as a
/// device does that does not know whether it arrived.
fn device(
    id: &str,
    address: &Mutex<std::net::SocketAddr>,
    stop: &AtomicBool,
    acknowledged: &Mutex<HashMap<String, u64>>,
) {
    let mut number = 1;
    'connection: while !stop.load(Ordering::Relaxed) {
        let to = *address.lock().unwrap();
        let Ok(mut stream) = TcpStream::connect(to) else {
            thread::sleep(Duration::from_millis(2));
            continue;
        };
        stream.set_read_timeout(Some(common::PATIENCE)).unwrap();
        while !stop.load(Ordering::Relaxed) {
            let body = document(id, number).to_string();
            let request = format!(
                "POST /heartbeat.php HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}",
                body.len()
            );
            if stream.write_all(request.as_bytes()).is_err() {
                continue 'connection;
            }
            match read_answer(&mut stream) {
                Some(answer) if answer.status == 200 => {
                    acknowledged.lock().unwrap().insert(id.to_owned(), number);
                    number += 1;
                }
                _ => continue 'connection,
            }
        }
    }
}

#[test]
fn nothing_that_was_acknowledged_is_lost_or_stored_twice_in_a_file() {
    kill_under_load(Server::with("[receive]\nlinger_ms = 2"));
}

#[test]
#[ignore = "needs postgresql-15: server/check"]
fn nothing_that_was_acknowledged_is_lost_or_stored_twice_in_postgresql() {
    let url = Cluster::shared().database();
    kill_under_load(Server::with(&format!("[receive]\nlinger_ms = 2\n[postgres]\nurl = \"{url}\"")));
}

/// `HEARTBEAT_KILLS` sets how often; 1,000 for a release.
fn kill_under_load(mut server: Server) {
    let kills: u32 = std::env::var("HEARTBEAT_KILLS").ok().and_then(|kills| kills.parse().ok()).unwrap_or(15);
    let address = Arc::new(Mutex::new(server.address));
    let stop = Arc::new(AtomicBool::new(false));
    let acknowledged = Arc::new(Mutex::new(HashMap::new()));
    let devices: Vec<_> = (0..DEVICES)
        .map(|n| {
            let (address, stop, acknowledged) =
                (Arc::clone(&address), Arc::clone(&stop), Arc::clone(&acknowledged));
            thread::spawn(move || device(&format!("pi{n}"), &address, &stop, &acknowledged))
        })
        .collect();
    for kill in 0..kills {
        // At another moment of a commit each time.
        thread::sleep(Duration::from_micros(60_000 + u64::from(kill) * 7919 % 40_000));
        server.kill();
        server.restart();
        *address.lock().unwrap() = server.address;
    }
    // Every device is answered by the last server, too.
    let before = acknowledged.lock().unwrap().clone();
    eventually("all devices are back", || {
        let now = acknowledged.lock().unwrap();
        now.len() == DEVICES && now.iter().all(|(id, last)| before.get(id).is_none_or(|before| last > before))
    });
    stop.store(true, Ordering::Relaxed);
    for device in devices {
        device.join().unwrap();
    }
    let mut all = 0;
    for (id, last) in acknowledged.lock().unwrap().iter() {
        let mut stored: Vec<u64> = Vec::new();
        let mut from = 0;
        loop {
            let path = format!("/api/v1/devices/{id}/history?step=beat&from={from}");
            let answer = server.get(&path).json();
            stored.extend(
                answer["points"].as_array().unwrap().iter().map(|point| point["seq"].as_u64().unwrap()),
            );
            match &answer["next"] {
                Value::Null => break,
                next => from = next.as_i64().unwrap(),
            }
        }
        stored.sort_unstable();
        // The last one that was sent may have arrived without its answer.
        assert!(
            stored.len() as u64 == *last || stored.len() as u64 == last + 1,
            "{id}: {} of {last}",
            stored.len()
        );
        assert!(
            stored.iter().copied().eq(1..=stored.len() as u64),
            "{id}: something is missing or there twice"
        );
        all += stored.len();
    }
    assert!(all > kills as usize, "{all} heartbeats");
    println!("{kills} kills, {all} heartbeats: none lost, none twice");
}
