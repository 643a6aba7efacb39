//! A network namespace with name servers of its own.

use std::{
    ffi::OsStr,
    fs::{self, File},
    io,
    path::{Path, PathBuf},
    process::Command,
    sync::atomic::{AtomicU32, Ordering},
    thread,
};

use nix::sched::{CloneFlags, setns};

/// A network namespace; gone when dropped.
#[derive(Debug)]
pub struct Namespace {
    name: String,
}

/// Runs a program that must succeed.
fn run<A: AsRef<OsStr>>(program: &str, args: &[A]) -> io::Result<()> {
    let output = Command::new(program).args(args).output()?;
    if output.status.success() {
        return Ok(());
    }
    let args: Vec<_> = args.iter().map(|arg| arg.as_ref().to_string_lossy()).collect();
    let said = String::from_utf8_lossy(&output.stderr);
    Err(io::Error::other(format!("{program} {}: {}", args.join(" "), said.trim())))
}

impl Namespace {
    /// An empty one, without even loopback. Names are looked up in the DNS only, at 127.0.0.1.
    ///
    /// # Errors
    ///
    /// When this user may not make one, or when iproute2 is not installed.
    pub fn new() -> io::Result<Self> {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let name = format!("heartbeat-{}-{}", std::process::id(), COUNT.fetch_add(1, Ordering::SeqCst));
        run("ip", &["netns", "add", &name])?;
        let namespace = Self { name };
        fs::create_dir_all(namespace.etc())?;
        namespace.file("nsswitch.conf", "hosts: dns\n")?;
        namespace.file("resolv.conf", "nameserver 127.0.0.1\n")?;
        Ok(namespace)
    }

    /// One with loopback.
    ///
    /// # Errors
    ///
    /// See [`Namespace::new`].
    pub fn with_loopback() -> io::Result<Self> {
        let namespace = Self::new()?;
        namespace.ip(&["link", "set", "lo", "up"])?;
        Ok(namespace)
    }

    /// Its name, for `ip netns`.
    pub fn name(&self) -> &str {
        &self.name
    }

    fn etc(&self) -> PathBuf {
        Path::new("/etc/netns").join(&self.name)
    }

    /// Writes a file that stands in `/etc` for the programs inside, in place, as DHCP clients do.
    ///
    /// # Errors
    ///
    /// When it cannot be written.
    pub fn file(&self, name: &str, content: impl AsRef<[u8]>) -> io::Result<()> {
        fs::write(self.etc().join(name), content)
    }

    /// `ip` inside.
    ///
    /// # Errors
    ///
    /// What it complains about.
    pub fn ip(&self, args: &[&str]) -> io::Result<()> {
        run("ip", &[&["-n", &self.name], args].concat())
    }

    /// Treats packets that fit this rule of nftables on their way in so: `drop`, `reject with tcp reset`.
    ///
    /// # Errors
    ///
    /// What nftables complain about.
    pub fn filter(&self, rule: &str, verdict: &str) -> io::Result<()> {
        self.nft(&format!(
            "add table inet t; add chain inet t c {{ type filter hook input priority 0; }}; \
             add rule inet t c {rule} {verdict}"
        ))
    }

    /// Drops packets that fit this rule on their way in.
    ///
    /// # Errors
    ///
    /// See [`Namespace::filter`].
    pub fn drop_packets(&self, rule: &str) -> io::Result<()> {
        self.filter(rule, "drop")
    }

    /// Ends all filters.
    ///
    /// # Errors
    ///
    /// See [`Namespace::filter`].
    pub fn pass_all(&self) -> io::Result<()> {
        self.nft("flush ruleset")
    }

    fn nft(&self, rules: &str) -> io::Result<()> {
        run("ip", &["netns", "exec", &self.name, "nft", rules])
    }

    /// Does something inside, such as opening a socket, on a thread of its own.
    ///
    /// # Errors
    ///
    /// When the namespace cannot be entered, and what `act` returns.
    pub fn inside<T: Send + 'static>(
        &self,
        act: impl FnOnce() -> io::Result<T> + Send + 'static,
    ) -> io::Result<T> {
        let file = File::open(Path::new("/run/netns").join(&self.name))?;
        let entered = thread::spawn(move || {
            setns(file, CloneFlags::CLONE_NEWNET)?;
            act()
        });
        entered.join().unwrap_or_else(|_| Err(io::Error::other("a panic in a network namespace")))
    }

    /// `inner`, run inside.
    pub fn exec(&self, inner: &Command) -> Command {
        let mut outer = Command::new("ip");
        outer.args(["netns", "exec", &self.name]).arg(inner.get_program()).args(inner.get_args());
        for (name, value) in inner.get_envs() {
            match value {
                Some(value) => outer.env(name, value),
                None => outer.env_remove(name),
            };
        }
        outer
    }
}

impl Drop for Namespace {
    fn drop(&mut self) {
        let _ = Command::new("ip").args(["netns", "del", &self.name]).status();
        let _ = fs::remove_dir_all(self.etc());
    }
}
