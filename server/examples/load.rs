//! Load for a server: many devices over real connections, each with its own kept connection, as the agent has it.
//!
//! `cargo run --release -p heartbeat-server --example load -- --devices 10000 --interval 5 --tls` starts a server of its
//! own in a temporary directory, on one core where there are two, the devices on the other, and says what both took.
//! `--target` measures another server instead.

#![allow(
    clippy::expect_used,
    clippy::unwrap_used,
    reason = "a tool for developers: it may say what it expects"
)]

use std::{
    fs,
    io::{BufRead, BufReader},
    net::SocketAddr,
    process::{Child, Command, Stdio},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};

use clap::Parser;
use rustls::{ClientConfig, RootCertStore, pki_types::ServerName};
use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt},
    net::TcpStream,
    sync::mpsc,
};
use tokio_rustls::TlsConnector;

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
}

/// A server that this program has started.
struct Server {
    directory: tempfile::TempDir,
    child: Child,
    address: SocketAddr,
    connector: Option<TlsConnector>,
}

impl Server {
    fn start(arguments: &Arguments) -> Self {
        let directory = tempfile::tempdir().expect("a temporary directory");
        let file = |name: &str| directory.path().join(name);
        let mut config =
            format!("listen = \"127.0.0.1:0\"\nstate = {:?}\n{}\n", file("state"), arguments.config);
        let mut connector = None;
        if arguments.tls {
            let issued =
                rcgen::generate_simple_self_signed(vec!["localhost".to_owned()]).expect("a certificate");
            fs::write(file("key.pem"), issued.signing_key.serialize_pem()).expect("a file");
            fs::write(file("cert.pem"), issued.cert.pem()).expect("a file");
            config += &format!("[tls]\ncertificate = {:?}\nkey = {:?}\n", file("cert.pem"), file("key.pem"));
            let mut roots = RootCertStore::empty();
            roots.add(issued.cert.der().clone()).expect("a certificate");
            let client =
                ClientConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
                    .with_safe_default_protocol_versions()
                    .expect("versions")
                    .with_root_certificates(roots)
                    .with_no_client_auth();
            connector = Some(TlsConnector::from(Arc::new(client)));
        }
        fs::write(file("config.toml"), config).expect("a file");
        let program = std::env::current_exe().expect("a path");
        let program = program.ancestors().nth(2).expect("the target directory").join("heartbeat-server");
        let mut child = Command::new("taskset")
            .args(["-c", "0"])
            .arg(program)
            .arg("--config")
            .arg(file("config.toml"))
            .stdout(Stdio::piped())
            .spawn()
            .expect(
                "taskset and heartbeat-server; build it first: cargo build --release -p heartbeat-server",
            );
        let mut line = String::new();
        BufReader::new(child.stdout.take().expect("a pipe")).read_line(&mut line).expect("its address");
        let address = line.trim().trim_end_matches('/').rsplit('/').next().and_then(|text| text.parse().ok());
        Self { address: address.expect("its address"), directory, child, connector }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// What all devices share.
struct Load {
    address: SocketAddr,
    connector: Option<TlsConnector>,
    interval: Option<Duration>,
    path: String,
    boot: u64,
    stop: Instant,
    measured_from: Instant,
    connected: AtomicU64,
    failed: AtomicU64,
}

trait Stream: AsyncRead + AsyncWrite + Unpin + Send {}
impl<T: AsyncRead + AsyncWrite + Unpin + Send> Stream for T {}

async fn connect(load: &Load) -> std::io::Result<Box<dyn Stream>> {
    let stream = TcpStream::connect(load.address).await?;
    stream.set_nodelay(true)?;
    match &load.connector {
        None => Ok(Box::new(stream)),
        Some(connector) => {
            let name = ServerName::try_from("localhost").expect("a name");
            Ok(Box::new(connector.connect(name, stream).await?))
        }
    }
}

async fn device(load: Arc<Load>, id: u64, times: mpsc::UnboundedSender<Duration>) {
    let mut stream = None;
    let mut number = 0;
    // Devices are spread over an interval, as their agents do.
    let phase =
        load.interval.map_or(Duration::ZERO, |interval| interval.mul_f64((id * 7919 % 1000) as f64 / 1000.0));
    let mut next = tokio::time::Instant::now() + phase;
    while Instant::now() < load.stop {
        if stream.is_none() {
            match connect(&load).await {
                Ok(connected) => {
                    load.connected.fetch_add(1, Ordering::Relaxed);
                    stream = Some(connected);
                }
                Err(_) => {
                    load.failed.fetch_add(1, Ordering::Relaxed);
                    tokio::time::sleep(Duration::from_millis(500)).await;
                    continue;
                }
            }
        }
        if let Some(interval) = load.interval {
            tokio::time::sleep_until(next).await;
            next += interval;
        }
        number += 1;
        let request = request(&load, id, number);
        let began = Instant::now();
        let Some(open) = &mut stream else { continue };
        if exchange(open, &request).await {
            if began >= load.measured_from && began < load.stop {
                let _ = times.send(began.elapsed());
            }
        } else {
            load.failed.fetch_add(1, Ordering::Relaxed);
            stream = None;
        }
    }
}

async fn exchange(stream: &mut Box<dyn Stream>, request: &[u8]) -> bool {
    if stream.write_all(request).await.is_err() {
        return false;
    }
    let mut answer = Vec::with_capacity(512);
    loop {
        match stream.read_buf(&mut answer).await {
            Ok(0) | Err(_) => return false,
            Ok(_) if answer.ends_with(b"\r\n\r\n") => return answer.starts_with(b"HTTP/1.1 200"),
            Ok(_) => {}
        }
    }
}

fn request(load: &Load, id: u64, number: u64) -> Vec<u8> {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs_f64();
    let (temp, cpu) = (40 + (id + number) % 30, (id * 31 + number * 7) % 100);
    let body = format!(
        "{{\"hardwareid\":\"10000000{id:08x}\",\"cpu\":{cpu}.5,\"mem\":41.2,\"temp\":{temp}.8,\"power\":3.46,\
         \"fan_rpm\":1200,\"disk\":{{\"percent\":61.0,\"used_gb\":17.6,\"total_gb\":28.9}},\"connection\":{{\
         \"default_interface\":\"wlan0\",\"ethernet\":null,\"wifi\":{{\"interface\":\"wlan0\",\"ip\":\"192.168.1.20\",\
         \"mode\":\"client\",\"ssid\":\"shed\",\"signal_dbm\":-61,\"signal_percent\":78,\"clients\":null}},\"4g\":null,\
         \"gps\":{{\"fix\":\"3d\",\"latitude\":48.1234567,\"longitude\":11.5,\"altitude_m\":520.1,\"speed_mps\":0.0,\
         \"heading\":null,\"satellites\":9}}}},\"timestamp\":{now:.3},\"app_version\":\"2.1\",\"streaming_active\":true,\
         \"tracking_active\":false,\"recording_active\":false,\"recording_file_size_mb\":0,\
         \"recording_file_path\":null,\"uptime_s\":86400,\"diagnostics\":{{\"throttled\":0,\"ups\":null}},\
         \"boot_id\":\"{:016x}\",\"seq\":{number}}}",
        load.boot
    );
    let length = body.len();
    format!(
        "POST {} HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: {length}\r\n\r\n{body}",
        load.path
    )
    .into_bytes()
}

/// Reads the stream of the fleet's page, as a browser does.
async fn viewer(load: Arc<Load>) {
    let Ok(mut stream) = connect(&load).await else { return };
    let request = b"GET /events?view=fleet HTTP/1.1\r\nHost: localhost\r\n\r\n";
    if stream.write_all(request).await.is_err() {
        return;
    }
    let mut buffer = vec![0; 65_536];
    while Instant::now() < load.stop {
        if stream.read(&mut buffer).await.is_ok_and(|read| read == 0) {
            return;
        }
    }
}

/// Processor time of these processes in seconds, and their memory in KiB.
fn usage(pids: &[u32]) -> (f64, u64) {
    let mut ticks = 0;
    let mut memory = 0;
    for pid in pids {
        let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
        let fields: Vec<_> = stat.rsplit(')').next().unwrap_or_default().split_whitespace().collect();
        ticks += [11, 12].iter().filter_map(|n| fields.get(*n)?.parse::<u64>().ok()).sum::<u64>();
        let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
        memory += line.and_then(|line| line.split_whitespace().next()?.parse::<u64>().ok()).unwrap_or(0);
    }
    // USER_HZ is 100 on every Linux that this runs on.
    (ticks as f64 / 100.0, memory)
}

fn main() {
    let arguments = Arguments::parse();
    use nix::sys::resource::{Resource, getrlimit, setrlimit};
    if let Ok((_, hard)) = getrlimit(Resource::RLIMIT_NOFILE) {
        let _ = setrlimit(Resource::RLIMIT_NOFILE, hard, hard);
    }
    let server = arguments.target.is_none().then(|| Server::start(&arguments));
    let pids = server.as_ref().map_or(arguments.pid.clone(), |server| vec![server.child.id()]);
    let address = arguments.target.or(server.as_ref().map(|server| server.address)).expect("an address");
    // The devices on the other core, so that they do not take the server's.
    let mut cores = nix::sched::CpuSet::new();
    if std::thread::available_parallelism().is_ok_and(|cores| cores.get() > 1) && cores.set(1).is_ok() {
        let _ = nix::sched::sched_setaffinity(nix::unistd::Pid::from_raw(0), &cores);
    }
    let ramp = Duration::from_secs_f64(arguments.interval.max(2.0) + arguments.devices as f64 / 3000.0);
    let measured_from = Instant::now() + ramp;
    let seconds = Duration::from_secs_f64(arguments.seconds);
    let load = Arc::new(Load {
        address,
        connector: server.as_ref().and_then(|server| server.connector.clone()),
        interval: (arguments.interval > 0.0).then(|| Duration::from_secs_f64(arguments.interval)),
        path: arguments.path.clone(),
        boot: u64::from(std::process::id()) << 16,
        stop: measured_from + seconds,
        measured_from,
        connected: AtomicU64::new(0),
        failed: AtomicU64::new(0),
    });
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    let (times, mut measured) = mpsc::unbounded_channel();
    let mut taken = Vec::new();
    let before = runtime.block_on(async {
        for id in 0..arguments.devices {
            tokio::spawn(device(Arc::clone(&load), id, times.clone()));
            if id % 50 == 49 {
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        }
        for _ in 0..arguments.viewers {
            tokio::spawn(viewer(Arc::clone(&load)));
        }
        drop(times);
        tokio::time::sleep_until(measured_from.into()).await;
        let before = usage(&pids);
        tokio::time::sleep_until(load.stop.into()).await;
        let after = usage(&pids);
        while let Ok(Some(time)) = tokio::time::timeout(Duration::from_secs(1), measured.recv()).await {
            taken.push(time);
        }
        (after.0 - before.0, after.1)
    });
    taken.sort_unstable();
    let share = |share: f64| taken.get((taken.len() as f64 * share) as usize).copied().unwrap_or_default();
    let milliseconds = |time: Duration| time.as_secs_f64() * 1000.0;
    println!(
        "{} devices, {:.0} beats/s, p50 {:.1} ms, p99 {:.1} ms, {:.2} of a core, {:.0} us a beat, {:.0} MB, {} failed, {} connections made",
        arguments.devices,
        taken.len() as f64 / arguments.seconds,
        milliseconds(share(0.5)),
        milliseconds(share(0.99)),
        before.0 / arguments.seconds,
        before.0 * 1e6 / taken.len().max(1) as f64,
        before.1 as f64 / 1024.0,
        load.failed.load(Ordering::Relaxed),
        load.connected.load(Ordering::Relaxed),
    );
    if let Some(server) = &server {
        let size = |name: &str| {
            fs::metadata(server.directory.path().join("state").join(name)).map_or(0, |file| file.len())
        };
        println!(
            "database {:.1} MB, its log {:.1} MB",
            size("heartbeat.db") as f64 / 1e6,
            size("heartbeat.db-wal") as f64 / 1e6
        );
    }
}
