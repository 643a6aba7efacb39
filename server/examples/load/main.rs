//! Load for a server: many devices over real connections, each with its own kept connection, as the agent has it.
//!
//! `cargo run --release -p heartbeat-server --example load -- --devices 10000 --interval 5 --tls` starts a server of its
//! own in a temporary directory, on one core where there are two, the devices on the other, and says what both took. It
//! measures from when every device has been acknowledged once and another interval has passed, so that the handshakes
//! of the beginning are not in it. `--target` measures another server instead. `--table`, `--page` and `--retention` make
//! the tables of `doc/server.md`.

#![allow(
    clippy::expect_used,
    clippy::unwrap_used,
    reason = "a tool for developers: it may say what it expects"
)]

#[path = "../../tests/common/postgres.rs"]
mod cluster;
mod device;
mod page;
mod retention;
mod server;

use std::{
    net::SocketAddr,
    sync::{Arc, PoisonError, atomic::Ordering},
    time::{Duration, Instant},
};

use clap::Parser;
use device::{Load, device, viewer};
use nix::sys::resource::{Resource, getrlimit, setrlimit};
use server::{Server, usage};

/// Load for a heartbeat server.
#[derive(Debug, Parser)]
struct Arguments {
    /// Devices, each with a connection
    #[arg(long, default_value_t = 1000)]
    devices: u64,
    /// Seconds between two heartbeats of a device; 0: as fast as they are answered
    #[arg(long, default_value_t = 5.0)]
    interval: f64,
    /// Seconds that are measured
    #[arg(long, default_value_t = 30.0)]
    seconds: f64,
    /// Over TLS
    #[arg(long)]
    tls: bool,
    /// Lines for the configuration of the server
    #[arg(long, default_value = "")]
    config: String,
    /// Browsers that watch the fleet
    #[arg(long, default_value_t = 0)]
    viewers: u64,
    /// Measure this server instead: ADDRESS:PORT
    #[arg(long)]
    target: Option<SocketAddr>,
    /// Its processes, for the processor time
    #[arg(long, requires = "target")]
    pid: Vec<u32>,
    /// Path of the heartbeats
    #[arg(long, default_value = "/heartbeat.php")]
    path: String,
    /// Measure what the document has a table of, and print that
    #[arg(long, conflicts_with_all = ["target", "devices", "interval", "tls", "viewers"])]
    table: bool,
    /// Announce the devices, then time pages of their list
    #[arg(long, conflicts_with_all = ["target", "table", "tls", "viewers"])]
    page: bool,
    /// Fill a database with old rows, then measure heartbeats before these are deleted and meanwhile
    #[arg(long, conflicts_with_all = ["target", "table", "page", "tls", "viewers", "seconds"])]
    retention: bool,
    /// Devices in that database; `--devices` of them send heartbeats
    #[arg(long, default_value_t = 100_000, requires = "retention")]
    stored: u64,
    /// Old heartbeats of each of them
    #[arg(long, default_value_t = 60, requires = "retention")]
    old_beats: u64,
    /// On PostgreSQL, which is started for it, instead of SQLite
    #[arg(long, requires = "retention")]
    postgres: bool,
}

/// What was measured.
struct Measured {
    beats: usize,
    seconds: f64,
    /// Sorted.
    times: Vec<Duration>,
    /// Cores that the server and this program took.
    server_cores: f64,
    load_cores: f64,
    server_kib: u64,
    failed: u64,
    /// Time until every device had been acknowledged.
    until_ready: Duration,
}

impl Measured {
    /// The time within which `percent` of the heartbeats were acknowledged, milliseconds.
    fn percentile(&self, percent: usize) -> f64 {
        let time = self.times.get(self.times.len() * percent / 100).copied().unwrap_or_default();
        time.as_secs_f64() * 1000.0
    }

    fn rate(&self) -> f64 {
        self.beats as f64 / self.seconds
    }

    fn microseconds_a_beat(&self) -> f64 {
        self.server_cores * 1e6 / self.rate().max(1.0)
    }
}

