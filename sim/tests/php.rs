//! The daemon against PHP, which is what the deployed server speaks.

#![allow(clippy::expect_used, clippy::panic)]

mod support;

use std::{
    fs,
    net::{SocketAddr, TcpListener, TcpStream},
    path::Path,
    process::{Child, Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use heartbeat_sim::schema::Schema;
use support::{Daemon, PATIENCE};

/// Takes a heartbeat in either form, re-encodes what it understood and stores it.
const SCRIPT: &str = r#"<?php
$text = $_SERVER['REQUEST_METHOD'] === 'POST' ? file_get_contents('php://input') : $_GET['params'];
$beat = json_decode($text, true, 16, JSON_THROW_ON_ERROR);
$line = json_encode(['method' => $_SERVER['REQUEST_METHOD'], 'id' => $beat['hardwareid'], 'body' => $text]);
file_put_contents(__DIR__ . '/beats', $line . "\n", FILE_APPEND);
header('Content-Type: application/json');
echo json_encode(['status' => 'ok']);
"#;

struct Php(Child);

impl Drop for Php {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// `None` when PHP is not installed.
fn php(dir: &Path) -> Option<(Php, SocketAddr)> {
    fs::write(dir.join("heartbeat.php"), SCRIPT).expect("written");
    // Free a moment ago. PHP cannot say which port it picked.
    let address =
        TcpListener::bind("127.0.0.1:0").and_then(|listener| listener.local_addr()).expect("a port");
    let child = Command::new("php")
        .args(["-S", &address.to_string(), "-t"])
        .arg(dir)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .ok()?;
    let server = Php(child);
    let began = Instant::now();
    while TcpStream::connect(address).is_err() {
        assert!(began.elapsed() < PATIENCE, "PHP does not listen");
        thread::sleep(Duration::from_millis(10));
    }
    Some((server, address))
}

#[test]
fn php_understands_both_forms() {
    let dir = tempfile::tempdir().expect("a directory");
    let Some((_server, address)) = php(dir.path()) else {
        println!("skipped: php is not installed (Debian package php-cli)");
        return;
    };
    let schema = Schema::new();
    for (method, expected) in [("post", "POST"), ("get", "GET")] {
        let beats = dir.path().join("beats");
        let _ = fs::remove_file(&beats);
        let mut daemon = Daemon::sending_to(address, "0.3", &["--method", method]);
        let began = Instant::now();
        let stored = loop {
            let stored = fs::read_to_string(&beats).unwrap_or_default();
            if stored.lines().count() >= 3 {
                break stored;
            }
            assert!(began.elapsed() < PATIENCE, "PHP stored {stored:?}");
            thread::sleep(Duration::from_millis(10));
        };
        daemon.stop();
        assert!(!daemon.log.iter().any(|line| line.contains("not delivered")), "{:#?}", daemon.log);
        for line in stored.lines() {
            let beat: serde_json::Value = serde_json::from_str(line).expect("JSON");
            assert_eq!(beat["method"], expected);
            let value =
                schema.check(beat["body"].as_str().expect("text").as_bytes()).expect("fits the schema");
            assert_eq!(beat["id"], value["hardwareid"]);
        }
    }
}
