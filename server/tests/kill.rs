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
    collections::{HashMap, VecDeque},
    io::Write,
    net::{SocketAddr, TcpStream},
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

/// A device that is not answered sends the heartbeat again at once, or queues it, as the agent does after a gateway's
/// error, and sends it late when its number is below the ledger's window.
const QUEUED_FOR: u64 = 70;

/// Beats of one device as fast as they are answered. What it does not know to have arrived it sends again.
struct Device {
    id: String,
    queues: bool,
    number: u64,
    queue: VecDeque<(u64, String)>,
}

impl Device {
    fn run(
        mut self,
        address: &Mutex<SocketAddr>,
        stop: &AtomicBool,
        acknowledged: &Mutex<HashMap<String, u64>>,
    ) {
        while !stop.load(Ordering::Relaxed) || !self.queue.is_empty() {
            let to = *address.lock().unwrap();
            let Ok(mut stream) = TcpStream::connect(to) else {
                thread::sleep(Duration::from_millis(2));
                continue;
            };
            stream.set_read_timeout(Some(common::PATIENCE)).unwrap();
            while self.beat(&mut stream, stop.load(Ordering::Relaxed)) {
                acknowledged.lock().unwrap().insert(self.id.clone(), self.number - 1);
            }
        }
    }

    /// Sends the oldest heartbeat of the queue if it is due, otherwise a new one; whether it was answered.
    fn beat(&mut self, stream: &mut TcpStream, stopping: bool) -> bool {
        let due = self.queue.front().filter(|(number, _)| stopping || number + QUEUED_FOR < self.number);
        if let Some((_, body)) = due {
            let arrived = post(stream, body);
            if arrived {
                self.queue.pop_front();
            }
            return arrived;
        }
        if stopping {
            return false;
        }
        let mut body = document(&self.id, self.number);
        let arrived = post(stream, &body.to_string());
        if arrived {
            self.number += 1;
        } else if self.queues {
            body["replayed"] = true.into();
            self.queue.push_back((self.number, body.to_string()));
            self.number += 1;
        }
        arrived
    }
}

/// Whether a document was taken.
fn post(stream: &mut TcpStream, body: &str) -> bool {
    let request = format!(
        "POST /heartbeat.php HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    );
    stream.write_all(request.as_bytes()).is_ok()
        && read_answer(stream).is_some_and(|answer| answer.status == 200)
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
            let device =
                Device { id: format!("pi{n}"), queues: n % 2 == 1, number: 1, queue: VecDeque::new() };
            thread::spawn(move || device.run(&address, &stop, &acknowledged))
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
