//! The daemon with `wire = "delta"` and `heartbeat-server`, over real sockets through a relay that sees every byte.

#![allow(clippy::expect_used, clippy::indexing_slicing, clippy::panic)]

mod support;

use std::{
    fs,
    io::{self, BufRead, BufReader, Read, Write},
    net::{SocketAddr, TcpStream},
    path::Path,
    process::{Child, Command, Stdio},
    sync::{Arc, Mutex, mpsc},
};

use serde_json::Value;
use support::{Daemon, PATIENCE, bare_tree, command, write};

/// The host of the default URL, which is longer than an address of this machine.
const HOST: &str = "streamer.lambda-tek.com";
/// Bytes of a request in a quiet minute.
const QUIET_MAX: usize = 250;

/// A server process, killed when dropped.
struct Server {
    child: Child,
    address: SocketAddr,
}

impl Server {
    fn start(directory: &Path) -> Self {
        let config = directory.join("server.toml");
        let state = directory.join("state");
        fs::write(&config, format!("listen = \"127.0.0.1:0\"\nstate = {state:?}\n")).expect("written");
        let mut child = Command::new(env!("CARGO_BIN_EXE_server-under-test"))
            .arg("--config")
            .arg(&config)
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .expect("the server starts");
        let mut line = String::new();
        BufReader::new(child.stdout.take().expect("a pipe")).read_line(&mut line).expect("read");
        let address = line.trim().trim_end_matches('/').rsplit('/').next().expect("an address").parse();
        Self { child, address: address.expect("the server listens") }
    }

    /// The latest document of the only device.
    fn document(&self) -> Value {
        let mut stream = TcpStream::connect(self.address).expect("a connection");
        let path = "/api/v1/devices/camera-7";
        let host = self.address;
        write!(stream, "GET {path} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n").expect("written");
        let mut answer = String::new();
        stream.read_to_string(&mut answer).expect("an answer");
        let (head, body) = answer.split_once("\r\n\r\n").expect("a head");
        assert!(head.starts_with("HTTP/1.1 200"), "{head}");
        serde_json::from_str::<Value>(body).expect("JSON")["document"].clone()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A request, and the status of its answer.
#[derive(Debug)]
struct Exchange {
    connection: usize,
    request: String,
    status: String,
}

impl Exchange {
    fn document(&self) -> Value {
        serde_json::from_str(self.request.split_once("\r\n\r\n").expect("a head").1).expect("JSON")
    }

    fn is_delta(&self) -> bool {
        self.document().get("base").is_some()
    }
}

/// One message of HTTP with a `Content-Length`, as it is.
fn message(stream: &mut impl Read) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    while !bytes.ends_with(b"\r\n\r\n") {
        let mut byte = [0];
        stream.read_exact(&mut byte)?;
        bytes.push(byte[0]);
    }
    let head = String::from_utf8_lossy(&bytes).to_lowercase();
    let length = head.lines().find_map(|line| line.strip_prefix("content-length:"));
    let length: usize = length.map_or(0, |length| length.trim().parse().expect("a number"));
    let begin = bytes.len();
    bytes.resize(begin + length, 0);
    stream.read_exact(&mut bytes[begin..])?;
    Ok(bytes)
}

/// Passes each request on to the server that there is then, over a connection of its own.
fn relay(server: Arc<Mutex<SocketAddr>>) -> (SocketAddr, mpsc::Receiver<Exchange>) {
    let (sender, exchanges) = mpsc::channel();
    let address = support::server(move |connection, mut stream| {
        loop {
            let request = message(&mut stream)?;
            let address = *server.lock().expect("no panic");
            let mut onward = TcpStream::connect(address)?;
            onward.write_all(&request)?;
            let reply = message(&mut onward)?;
            let line = String::from_utf8_lossy(&reply).lines().next().unwrap_or_default().to_owned();
            let status = line.split(' ').nth(1).unwrap_or_default().to_owned();
            let request = String::from_utf8(request).expect("text");
            stream.write_all(&reply)?;
            if sender.send(Exchange { connection, request, status }).is_err() {
                return Ok(());
            }
        }
    });
    (address, exchanges)
}

fn daemon(address: SocketAddr, directory: &Path, tree: &Path) -> Daemon {
    let config = directory.join("config.toml");
    let settings = "wire = 'delta'\nhardware_id = 'camera-7'\ndisk_path = '/none'\ninterval = 0.5\n";
    fs::write(&config, settings).expect("written");
    let url = format!("http://{address}/heartbeat.php");
    let mut command = command(&["run", "--config", config.to_str().expect("UTF-8"), "--url", &url]);
    command.args(["--pidfile", "", "--sysroot"]).arg(tree);
    Daemon::start(command)
}

/// Without what differs from one heartbeat to the next.
fn timeless(mut document: Value) -> Value {
    let object = document.as_object_mut().expect("an object");
    for key in ["timestamp", "seq", "board"] {
        object.remove(key);
    }
    document
}

/// What the relay sees of a daemon, in order.
struct Relayed {
    exchanges: mpsc::Receiver<Exchange>,
    /// The latest full document that was answered with 200, and its connection.
    confirmed: Option<(Value, usize)>,
}

impl Relayed {
    /// The next request. A delta refers to what was confirmed over its connection, however slow this machine is.
    fn next(&mut self) -> Exchange {
        let exchange = self.exchanges.recv_timeout(PATIENCE).expect("a request");
        let document = exchange.document();
        if exchange.is_delta() {
            let (confirmed, connection) = self.confirmed.as_ref().expect("a full document before");
            assert_eq!((&document["base"], exchange.connection), (&confirmed["seq"], *connection));
        } else if exchange.status == "200" {
            self.confirmed = Some((document, exchange.connection));
        }
        exchange
    }

