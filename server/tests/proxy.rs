//! The recipes of `packaging/nginx.conf` and `packaging/Caddyfile`, with the real programs, below a path.

#![allow(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used,
    reason = "a test fails by panicking"
)]

mod common;

use std::{
    fs,
    io::{BufRead, BufReader, Write},
    net::{SocketAddr, TcpListener, TcpStream},
    process::{Child, Command, Stdio},
};

use common::{Answer, Server, document, eventually, read_answer};

struct Proxy {
    child: Child,
    address: SocketAddr,
    _directory: tempfile::TempDir,
}

impl Drop for Proxy {
    fn drop(&mut self) {
        // Its workers go with it only if it is asked.
        let pid = nix::unistd::Pid::from_raw(self.child.id().try_into().unwrap());
        let _ = nix::sys::signal::kill(pid, nix::sys::signal::Signal::SIGTERM);
        let _ = self.child.wait();
    }
}

impl Proxy {
    fn request(&self, method: &str, path: &str, head: &str, body: &str) -> Answer {
        let mut stream = TcpStream::connect(self.address).unwrap();
        stream.set_read_timeout(Some(common::PATIENCE)).unwrap();
        let request = format!(
            "{method} {path} HTTP/1.1\r\nHost: {}\r\nConnection: close\r\nContent-Length: {}\r\n{head}\r\n{body}",
            self.address,
            body.len()
        );
        stream.write_all(request.as_bytes()).unwrap();
        read_answer(&mut stream).expect("an answer")
    }
}

fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

fn start(mut command: Command, port: u16, directory: tempfile::TempDir) -> Proxy {
    let child = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn();
    let child = child.expect("the proxy; Debian: apt-get install nginx-light caddy");
    let address = SocketAddr::from(([127, 0, 0, 1], port));
    let proxy = Proxy { child, address, _directory: directory };
    eventually("the proxy listens", || TcpStream::connect(address).is_ok());
    proxy
}

fn nginx(server: &Server) -> Proxy {
    let directory = tempfile::tempdir().unwrap();
    let port = free_port();
    let recipe =
        include_str!("../packaging/nginx.conf").replace("127.0.0.1:8080", &server.address.to_string());
    let (upstream, location) = recipe.split_once("# In the server block").unwrap();
    let path = directory.path().display();
    let config = format!(
        "daemon off; pid {path}/pid; error_log {path}/error.log; events {{}}\n\
         http {{ access_log off; client_body_temp_path {path}/b; proxy_temp_path {path}/p; fastcgi_temp_path {path}/f;\n\
         uwsgi_temp_path {path}/u; scgi_temp_path {path}/s;\n{upstream}\n\
         server {{ listen 127.0.0.1:{port};\n#{location} }} }}\n"
    );
    fs::write(directory.path().join("nginx.conf"), config).unwrap();
    let mut command = Command::new("/usr/sbin/nginx");
    command.arg("-p").arg(directory.path()).arg("-c").arg(directory.path().join("nginx.conf"));
    start(command, port, directory)
}

fn caddy(server: &Server) -> Proxy {
    let directory = tempfile::tempdir().unwrap();
    let port = free_port();
    let recipe = include_str!("../packaging/Caddyfile");
    let (_, site) = recipe.split_once("heartbeat.example.org {\n").unwrap();
    let site = site.replace("127.0.0.1:8080", &server.address.to_string());
    let config = format!(
        "{{\n\tadmin off\n}}\nhttp://127.0.0.1:{port} {{\n\thandle_path /heartbeat/* {{\n{site}\n}}\n"
    );
    fs::write(directory.path().join("Caddyfile"), config).unwrap();
    let mut command = Command::new("caddy");
    command
        .arg("run")
        .arg("--config")
        .arg(directory.path().join("Caddyfile"))
        .args(["--adapter", "caddyfile"]);
    command.env("HOME", directory.path());
    start(command, port, directory)
}

