//! A link between two networks: two TUN devices, between which packets are delayed, lost and counted. Kernels of small
//! machines and of containers have no `netem`.

use std::{
    fmt, io,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
        mpsc,
    },
    thread,
    time::{Duration, Instant},
};

use tun_rs::{DeviceBuilder, SyncDevice};

use super::{
    namespace::Namespace,
    packet::{Direction, Packet},
    rules::{Fate, Rule},
};

/// The longest packet of IP.
const PACKET_MAX: usize = 65_535;

/// What went over a link, the headers of IP and TCP included.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Volume {
    /// Bytes that the device sent.
    pub up: u64,
    /// Bytes that were sent to the device.
    pub down: u64,
    /// Packets of both directions.
    pub packets: u64,
}

impl Volume {
    /// What came after `earlier`.
    #[must_use]
    pub fn since(&self, earlier: &Self) -> Self {
        Self {
            up: self.up.saturating_sub(earlier.up),
            down: self.down.saturating_sub(earlier.down),
            packets: self.packets.saturating_sub(earlier.packets),
        }
    }
}

/// A link. Its threads end with the namespaces.
#[derive(Debug)]
pub struct Wire(Arc<Shared>);

#[derive(Default)]
struct Shared {
    /// One way, in microseconds.
    delay: AtomicU64,
    rules: Mutex<Vec<Rule>>,
    up: AtomicU64,
    down: AtomicU64,
    packets: AtomicU64,
}

impl fmt::Debug for Shared {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Shared").finish_non_exhaustive()
    }
}

impl Wire {
    /// Connects two namespaces. In each the device is called `wire0`, without an address.
    ///
    /// # Errors
    ///
    /// When this kernel has no TUN devices.
    pub fn between(device: &Namespace, server: &Namespace) -> io::Result<Self> {
        let shared = Arc::new(Shared::default());
        let open = || DeviceBuilder::new().name("wire0").build_sync();
        let (device, server) = (Arc::new(device.inside(open)?), Arc::new(server.inside(open)?));
        pass_on(&shared, Direction::Up, Arc::clone(&device), Arc::clone(&server))?;
        pass_on(&shared, Direction::Down, server, device)?;
        Ok(Self(shared))
    }

    /// Half of this is the delay of each direction from now on.
    pub fn set_round_trip(&self, round_trip: Duration) {
        let micros = u64::try_from(round_trip.as_micros() / 2).unwrap_or(u64::MAX);
        self.0.delay.store(micros, Ordering::Relaxed);
    }

    /// What becomes of packets from now on. The first rule that does not let one pass decides.
    pub fn set_rules(&self, rules: Vec<Rule>) {
        *self.0.rules.lock().unwrap_or_else(PoisonError::into_inner) = rules;
    }

    /// What was sent so far; what was lost counts, because it is paid for.
    pub fn volume(&self) -> Volume {
        let of = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        Volume { up: of(&self.0.up), down: of(&self.0.down), packets: of(&self.0.packets) }
    }
}

impl Shared {
    fn decide(&self, packet: &Packet<'_>) -> Fate {
        let length = packet.bytes.len() as u64;
        match packet.direction {
            Direction::Up => self.up.fetch_add(length, Ordering::Relaxed),
            Direction::Down => self.down.fetch_add(length, Ordering::Relaxed),
        };
        self.packets.fetch_add(1, Ordering::Relaxed);
        let mut rules = self.rules.lock().unwrap_or_else(PoisonError::into_inner);
        rules.iter_mut().map(|rule| rule(packet)).find(|fate| *fate != Fate::Passes).unwrap_or(Fate::Passes)
    }
}

/// Passes packets on in one direction, each after the delay of that time, in order.
fn pass_on(
    shared: &Arc<Shared>,
    direction: Direction,
    from: Arc<SyncDevice>,
    to: Arc<SyncDevice>,
) -> io::Result<()> {
    let (sender, due) = mpsc::channel::<(Instant, Vec<u8>)>();
    let shared = Arc::clone(shared);
    thread::Builder::new().name("wire in".to_owned()).spawn(move || {
        let mut buffer = vec![0; PACKET_MAX];
        while let Ok(length) = from.recv(&mut buffer) {
            let Some(bytes) = buffer.get(..length) else { return };
            let packet = Packet { direction, bytes };
            match shared.decide(&packet) {
                Fate::Passes => {
                    let delay = Duration::from_micros(shared.delay.load(Ordering::Relaxed));
                    if sender.send((Instant::now() + delay, bytes.to_vec())).is_err() {
                        return;
                    }
                }
                Fate::Lost => {}
                Fate::Reset => {
                    // A packet that cannot be sent is a lost one.
                    packet.reset().into_iter().for_each(|reset| drop(from.send(&reset)));
                }
            }
        }
    })?;
    thread::Builder::new().name("wire out".to_owned()).spawn(move || {
        for (when, packet) in due {
            thread::sleep(when.saturating_duration_since(Instant::now()));
            // The device may be down.
            let _ = to.send(&packet);
        }
    })?;
    Ok(())
}