fn measure(arguments: &Arguments) -> Measured {
    let server = arguments.target.is_none().then(|| Server::start(&arguments.config, arguments.tls));
    let pids = server.as_ref().map_or(arguments.pid.clone(), |server| vec![server.pid()]);
    let all = |pids: &[u32]| {
        pids.iter().map(|pid| usage(*pid)).fold((0.0, 0), |sum, one| (sum.0 + one.0, sum.1 + one.1))
    };
    let load = Arc::new(Load::new(
        arguments.target.or(server.as_ref().map(|server| server.address)).expect("an address"),
        server.as_ref().and_then(|server| server.connector.clone()),
        (arguments.interval > 0.0).then(|| Duration::from_secs_f64(arguments.interval)),
        arguments.path.clone(),
    ));
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    let began = Instant::now();
    let measured = runtime.block_on(async {
        for id in 0..arguments.devices {
            tokio::spawn(device(Arc::clone(&load), id, arguments.devices));
            // At most 2,500 connections a second, which both sides' handshakes fit into.
            if id % 50 == 49 {
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        }
        for _ in 0..arguments.viewers {
            tokio::spawn(viewer(Arc::clone(&load)));
        }
        while load.ready.load(Ordering::Relaxed) < arguments.devices {
            assert!(
                began.elapsed() < Duration::from_secs(300),
                "only {} of {} devices were acknowledged; {} connections were made",
                load.ready.load(Ordering::Relaxed),
                arguments.devices,
                load.connected.load(Ordering::Relaxed)
            );
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        let until_ready = began.elapsed();
        tokio::time::sleep(Duration::from_secs_f64(arguments.interval.max(1.0))).await;
        let before = (Instant::now(), all(&pids), usage(std::process::id()));
        load.measuring.store(true, Ordering::Relaxed);
        tokio::time::sleep(Duration::from_secs_f64(arguments.seconds)).await;
        load.measuring.store(false, Ordering::Relaxed);
        let seconds = before.0.elapsed().as_secs_f64();
        let after = (all(&pids), usage(std::process::id()));
        let mut times = std::mem::take(&mut *load.times.lock().unwrap_or_else(PoisonError::into_inner));
        times.sort_unstable();
        Measured {
            beats: times.len(),
            seconds,
            times,
            server_cores: (after.0.0 - before.1.0) / seconds,
            load_cores: (after.1.0 - before.2.0) / seconds,
            server_kib: after.0.1,
            failed: load.failed.load(Ordering::Relaxed),
            until_ready,
        }
    });
    if let (Some(server), false) = (&server, arguments.table) {
        let (database, log) = server.stored_bytes();
        println!("database {:.1} MB, its log {:.1} MB", database as f64 / 1e6, log as f64 / 1e6);
    }
    measured
}

/// The rows of the table in `doc/server.md`.
fn table(seconds: f64, config: &str) {
    println!(
        "| devices | interval | over | beats/s | p50, p99 ms | cores of the server | us a beat | RSS MB |"
    );
    println!("|---|---|---|---|---|---|---|---|");
    let rows = [
        (1_000, 0.0, false),
        (10_000, 0.0, false),
        (1_000, 5.0, true),
        (10_000, 5.0, false),
        (10_000, 5.0, true),
    ];
    for (devices, interval, tls) in rows {
        let arguments = Arguments {
            devices,
            interval,
            seconds,
            tls,
            config: config.to_owned(),
            viewers: 0,
            target: None,
            pid: Vec::new(),
            path: "/heartbeat.php".to_owned(),
            table: true,
            page: false,
            retention: false,
            stored: 0,
            old_beats: 0,
            postgres: false,
        };
        let measured = measure(&arguments);
        assert_eq!(measured.failed, 0, "heartbeats or connections failed");
        println!(
            "| {devices} | {} | {} | {:.0} | {:.1}, {:.1} | {:.2} | {:.0} | {:.0} |",
            if interval > 0.0 { format!("{interval} s") } else { "none".to_owned() },
            if tls { "TLS" } else { "TCP" },
            measured.rate(),
            measured.percentile(50),
            measured.percentile(99),
            measured.server_cores,
            measured.microseconds_a_beat(),
            measured.server_kib as f64 / 1024.0,
        );
    }
}

fn main() {
    let arguments = Arguments::parse();
    if let Ok((_, hard)) = getrlimit(Resource::RLIMIT_NOFILE) {
        let _ = setrlimit(Resource::RLIMIT_NOFILE, hard, hard);
    }
    // The devices on the other core, so that they do not take the server's.
    let mut cores = nix::sched::CpuSet::new();
    if std::thread::available_parallelism().is_ok_and(|cores| cores.get() > 1) && cores.set(1).is_ok() {
        let _ = nix::sched::sched_setaffinity(nix::unistd::Pid::from_raw(0), &cores);
    }
    if arguments.table {
        return table(arguments.seconds, &arguments.config);
    }
    if arguments.page {
        return page::time_pages(arguments.devices, &arguments.config);
    }
    if arguments.retention {
        return retention::measure(&retention::Plan {
            stored: arguments.stored.max(arguments.devices),
            beating: arguments.devices,
            interval: Duration::from_secs_f64(arguments.interval),
            old_beats: arguments.old_beats,
            postgres: arguments.postgres,
            config: &arguments.config,
        });
    }
    let measured = measure(&arguments);
    println!(
        "{} devices, {:.0} beats/s, p50 {:.1} ms, p99 {:.1} ms, {:.2} of a core, {:.0} us a beat, {:.0} MB, {} failed; \
         all were ready after {:.1} s, the load took {:.2} of a core",
        arguments.devices,
        measured.rate(),
        measured.percentile(50),
        measured.percentile(99),
        measured.server_cores,
        measured.microseconds_a_beat(),
        measured.server_kib as f64 / 1024.0,
        measured.failed,
        measured.until_ready.as_secs_f64(),
        measured.load_cores,
    );
}