fn works_below_a_path(server: &Server, proxy: &Proxy) {
    let json = "Content-Type: application/json\r\n";
    for number in 1..=3 {
        let body = document("pi1", number).to_string();
        assert_eq!(proxy.request("POST", "/heartbeat/heartbeat.php", json, &body).status, 200);
    }
    assert!(server.command(&["password"], "correct horse\n").0);
    let page = proxy.request("GET", "/heartbeat/device?id=pi1", "", "");
    assert_eq!((page.status, page.header("location").as_deref()), (303, Some("login?to=device%3Fid%3Dpi1")));
    let form = "Content-Type: application/x-www-form-urlencoded\r\n";
    let login = proxy.request("POST", "/heartbeat/login", form, "password=correct+horse&to=");
    let cookie = login.header("set-cookie").unwrap();
    let cookie = format!("Cookie: {}\r\n", cookie.split(';').next().unwrap());
    let page = proxy.request("GET", "/heartbeat/", &cookie, "");
    assert!(page.status == 200 && page.body.contains("href=\"device?id=pi1\""), "{page:?}");
    for asset in ["style.css", "live.js"] {
        assert_eq!(proxy.request("GET", &format!("/heartbeat/{asset}"), "", "").status, 200);
    }
    // Changes come at once, and are not held back until a buffer is full.
    let mut stream = TcpStream::connect(proxy.address).unwrap();
    stream.set_read_timeout(Some(common::PATIENCE)).unwrap();
    let request =
        format!("GET /heartbeat/events?view=fleet HTTP/1.1\r\nHost: {}\r\n{cookie}\r\n", proxy.address);
    stream.write_all(request.as_bytes()).unwrap();
    let mut lines = BufReader::new(stream).lines().map_while(Result::ok);
    assert!(lines.any(|line| line.contains("data: ") && line.contains("pi1")));
    let mut changed = document("pi1", 4);
    changed["temp"] = serde_json::json!(61.5);
    assert_eq!(proxy.request("POST", "/heartbeat/heartbeat.php", json, &changed.to_string()).status, 200);
    assert!(lines.any(|line| line.contains("data: ") && line.contains("61.5")));
    // The client's address counts for logins, as the proxy saw it and whatever the client says. At once, because on a slow
    // machine hashing takes longer than the pause after which one more is allowed.
    let guess = |n: u32| {
        let head = format!("{form}X-Forwarded-For: 192.0.2.{n}\r\n");
        proxy.request("POST", "/heartbeat/login", &head, "password=guess+guess").status
    };
    let statuses: Vec<u16> = std::thread::scope(|scope| {
        let guesses: Vec<_> = (0..12).map(|n| scope.spawn(move || guess(n))).collect();
        guesses.into_iter().map(|guess| guess.join().unwrap()).collect()
    });
    assert!(statuses.iter().all(|status| [403, 429].contains(status)), "{statuses:?}");
    assert!(statuses.contains(&403) && statuses.contains(&429), "{statuses:?}");
}

const PROXY: &str = "[access]\nproxies = [\"127.0.0.1\"]";
const PROXY_THAT_NAMES_USERS: &str = "[access]\nproxies = [\"127.0.0.1\"]\nproxy_header = \"X-Remote-User\"";

/// The server believes the header, so the proxy must not pass on a client's.
fn clients_cannot_name_themselves(server: &Server, proxy: &Proxy) {
    let named = "X-Remote-User: admin\r\n";
    assert_eq!(server.request("GET", "/", named, "").status, 200);
    assert_ne!(proxy.request("GET", "/heartbeat/", named, "").status, 200);
}

#[test]
#[ignore = "needs nginx: server/check"]
fn nginx_below_a_path() {
    let server = Server::with(PROXY);
    works_below_a_path(&server, &nginx(&server));
    let server = Server::with(PROXY_THAT_NAMES_USERS);
    clients_cannot_name_themselves(&server, &nginx(&server));
}

#[test]
#[ignore = "needs caddy: server/check"]
fn caddy_below_a_path() {
    let server = Server::with(PROXY);
    works_below_a_path(&server, &caddy(&server));
    let server = Server::with(PROXY_THAT_NAMES_USERS);
    clients_cannot_name_themselves(&server, &caddy(&server));
}
