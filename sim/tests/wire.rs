//! What a server sees: the bytes of a request, to the last one.

#![allow(clippy::expect_used, clippy::panic)]

mod support;

use std::{
    fs,
    io::{self, Read, Write},
    net::{SocketAddr, TcpListener, TcpStream},
    os::unix::fs::PermissionsExt,
    sync::mpsc,
    thread,
};

use heartbeat_sim::receiver::read_request;
use support::{Daemon, PATIENCE, bare_tree, command, write};

/// A heartbeat of a device that knows nothing but the time.
const DOCUMENT: &str = r#"{"hardwareid":"a/b","cpu":null,"mem":null,"temp":null,"power":null,"fan_rpm":null,"disk":null,"connection":{"default_interface":null,"ethernet":null,"wifi":null,"4g":null,"gps":null},"timestamp":TIME,"app_version":null,"streaming_active":false,"tracking_active":false,"recording_active":false,"recording_file_size_mb":0.00,"recording_file_path":null}"#;

/// A connection that remembers what came over it.
struct Recorded {
    stream: TcpStream,
    bytes: Vec<u8>,
}

impl Read for Recorded {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let len = self.stream.read(buffer)?;
        self.bytes.extend(buffer.iter().take(len));
        Ok(len)
    }
}

/// The first request of a daemon that is run with these flags and variables.
fn request(flags: &[&str], variables: &[(&str, &str)]) -> (SocketAddr, String) {
    let (address, request, _) = request_and_log("", flags, variables);
    (address, request)
}

/// The first request of a daemon with these settings, flags and variables, and what it had logged when it was delivered.
fn request_and_log(
    settings: &str,
    flags: &[&str],
    variables: &[(&str, &str)],
) -> (SocketAddr, String, String) {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = listener.local_addr().expect("an address");
    let (sender, requests) = mpsc::channel();
    thread::spawn(move || {
        let (stream, _) = listener.accept().expect("a connection");
        let mut recorded = Recorded { stream, bytes: Vec::new() };
        read_request(&mut recorded).expect("a request");
        let Recorded { mut stream, bytes } = recorded;
        stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}").expect("written");
        sender.send(String::from_utf8(bytes).expect("text")).expect("the test waits");
    });
    let tree = bare_tree();
    let settings = format!(
        "hardware_id = 'a/b'\ndisk_path = '/none'\ndiagnostics = false\nsequence = false\n{settings}"
    );
    write(tree.path(), "config.toml", settings.as_bytes());
    let mode = fs::Permissions::from_mode(0o600);
    fs::set_permissions(tree.path().join("config.toml"), mode).expect("set");
    let url = format!("http://{address}/heartbeat.php?key=a%20b");
    let config = tree.path().join("config.toml");
    let mut command = command(&["run", "--config", config.to_str().expect("UTF-8")]);
    command.args(["--url", &url, "--pidfile", "", "--sysroot"]).arg(tree.path());
    command.args(flags).envs(variables.iter().copied());
    let mut daemon = Daemon::start(command);
    let request = requests.recv_timeout(PATIENCE).expect("a request");
    daemon.stop();
    let log = daemon.log.join("\n");
    (address, request, log)
}

/// `document` with its time taken out.
fn timeless(document: &str) -> String {
    let (before, rest) = document.split_once("\"timestamp\":").expect("a time");
    let (time, after) = rest.split_once(',').expect("more");
    assert!(time.parse::<f64>().is_ok_and(|time| time > 1e9), "{time}");
    format!("{before}\"timestamp\":TIME,{after}")
}

#[test]
fn a_heartbeat_is_a_post_with_few_headers() {
    let (address, request) = request(&[], &[]);
    let (header, document) = request.split_once("\r\n\r\n").expect("a header and a document");
    assert_eq!(timeless(document), DOCUMENT);
    let length = document.len();
    let expected = [
        "POST /heartbeat.php?key=a%20b HTTP/1.1",
        &format!("content-length: {length}"),
        concat!("user-agent: heartbeat-daemon/", env!("CARGO_PKG_VERSION")),
        &format!("host: {address}"),
        "content-type: application/json",
    ];
    assert_eq!(header, expected.join("\r\n"));
}

#[test]
fn the_deprecated_form_has_the_document_in_the_address() {
    let (address, request) = request(&["--method", "get"], &[]);
    let params = request.strip_prefix("GET /heartbeat.php?key=a%20b&params=").expect("the address");
    let (params, header) = params.split_once(" HTTP/1.1\r\n").expect("its end");
    assert!(params.starts_with("%7B%22hardwareid%22%3A%22a%2Fb%22%2C%22cpu%22%3Anull%2C"), "{params}");
    let document = percent_encoding::percent_decode_str(params).decode_utf8().expect("text");
    assert_eq!(timeless(&document), DOCUMENT);
    let agent = concat!("user-agent: heartbeat-daemon/", env!("CARGO_PKG_VERSION"));
    assert_eq!(header, format!("{agent}\r\nhost: {address}\r\n\r\n"));
}

/// No proxy listens at these addresses.
#[test]
fn ignores_proxies_of_the_environment() {
    let names = ["http_proxy", "HTTP_PROXY", "https_proxy", "HTTPS_PROXY", "all_proxy", "ALL_PROXY"];
    let (_, request) = request(&[], &names.map(|name| (name, "http://127.0.0.1:9/")));
    assert!(request.starts_with("POST /heartbeat.php?"), "{request}");
}

/// On this machine a token may travel over plain `http`. Neither it nor a header's value may reach the log.
#[test]
fn sends_token_and_headers_and_logs_neither() {
    let dir = tempfile::tempdir().expect("a directory");
    write(dir.path(), "token", b"s3cret\n");
    let token = dir.path().join("token");
    fs::set_permissions(&token, fs::Permissions::from_mode(0o600)).expect("set");
    let settings = format!("token_file = '{}'\nheaders = {{ X-Site = 'h1dden' }}\n", token.display());
    let (_, head, log) = request_and_log(&settings, &["--verbose"], &[]);
    assert!(head.contains("\r\nauthorization: Bearer s3cret\r\n"), "{head}");
    assert!(head.contains("\r\nx-site: h1dden\r\n"), "{head}");
    assert!(log.contains("connecting to"), "{log}");
    assert!(!log.contains("s3cret") && !log.contains("h1dden"), "{log}");
    let (_, head) = request(&[], &[("HEARTBEAT_TOKEN", "s3cret")]);
    assert!(head.contains("\r\nauthorization: Bearer s3cret\r\n"), "{head}");
}
