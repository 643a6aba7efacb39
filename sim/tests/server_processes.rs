//! Two server processes on one PostgreSQL behind nginx, one of which is killed while 1,000 agents beat.
//!
//! The log of nginx says what was acknowledged: for each request the status that the agent got, and the document.

#![allow(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used,
    reason = "a test fails by panicking"
)]

#[path = "../../server/tests/common/postgres.rs"]
mod postgres;

use std::{
    collections::{BTreeMap, HashMap, HashSet},
    fs,
    io::{BufRead, BufReader, Read, Write},
    net::{SocketAddr, TcpListener, TcpStream},
    path::Path,
    process::{Child, Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use heartbeat_core::Config;
use heartbeat_sim::swarm::Swarm;
use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};
use postgres::Cluster;

const DEVICES: usize = 1_000;
/// Until something that must happen has happened, on a slow machine.
const PATIENCE: Duration = Duration::from_secs(180);

/// A process that ends with its test: the server at once, nginx with its workers.
struct Process(Child, Signal);

impl Process {
    fn end(&mut self) {
        let _ = kill(Pid::from_raw(self.0.id().try_into().unwrap()), self.1);
        let _ = self.0.wait();
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.end();
    }
}

fn server(directory: &Path, name: &str, url: &str) -> (Process, SocketAddr) {
    let config = directory.join(format!("{name}.toml"));
    fs::write(&config, format!("listen = \"127.0.0.1:0\"\n[postgres]\nurl = \"{url}\"")).unwrap();
    let mut child = Command::new(env!("CARGO_BIN_EXE_server-under-test"))
        .arg("--config")
        .arg(&config)
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let mut line = String::new();
    BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
    let address = line.trim().trim_end_matches('/').rsplit('/').next().unwrap().parse();
    (Process(child, Signal::SIGKILL), address.expect("the server listens"))
}

/// nginx as the recipe has it, with two processes and a log of what was acknowledged.
fn nginx(directory: &Path, servers: [SocketAddr; 2]) -> (Process, SocketAddr) {
    let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let recipe = include_str!("../../server/packaging/nginx.conf")
        .replace("server 127.0.0.1:8080;", &servers.map(|server| format!("server {server};")).join(" "));
    let (upstream, location) = recipe.split_once("# In the server block").unwrap();
    let location =
        location.split_once('\n').unwrap().1.replace("location /heartbeat/ {", "location / {").replace(
            "proxy_pass http://heartbeat/;",
            "proxy_pass http://heartbeat; client_body_buffer_size 16k;",
        );
    let path = directory.display();
    // The agents keep a connection for ever, and all of them come from one address.
    let config = format!(
        "daemon off; pid {path}/pid; error_log {path}/error.log; worker_rlimit_nofile 8192;\n\
         events {{ worker_connections 4096; }}\n\
         http {{ log_format acknowledged escape=json '$status $request_body'; access_log {path}/log acknowledged;\n\
         keepalive_requests 1000000; client_body_temp_path {path}/b; proxy_temp_path {path}/p;\n\
         fastcgi_temp_path {path}/f; uwsgi_temp_path {path}/u; scgi_temp_path {path}/s;\n{upstream}\n\
         server {{ listen 127.0.0.1:{port} backlog=4096;\n{location} }} }}\n"
    );
    fs::write(directory.join("nginx.conf"), config).unwrap();
    let mut command = Command::new("/usr/sbin/nginx");
    command.arg("-p").arg(directory).arg("-c").arg(directory.join("nginx.conf"));
    let child = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn();
    let process = Process(child.expect("nginx; Debian: apt-get install nginx-light"), Signal::SIGTERM);
    let address = SocketAddr::from(([127, 0, 0, 1], port));
    eventually("nginx listens", || TcpStream::connect(address).is_ok());
    (process, address)
}

fn get(server: SocketAddr, path: &str) -> String {
    let mut stream = TcpStream::connect(server).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    write!(stream, "GET {path} HTTP/1.1\r\nHost: {server}\r\nConnection: close\r\n\r\n").unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    answer
}

fn eventually(what: &str, mut holds: impl FnMut() -> bool) {
    let deadline = Instant::now() + PATIENCE;
    while !holds() {
        assert!(Instant::now() < deadline, "{what}");
        thread::sleep(Duration::from_millis(200));
    }
}

/// A heartbeat: device, start of its agent, number.
type Key = (String, i64, i64);

/// Heartbeats that were acknowledged, and how many answers were something else.
fn acknowledged(log: &Path) -> (HashSet<Key>, usize) {
    let text = fs::read_to_string(log).unwrap();
    let mut keys = HashSet::new();
    let mut others = 0;
    // The last line may be unfinished.
    for line in text.split_inclusive('\n').filter_map(|line| line.strip_suffix('\n')) {
        let Some(escaped) = line.strip_prefix("200 ").filter(|escaped| escaped.len() > 2) else {
            others += 1;
            continue;
        };
        let body: String = serde_json::from_str(&format!("\"{escaped}\"")).unwrap();
        let document: serde_json::Value = serde_json::from_str(&body).unwrap();
        let boot = u64::from_str_radix(document["boot_id"].as_str().unwrap(), 16).unwrap().cast_signed();
        let id = document["hardwareid"].as_str().unwrap().to_owned();
        keys.insert((id, boot, document["seq"].as_i64().unwrap()));
    }
    (keys, others)
}

/// How often each heartbeat is in the database.
fn stored(cluster: &Cluster, url: &str) -> HashMap<Key, usize> {
    let sql = "SELECT hardware_id, boot_id, seq FROM beat JOIN device ON device.id = beat.device
               JOIN boot ON boot.device = beat.device AND boot.ordinal = beat.boot";
    let mut stored = HashMap::new();
    for line in cluster.sql(url, sql).lines() {
        let fields: Vec<_> = line.split('|').collect();
        let key = (fields[0].to_owned(), fields[1].parse().unwrap(), fields[2].parse().unwrap());
        *stored.entry(key).or_default() += 1;
    }
    stored
}

/// Devices with more than `more` acknowledged heartbeats beyond those of `before`.
fn heard(log: &Path, before: &HashSet<Key>) -> usize {
    let (now, _) = acknowledged(log);
    let mut devices: BTreeMap<&str, usize> = BTreeMap::new();
    for key in now.difference(before) {
        *devices.entry(&key.0).or_default() += 1;
    }
    devices.len()
}

#[test]
#[ignore = "needs postgresql-15 and nginx: server/check"]
fn a_killed_process_loses_nothing_and_the_other_shows_all() {
    let directory = tempfile::tempdir().unwrap();
    let cluster = Cluster::shared();
    let url = cluster.database();
    let (mut one, first) = server(directory.path(), "one", &url);
    let (_other, second) = server(directory.path(), "other", &url);
    let (_nginx, proxy) = nginx(directory.path(), [first, second]);
    let log = directory.path().join("log");
    let interval = heartbeat_core::time::Duration::from_secs(5);
    let swarm =
        Swarm::start(DEVICES.try_into().unwrap(), Config::new(interval, interval).unwrap(), proxy).unwrap();

    eventually("all devices are acknowledged", || heard(&log, &HashSet::new()) == DEVICES);
    let page = |address: SocketAddr| get(address, "/");
    let all = format!("<strong>{DEVICES}</strong> <span>online</span>").replace("> <", "><");
    for address in [first, second] {
        eventually("both pages show all", || page(address).contains(&all));
    }
    for address in [first, second] {
        let received = get(address, "/metrics");
        assert!(!received.contains("heartbeat_received_total 0\n"), "both receive");
    }
    let (before, _) = acknowledged(&log);
    one.end();

    eventually("all devices are acknowledged by the other", || heard(&log, &before) == DEVICES);
    eventually("the page of the other shows all", || page(second).contains(&all));
    drop(swarm);

    let (acknowledged, others) = acknowledged(&log);
    let stored = stored(cluster, &url);
    let lost: Vec<_> = acknowledged.iter().filter(|key| !stored.contains_key(*key)).collect();
    assert!(lost.is_empty(), "{} acknowledged heartbeats are not stored: {:?}", lost.len(), lost.first());
    let twice: Vec<_> = stored.iter().filter(|(_, times)| **times > 1).collect();
    assert!(twice.is_empty(), "{} heartbeats are stored twice: {:?}", twice.len(), twice.first());
    println!("{} acknowledged, {} stored, {others} other answers", acknowledged.len(), stored.len());
}
