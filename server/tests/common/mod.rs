//! A server process of its own for each test, and a small client that can also be rude.

#![allow(dead_code, reason = "each test file uses a part of it")]
#![allow(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used,
    reason = "a test fails by panicking"
)]

pub(crate) mod postgres;

use std::{
    ffi::OsString,
    fs,
    io::{BufRead, BufReader, Read, Write},
    net::{SocketAddr, TcpStream},
    path::PathBuf,
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use serde_json::{Value, json};

/// Longest time that anything here is waited for.
pub(crate) const PATIENCE: Duration = Duration::from_secs(30);

/// The program: the one that was built for the tests, or another one that `HEARTBEAT_TEST_PROGRAM` names by its absolute path,
/// such as the one that is packaged.
pub(crate) fn program() -> OsString {
    std::env::var_os("HEARTBEAT_TEST_PROGRAM")
        .unwrap_or_else(|| env!("CARGO_BIN_EXE_heartbeat-server").into())
}

/// A running server. Dropping it kills it.
pub(crate) struct Server {
    pub(crate) directory: tempfile::TempDir,
    pub(crate) address: SocketAddr,
    config: String,
    child: Child,
}

/// An answer.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) headers: String,
    pub(crate) body: String,
}

impl Answer {
    /// The value of a header, in lower case.
    pub(crate) fn header(&self, name: &str) -> Option<String> {
        let lines = self.headers.lines().filter_map(|line| line.split_once(':'));
        let mut found = lines.filter(|(key, _)| key.eq_ignore_ascii_case(name));
        found.next().map(|(_, value)| value.trim().to_owned())
    }

    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap()
    }
}

impl Server {
    pub(crate) fn start() -> Self {
        Self::with("")
    }