    /// The next delta that is answered with this status.
    fn delta(&mut self, status: &str) -> Exchange {
        loop {
            let exchange = self.next();
            if exchange.is_delta() && exchange.status == status {
                return exchange;
            }
        }
    }

    /// The next delta that is answered with 409; the same heartbeat follows as a full document.
    fn unknown_base(&mut self) {
        let unknown = self.delta("409");
        let full = self.next();
        assert_eq!((full.is_delta(), full.connection), (false, unknown.connection));
        assert_eq!(full.document()["seq"], unknown.document()["seq"], "the same heartbeat, at once");
    }
}

/// A tree with so much free memory, in kB of 4,000.
fn tree(free: u32) -> tempfile::TempDir {
    let tree = bare_tree();
    set_free(tree.path(), free);
    tree
}

fn set_free(tree: &Path, free: u32) {
    let meminfo = format!("MemTotal: 4000 kB\nMemAvailable: {free} kB\n");
    write(tree, "proc/meminfo", meminfo.as_bytes());
}

#[test]
fn quiet_delta_has_exact_bytes_and_the_server_has_the_full_document() {
    let directory = tempfile::tempdir().expect("a directory");
    let tree = tree(3_000);
    let server = Server::start(directory.path());
    let (address, exchanges) = relay(Arc::new(Mutex::new(server.address)));
    let mut relayed = Relayed { exchanges, confirmed: None };
    let mut daemon = daemon(address, directory.path(), tree.path());
    // The server keeps what deltas refer to for those only that send some.
    relayed.unknown_base();
    for _ in 0..5 {
        let Exchange { request, .. } = relayed.delta("200");
        let document: Value =
            serde_json::from_str(request.split_once("\r\n\r\n").expect("a head").1).expect("JSON");
        let (boot_id, seq, base) =
            (document["boot_id"].as_str().expect("text"), &document["seq"], &document["base"]);
        let time = request.split_once("\"timestamp\":").expect("a time").1.trim_end_matches('}');
        assert!(time.parse::<f64>().is_ok_and(|time| time > 1e9), "{time}");
        let body = format!(r#"{{"boot_id":"{boot_id}","seq":{seq},"base":{base},"timestamp":{time}}}"#);
        let head =
            format!("POST /heartbeat.php HTTP/1.1\r\ncontent-length: {}\r\nhost: {address}\r\n", body.len());
        assert_eq!(request, format!("{head}content-type: application/json\r\n\r\n{body}"));
        // As it would be after a year, to the default URL.
        let grown = 2 * "6307200".len() - seq.to_string().len() - base.to_string().len() + HOST.len()
            - address.to_string().len();
        assert!(request.len() + grown <= QUIET_MAX, "{} bytes", request.len() + grown);
    }
    daemon.stop();
    let (full, _) = relayed.confirmed.expect("a full document");
    assert_eq!(full["mem"], 25.0);
    assert_eq!(timeless(server.document()), timeless(full));
}

#[test]
fn what_has_changed_arrives_in_a_delta() {
    let directory = tempfile::tempdir().expect("a directory");
    let tree = tree(3_000);
    let server = Server::start(directory.path());
    let (address, exchanges) = relay(Arc::new(Mutex::new(server.address)));
    let mut relayed = Relayed { exchanges, confirmed: None };
    let mut daemon = daemon(address, directory.path(), tree.path());
    relayed.delta("200");
    set_free(tree.path(), 1_000);
    while relayed.delta("200").document()["mem"] != 75.0 {}
    daemon.stop();
    assert_eq!(server.document()["mem"], 75.0);
}

#[test]
fn server_restarted_behind_a_proxy_gets_the_full_document_at_once() {
    let directory = tempfile::tempdir().expect("a directory");
    let tree = tree(3_000);
    let first = Server::start(directory.path());
    let target = Arc::new(Mutex::new(first.address));
    let (address, exchanges) = relay(Arc::clone(&target));
    let mut relayed = Relayed { exchanges, confirmed: None };
    let mut daemon = daemon(address, directory.path(), tree.path());
    relayed.delta("200");
    let other = tempfile::tempdir().expect("a directory");
    let second = Server::start(other.path());
    *target.lock().expect("no panic") = second.address;
    relayed.unknown_base();
    relayed.delta("200");
    daemon.stop();
    drop((first, second));
}
