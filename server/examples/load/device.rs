//! One device: a kept connection, a heartbeat at each of its slots, and what became of it.

use std::{
    net::SocketAddr,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};

use rustls::pki_types::ServerName;
use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt},
    net::TcpStream,
};
use tokio_rustls::TlsConnector;

/// Longest answer that is read, bytes.
const ANSWER_MAX: usize = 16_384;

/// What all devices share.
pub(crate) struct Load {
    pub(crate) address: SocketAddr,
    pub(crate) connector: Option<TlsConnector>,
    pub(crate) interval: Option<Duration>,
    pub(crate) path: String,
    boot: u64,
    /// Heartbeats are measured that begin while this is set.
    pub(crate) measuring: AtomicBool,
    /// Times from the first byte of a request to the last of its acknowledgement.
    pub(crate) times: Mutex<Vec<Duration>>,
    /// Devices that have been acknowledged once.
    pub(crate) ready: AtomicU64,
    /// Connections that were made.
    pub(crate) connected: AtomicU64,
    /// Connections that were refused or broke off, and answers other than 200, while it was measured.
    pub(crate) failed: AtomicU64,
}

impl Load {
    /// Nothing has been sent yet.
    pub(crate) fn new(
        address: SocketAddr,
        connector: Option<TlsConnector>,
        interval: Option<Duration>,
        path: String,
    ) -> Self {
        Self {
            address,
            connector,
            interval,
            path,
            boot: u64::from(std::process::id()) << 16,
            measuring: AtomicBool::new(false),
            times: Mutex::default(),
            ready: AtomicU64::new(0),
            connected: AtomicU64::new(0),
            failed: AtomicU64::new(0),
        }
    }

    fn count_failure(&self) {
        if self.measuring.load(Ordering::Relaxed) {
            self.failed.fetch_add(1, Ordering::Relaxed);
        }
    }
}

/// What a connection is, plain or over TLS.
pub(crate) trait Stream: AsyncRead + AsyncWrite + Unpin + Send {}
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

/// Beats until the runtime ends. Devices are spread over an interval, as their agents are.
pub(crate) async fn device(load: Arc<Load>, id: u64, devices: u64) {
    let mut stream: Option<Box<dyn Stream>> = None;
    let mut number = 0;
    let share = id as f64 / devices as f64;
    let phase = load.interval.map_or(Duration::ZERO, |interval| interval.mul_f64(share));
    let mut next = tokio::time::Instant::now() + phase;
    let mut ready = false;
    loop {
        let Some(open) = &mut stream else {
            match connect(&load).await {
                Ok(connected) => {
                    load.connected.fetch_add(1, Ordering::Relaxed);
                    stream = Some(connected);
                }
                Err(_) => {
                    load.count_failure();
                    tokio::time::sleep(Duration::from_millis(500)).await;
                }
            }
            continue;
        };
        if let Some(interval) = load.interval {
            let now = tokio::time::Instant::now();
            // Slots that passed while it could not connect are not made up for, as the agent does.
            while next < now {
                next += interval;
            }
            tokio::time::sleep_until(next).await;
        }
        number += 1;
        let request = request(&load, id, number);
        let (began, measured) = (Instant::now(), load.measuring.load(Ordering::Relaxed));
        match exchange(open, &request).await {
            Some(200) => {
                if measured {
                    let took = began.elapsed();
                    load.times.lock().unwrap_or_else(PoisonError::into_inner).push(took);
                }
                if !ready {
                    ready = true;
                    load.ready.fetch_add(1, Ordering::Relaxed);
                }
            }
            answer => {
                load.count_failure();
                if answer.is_none() {
                    stream = None;
                }
                // What is refused is refused again at once.
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
        }
    }
}

/// Status of the answer, when all of it has been read. `None`: the connection is of no more use.
pub(crate) async fn exchange(stream: &mut Box<dyn Stream>, request: &[u8]) -> Option<u16> {
    stream.write_all(request).await.ok()?;
    let mut answer = Vec::with_capacity(512);
    loop {
        match stream.read_buf(&mut answer).await {
            Ok(0) | Err(_) => return None,
            Ok(_) if answer.len() > ANSWER_MAX => return None,
            Ok(_) => {}
        }
        let Some(end) = answer.windows(4).position(|bytes| bytes == b"\r\n\r\n") else { continue };
        let head = String::from_utf8_lossy(answer.get(..end)?);
        let length = head.lines().find_map(|line| {
            let (name, value) = line.split_once(':')?;
            name.eq_ignore_ascii_case("content-length").then(|| value.trim().parse::<usize>().ok())?
        });
        if answer.len() >= end + 4 + length.unwrap_or(0) {
            return head.split(' ').nth(1)?.parse().ok();
        }
    }
}

/// Reads the stream of the fleet's page, as a browser does.
pub(crate) async fn viewer(load: Arc<Load>) {
    let Ok(mut stream) = connect(&load).await else { return };
    let request = b"GET /events?view=fleet HTTP/1.1\r\nHost: localhost\r\n\r\n";
    if stream.write_all(request).await.is_err() {
        return;
    }
    let mut buffer = vec![0; 65_536];
    while stream.read(&mut buffer).await.is_ok_and(|read| read > 0) {}
}

/// A heartbeat of the device `id`.
pub(crate) fn request(load: &Load, id: u64, number: u64) -> Vec<u8> {
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
