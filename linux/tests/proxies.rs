//! The program through proxies that others have written: tinyproxy and microsocks, over loopback.

#![allow(clippy::expect_used)]

use std::{
    fs,
    io::{Read, Write},
    net::{SocketAddr, TcpListener, TcpStream},
    os::unix::fs::PermissionsExt,
    path::Path,
    process::{Child, Command, Output, Stdio},
    sync::Arc,
    thread,
    time::{Duration, Instant},
};

use rcgen::{CertificateParams, KeyPair};
use rustls::{ServerConfig, ServerConnection, StreamOwned, pki_types::PrivateKeyDer};

/// Longer than anything takes on a slow machine.
const LONG: Duration = Duration::from_secs(60);

/// A proxy on a port of loopback, ended with the test.
struct Proxy(Child);

impl Drop for Proxy {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Starts a proxy and waits until it listens.
fn start(command: &mut Command, port: u16) -> Proxy {
    let proxy = Proxy(command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().expect("it is installed"));
    let until = Instant::now() + LONG;
    while TcpStream::connect(("127.0.0.1", port)).is_err() {
        assert!(Instant::now() < until, "it does not listen");
        thread::sleep(Duration::from_millis(20));
    }
    proxy
}

/// A port that nothing uses now.
fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").and_then(|listener| listener.local_addr()).expect("a port").port()
}

fn tinyproxy(dir: &Path, user: bool) -> (Proxy, u16) {
    let (port, path) = (free_port(), dir.join("tinyproxy.conf"));
    let user = if user { "BasicAuth someone s3cret\n" } else { "" };
    fs::write(&path, format!("Port {port}\nListen 127.0.0.1\nAllow 127.0.0.1\n{user}")).expect("written");
    (start(Command::new("tinyproxy").arg("-d").arg("-c").arg(path), port), port)
}

fn microsocks(user: bool) -> (Proxy, u16) {
    let port = free_port();
    let mut command = Command::new("microsocks");
    command.args(["-i", "127.0.0.1", "-p", &port.to_string()]);
    if user {
        command.args(["-u", "someone", "-P", "s3cret"]);
    }
    (start(&mut command, port), port)
}

/// A server for `localhost` that accepts every heartbeat. Its certificate is left in this directory.
fn server(dir: &Path) -> SocketAddr {
    let key = KeyPair::generate().expect("a key");
    let params = CertificateParams::new(vec!["localhost".to_owned()]).expect("a name");
    let certificate = params.self_signed(&key).expect("signed");
    fs::write(dir.join("ca.pem"), certificate.pem()).expect("written");
    let key = PrivateKeyDer::Pkcs8(key.serialize_der().into());
    let config = ServerConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
        .with_safe_default_protocol_versions()
        .expect("versions")
        .with_no_client_auth()
        .with_single_cert(vec![certificate.der().clone()], key)
        .expect("a certificate");
    let config = Arc::new(config);
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = listener.local_addr().expect("an address");
    thread::spawn(move || {
        for stream in listener.incoming() {
            let (Ok(stream), Ok(connection)) = (stream, ServerConnection::new(Arc::clone(&config))) else {
                continue;
            };
            let mut stream = StreamOwned::new(connection, stream);
            let mut request = Vec::new();
            // A document ends with the only `}` that ends a read.
            while !request.ends_with(b"}") {
                let mut piece = [0; 4096];
                match stream.read(&mut piece) {
                    Ok(count @ 1..) => request.extend(piece.get(..count).expect("so many were read")),
                    _ => break,
                }
            }
            let _ = stream.write_all(b"HTTP/1.1 204 No Content\r\n\r\n").and_then(|()| stream.flush());
        }
    });
    address
}

/// `send` with this proxy.
fn send(dir: &Path, server: SocketAddr, proxy: &str) -> Output {
    let path = dir.join("config.toml");
    let text = format!(
        "url = 'https://localhost:{}/'\nca_file = '{}'\nproxy = '{proxy}'\nhardware_id = 'x'\ninterval = 60\ntimeout = 60\n",
        server.port(),
        dir.join("ca.pem").display(),
    );
    fs::write(&path, text).expect("written");
    fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).expect("set");
    Command::new(env!("CARGO_BIN_EXE_heartbeat-daemon"))
        .args(["send", "--verbose", "--config"])
        .arg(path)
        .env_remove("HEARTBEAT_URL")
        .output()
        .expect("it runs")
}

/// All that was said, which never holds the password.
fn said(output: &Output) -> String {
    let said = [&output.stdout, &output.stderr].map(|bytes| String::from_utf8_lossy(bytes)).concat();
    assert!(!said.contains("s3cret") && !said.contains("someone"), "{said}");
    said
}

#[test]
#[ignore = "needs tinyproxy"]
fn tinyproxy_delivers_and_its_refusals_are_named() {
    let dir = tempfile::tempdir().expect("a directory");
    let server = server(dir.path());
    let (_open, port) = tinyproxy(dir.path(), false);
    let output = send(dir.path(), server, &format!("http://localhost:{port}"));
    assert!(output.status.success(), "{}", said(&output));
    // Nothing listens on port 1.
    let nothing = SocketAddr::from(([127, 0, 0, 1], 1));
    let output = send(dir.path(), nothing, &format!("http://127.0.0.1:{port}"));
    assert!(said(&output).contains("not delivered: the proxy "), "{}", said(&output));
    let (_closed, port) = tinyproxy(dir.path(), true);
    let output = send(dir.path(), server, &format!("http://someone:s3cret@127.0.0.1:{port}"));
    assert!(output.status.success(), "{}", said(&output));
    for (user, expected) in [
        ("", "it wants a user and a password (407)"),
        ("someone:s3cret2@", "it does not accept the user and the password ("),
    ] {
        let output = send(dir.path(), server, &format!("http://{user}127.0.0.1:{port}"));
        assert_eq!(output.status.code(), Some(1));
        assert!(said(&output).contains(expected), "{}", said(&output));
    }
}

#[test]
#[ignore = "needs microsocks"]
fn microsocks_delivers_and_its_refusals_are_named() {
    let dir = tempfile::tempdir().expect("a directory");
    let server = server(dir.path());
    let (_open, port) = microsocks(false);
    let output = send(dir.path(), server, &format!("socks5://localhost:{port}"));
    assert!(output.status.success(), "{}", said(&output));
    let nothing = SocketAddr::from(([127, 0, 0, 1], 1));
    let output = send(dir.path(), nothing, &format!("socks5h://127.0.0.1:{port}"));
    assert!(
        said(&output).contains("not delivered: the proxy does not reach the server"),
        "{}",
        said(&output)
    );
    let (_closed, port) = microsocks(true);
    let output = send(dir.path(), server, &format!("socks5://someone:s3cret@127.0.0.1:{port}"));
    assert!(output.status.success(), "{}", said(&output));
    for (user, expected) in [
        ("", "it wants a user and a password"),
        ("someone:s3cret2@", "it does not accept the user and the password"),
    ] {
        let output = send(dir.path(), server, &format!("socks5://{user}127.0.0.1:{port}"));
        assert_eq!(output.status.code(), Some(1));
        assert!(said(&output).contains(expected), "{}", said(&output));
    }
}