    /// With these lines in its configuration.
    pub(crate) fn with(config: &str) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let (child, address) = launch(&directory, config);
        Self { directory, address, config: config.to_owned(), child }
    }

    /// Starts it again, on the same database.
    pub(crate) fn restart(&mut self) {
        (self.child, self.address) = launch(&self.directory, &self.config);
    }

    /// Starts it again where it was.
    pub(crate) fn restart_at(&mut self, address: SocketAddr) {
        let config = format!("listen = \"{address}\"\n{}", self.config);
        (self.child, self.address) = launch(&self.directory, &config);
    }

    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    /// `kill -9`.
    pub(crate) fn kill(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    /// SIGTERM; how it ended.
    pub(crate) fn stop(&mut self) -> std::process::ExitStatus {
        let pid = nix::unistd::Pid::from_raw(self.child.id().try_into().unwrap());
        nix::sys::signal::kill(pid, nix::sys::signal::Signal::SIGTERM).unwrap();
        self.child.wait().unwrap()
    }

    pub(crate) fn database(&self) -> PathBuf {
        self.directory.path().join("state/heartbeat.db")
    }

    /// Runs a command of the program on the same database.
    pub(crate) fn command(&self, arguments: &[&str], input: &str) -> (bool, String, String) {
        let mut child = Command::new(program())
            .args(["--config", self.directory.path().join("config.toml").to_str().unwrap()])
            .args(arguments)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        child.stdin.take().unwrap().write_all(input.as_bytes()).unwrap();
        let output = child.wait_with_output().unwrap();
        let text = |bytes| String::from_utf8(bytes).unwrap();
        (output.status.success(), text(output.stdout), text(output.stderr))
    }

    /// The secret of a new token.
    pub(crate) fn token(&self, arguments: &[&str]) -> String {
        let (ok, secret, error) = self.command(&[&["token", "add"], arguments].concat(), "");
        assert!(ok, "{error}");
        secret.trim().to_owned()
    }

    pub(crate) fn connect(&self) -> TcpStream {
        let stream = TcpStream::connect(self.address).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        stream
    }

    /// One request on a connection of its own. `head`: further lines of the head, each with its line break.
    pub(crate) fn request(&self, method: &str, path: &str, head: &str, body: &str) -> Answer {
        let length =
            if method == "POST" { format!("Content-Length: {}\r\n", body.len()) } else { String::new() };
        let request = format!(
            "{method} {path} HTTP/1.1\r\nHost: {}\r\nConnection: close\r\n{length}{head}\r\n{body}",
            self.address
        );
        let mut stream = self.connect();
        stream.write_all(request.as_bytes()).unwrap();
        read_answer(&mut stream).expect("an answer")
    }

    pub(crate) fn get(&self, path: &str) -> Answer {
        self.request("GET", path, "", "")
    }

    pub(crate) fn beat(&self, document: &Value) -> Answer {
        self.beat_with(document, None)
    }

    pub(crate) fn beat_with(&self, document: &Value, token: Option<&str>) -> Answer {
        let token = token.map(|token| format!("Authorization: Bearer {token}\r\n")).unwrap_or_default();
        let head = format!("Content-Type: application/json\r\n{token}");
        self.request("POST", "/heartbeat.php", &head, &document.to_string())
    }

    /// The number of heartbeats of a device in the database, as the API says it.
    pub(crate) fn stored(&self, id: &str) -> usize {
        let answer = self.get(&format!("/api/v1/devices/{id}/history?step=beat&from=0"));
        assert_eq!(answer.status, 200, "{answer:?}");
        answer.json()["points"].as_array().unwrap().len()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn launch(directory: &tempfile::TempDir, config: &str) -> (Child, SocketAddr) {
    let path = directory.path().join("config.toml");
    let state = directory.path().join("state");
    let listen = if config.contains("listen =") { "" } else { "listen = \"127.0.0.1:0\"\n" };
    fs::write(&path, format!("state = {state:?}\n{listen}{config}")).unwrap();
    let mut child = Command::new(program())
        .args(["--config", path.to_str().unwrap()])
        .stdout(Stdio::piped())
        .stderr(if std::env::var_os("SHOW_LOG").is_some() { Stdio::inherit() } else { Stdio::null() })
        .spawn()
        .unwrap();
    let mut line = String::new();
    BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
    let address = line.trim().trim_end_matches('/').rsplit('/').next().unwrap();
    let address = address.parse().unwrap_or_else(|_| panic!("the server did not start: {line:?}"));
    (child, address)
}

/// Reads one answer with its body. `None`: the connection ended without one.
pub(crate) fn read_answer(stream: &mut impl Read) -> Option<Answer> {
    // A byte at a time, so that a following answer stays where it is.
    let mut reader = BufReader::with_capacity(1, stream);
    let mut headers = String::new();
    loop {
        let mut line = String::new();
        match reader.read_line(&mut line) {
            Ok(0) | Err(_) => return None,
            Ok(_) if line == "\r\n" => break,
            Ok(_) => headers.push_str(&line),
        }
    }
    let status = headers.split(' ').nth(1)?.parse().ok()?;
    let mut answer = Answer { status, headers, body: String::new() };
    let length = answer.header("content-length").and_then(|length| length.parse::<usize>().ok());
    let mut body = vec![0; length.unwrap_or(0)];
    match length {
        Some(_) => reader.read_exact(&mut body).ok()?,
        None => {
            reader.read_to_end(&mut body).ok()?;
        }
    }
    if answer.header("transfer-encoding").as_deref() == Some("chunked") {
        body = joined(&body)?;
    }
    answer.body = String::from_utf8_lossy(&body).into_owned();
    Some(answer)
}

/// The chunks of a body. `None`: the last one is missing.
fn joined(mut chunked: &[u8]) -> Option<Vec<u8>> {
    let mut body = Vec::new();
    loop {
        let end = chunked.windows(2).position(|pair| pair == b"\r\n")?;
        let length = usize::from_str_radix(std::str::from_utf8(&chunked[..end]).ok()?, 16).ok()?;
        if length == 0 {
            return Some(body);
        }
        body.extend(chunked.get(end + 2..end + 2 + length)?);
        chunked = chunked.get(end + 4 + length..)?;
    }
}

/// What an agent sends, `seq` numbered.
pub(crate) fn document(id: &str, number: u64) -> Value {
    json!({
        "hardwareid": id, "cpu": 12.5, "mem": 41.2, "temp": 48.8, "power": 3.46, "fan_rpm": 1200,
        "disk": {"percent": 61.0, "used_gb": 17.6, "total_gb": 28.9},
        "connection": {"default_interface": "wlan0", "ethernet": null,
            "wifi": {"interface": "wlan0", "ip": "192.168.1.20", "mode": "client", "ssid": "shed",
                "signal_dbm": -61, "signal_percent": 78, "clients": null},
            "4g": null,
            "gps": {"fix": "3d", "latitude": 48.1234567, "longitude": 11.5, "altitude_m": 520.1, "speed_mps": 0.0,
                "heading": null, "satellites": 9}},
        "timestamp": std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_secs_f64(),
        "app_version": "2.1", "streaming_active": true, "tracking_active": false,
        "recording_active": true, "recording_file_size_mb": 512.25, "recording_file_path": "/srv/rec.mp4",
        "uptime_s": 86_400, "diagnostics": {"throttled": 327_680, "ups": null},
        "boot_id": "0123456789abcdef", "seq": number
    })
}

/// Waits until something holds; fails with `what` if it does not.
pub(crate) fn eventually(what: &str, mut holds: impl FnMut() -> bool) {
    let deadline = Instant::now() + PATIENCE;
    while !holds() {
        assert!(Instant::now() < deadline, "{what}");
        std::thread::sleep(Duration::from_millis(50));
    }
}
