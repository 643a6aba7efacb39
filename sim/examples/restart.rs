//! A restart of the server with many real agents connected: `cargo run --release -p heartbeat-sim --example restart`.
//!
//! Starts the release build of heartbeat-server and `--devices` agents of the swarm, waits until all of them are
//! acknowledged, kills the server, starts it again after `--away` seconds, and says when how many were back.

#![allow(clippy::expect_used, reason = "a tool for developers: it may say what it expects")]

use std::{
    fs,
    io::{BufRead, BufReader, Read, Write},
    net::{SocketAddr, TcpStream},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use clap::Parser;
use heartbeat_core::Config;
use heartbeat_sim::swarm::Swarm;
use nix::sys::resource::{Resource, getrlimit, setrlimit};

/// A restart of the server with many agents connected.
#[derive(Debug, Parser)]
struct Arguments {
    /// Agents, each with a connection
    #[arg(long, default_value_t = 10_000)]
    devices: u32,
    /// Seconds for which the server is away
    #[arg(long, default_value_t = 1.0)]
    away: f64,
    /// Program of the server [default: the one beside this program]
    #[arg(long)]
    server: Option<PathBuf>,
}

struct Server(Child);

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn start(program: &Path, directory: &Path, listen: &str) -> (Server, SocketAddr) {
    let config = directory.join("config.toml");
    fs::write(&config, format!("listen = \"{listen}\"\nstate = {:?}\n", directory.join("state")))
        .expect("a file");
    let child = Command::new(program).arg("--config").arg(&config).stdout(Stdio::piped()).spawn();
    let mut child =
        child.expect("heartbeat-server; build it first: cargo build --release -p heartbeat-server");
    let mut line = String::new();
    BufReader::new(child.stdout.take().expect("a pipe")).read_line(&mut line).expect("its address");
    let address = line.trim().trim_end_matches('/').rsplit('/').next().and_then(|text| text.parse().ok());
    (Server(child), address.expect("its address"))
}

/// The number of devices, and the time at which the one was heard that has been silent for longest.
fn longest_silent(server: SocketAddr) -> Option<(u64, String)> {
    let mut stream = TcpStream::connect(server).ok()?;
    write!(stream, "GET /api/v1/devices?sort=seen HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
        .ok()?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).ok()?;
    let list: serde_json::Value = serde_json::from_str(answer.split_once("\r\n\r\n")?.1).ok()?;
    Some((list.get("total")?.as_u64()?, list.pointer("/devices/0/seen_at")?.as_str()?.to_owned()))
}

/// Now, as the API says times: to the second.
fn now() -> String {
    jiff::Timestamp::now().strftime("%FT%TZ").to_string()
}

/// Waits until each device has been heard after `since`.
fn all_heard(server: SocketAddr, devices: u32, since: &str) -> Duration {
    let began = Instant::now();
    loop {
        let silent = longest_silent(server);
        if silent.as_ref().is_some_and(|(total, seen)| *total == u64::from(devices) && **seen > *since) {
            return began.elapsed();
        }
        assert!(began.elapsed() < Duration::from_secs(600), "not all devices came: {silent:?}");
        thread::sleep(Duration::from_millis(100));
    }
}

fn main() {
    let arguments = Arguments::parse();
    if let Ok((_, hard)) = getrlimit(Resource::RLIMIT_NOFILE) {
        let _ = setrlimit(Resource::RLIMIT_NOFILE, hard, hard);
    }
    let beside = std::env::current_exe().expect("a path");
    let beside = beside.ancestors().nth(2).expect("the target directory").join("heartbeat-server");
    let program = arguments.server.unwrap_or(beside);
    let directory = tempfile::tempdir().expect("a temporary directory");
    let (server, address) = start(&program, directory.path(), "127.0.0.1:0");
    let interval = heartbeat_core::time::Duration::from_secs(5);
    let config = Config::new(interval, heartbeat_core::time::Duration::from_secs(2)).expect("a valid rhythm");
    let _swarm = Swarm::start(arguments.devices, config, address).expect("a thread");
    let first = all_heard(address, arguments.devices, "");
    println!("{} agents: all heard {:.1} s after their start", arguments.devices, first.as_secs_f64());
    // Some intervals, so that the beginning is over.
    thread::sleep(Duration::from_secs(15));
    drop(server);
    thread::sleep(Duration::from_secs_f64(arguments.away));
    let since = now();
    let (_server, _) = start(&program, directory.path(), &address.to_string());
    let back = all_heard(address, arguments.devices, &since);
    println!(
        "killed, and started again after {:.1} s: all are back after {:.1} s",
        arguments.away,
        back.as_secs_f64()
    );
}
