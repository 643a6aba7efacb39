//! The demonstration: server, daemon and simulated devices over real sockets.

#![allow(clippy::expect_used, clippy::indexing_slicing, clippy::panic, clippy::unwrap_used)]

use std::{
    io::{Read, Write},
    net::TcpStream,
};

use heartbeat_sim::demo;
use serde_json::Value;

fn get(address: &str, path: &str) -> String {
    let mut stream = TcpStream::connect(address).unwrap();
    write!(stream, "GET {path} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n").unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    assert!(head.starts_with("HTTP/1.1 200"), "{head}");
    body.to_owned()
}

/// How many devices the server knows.
fn devices(address: &str) -> usize {
    let list: Value = serde_json::from_str(&get(address, "/api/v1/devices")).unwrap();
    list["devices"].as_array().unwrap().len()
}

#[test]
fn the_page_shows_this_machine_and_the_simulated_devices() {
    let mut address = String::new();
    let mut lines = Vec::new();
    demo::run(Some(2), "1", 5, |line| {
        if let Some(page) = line.strip_prefix("The page: http://") {
            page.trim_end_matches('/').clone_into(&mut address);
        }
        lines.push(line.to_owned());
        if line.contains("bytes") && lines.len() == 4 {
            // The first heartbeat of this machine has been acknowledged; the devices begin at the same time.
            let deadline = std::time::Instant::now() + std::time::Duration::from_secs(60);
            while devices(&address) < 6 {
                assert!(std::time::Instant::now() < deadline, "{} devices", devices(&address));
                std::thread::yield_now();
            }
            assert!(get(&address, "/").contains("<table"));
        }
    })
    .unwrap();
    assert_eq!(lines.last().map(String::as_str), Some("2 delivered, 0 failed"), "{lines:?}");
}
