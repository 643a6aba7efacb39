//! The server under load: a process of its own, in a temporary directory, on the first core where there are two.

use std::{
    fs,
    io::{BufRead, BufReader},
    net::SocketAddr,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    sync::Arc,
};

use rustls::{ClientConfig, RootCertStore};
use tokio_rustls::TlsConnector;

/// A server that this program has started. Dropping it kills it.
pub(crate) struct Server {
    directory: tempfile::TempDir,
    program: PathBuf,
    child: Child,
    pub(crate) address: SocketAddr,
    pub(crate) connector: Option<TlsConnector>,
}

impl Server {
    /// Starts the release build, or the program that `HEARTBEAT_TEST_PROGRAM` names, with these lines in its configuration.
    pub(crate) fn start(config: &str, tls: bool) -> Self {
        let directory = tempfile::tempdir().expect("a temporary directory");
        let file = |name: &str| directory.path().join(name);
        let mut config = format!("listen = \"127.0.0.1:0\"\nstate = {:?}\n{config}\n", file("state"));
        let mut connector = None;
        if tls {
            // ECDSA with P-256, which is what an authority issues by default.
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
        let program = std::env::var_os("HEARTBEAT_TEST_PROGRAM").map_or_else(beside, PathBuf::from);
        let (child, address) = spawn(&program, &file("config.toml"));
        Self { address, directory, program, child, connector }
    }

    /// Ends it as the system does: what it has taken is committed.
    pub(crate) fn stop(&mut self) {
        let pid = nix::unistd::Pid::from_raw(i32::try_from(self.child.id()).expect("a process id"));
        nix::sys::signal::kill(pid, nix::sys::signal::Signal::SIGTERM).expect("it runs");
        self.child.wait().expect("it ends");
    }

    /// Starts it again after [`Server::stop`], at another address.
    pub(crate) fn restart(&mut self) {
        (self.child, self.address) = spawn(&self.program, &self.directory.path().join("config.toml"));
    }

    /// The file of SQLite.
    pub(crate) fn database(&self) -> PathBuf {
        self.directory.path().join("state/heartbeat.db")
    }

    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Bytes of the database and of its log.
    pub(crate) fn stored_bytes(&self) -> (u64, u64) {
        let size = |name: &str| {
            fs::metadata(self.directory.path().join("state").join(name)).map_or(0, |file| file.len())
        };
        (size("heartbeat.db"), size("heartbeat.db-wal"))
    }
}

/// The release build.
fn beside() -> PathBuf {
    let this = std::env::current_exe().expect("a path");
    this.ancestors().nth(2).expect("the target directory").join("heartbeat-server")
}

/// Starts the program, and waits for its address.
fn spawn(program: &Path, config: &Path) -> (Child, SocketAddr) {
    let mut child = Command::new("taskset")
        .args(["-c", "0"])
        .arg(program)
        .arg("--config")
        .arg(config)
        .stdout(Stdio::piped())
        .spawn()
        .expect("taskset and heartbeat-server; build it first: cargo build --release -p heartbeat-server");
    let mut line = String::new();
    BufReader::new(child.stdout.take().expect("a pipe")).read_line(&mut line).expect("its address");
    let address = line.trim().trim_end_matches('/').rsplit('/').next().and_then(|text| text.parse().ok());
    (child, address.expect("its address"))
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Processor time of a process in seconds, and its memory in KiB.
pub(crate) fn usage(pid: u32) -> (f64, u64) {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    let fields: Vec<_> = stat.rsplit(')').next().unwrap_or_default().split_whitespace().collect();
    let ticks: u64 = [11, 12].iter().filter_map(|n| fields.get(*n)?.parse::<u64>().ok()).sum();
    let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let memory = line.and_then(|line| line.split_whitespace().next()?.parse::<u64>().ok()).unwrap_or(0);
    // USER_HZ is 100 on every Linux that this runs on.
    (ticks as f64 / 100.0, memory)
}
