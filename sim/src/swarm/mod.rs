//! Many devices at a real server: the real agent for each, real sockets, one thread.
//!
//! - `board`: what such a device measures; it drifts, and a few are hot or have too low a voltage
//! - `connection`: a kept connection over plain HTTP
//!
//! A device is a task that sleeps until its agent wants to be polled or its request has ended.

mod board;
mod connection;

use std::{
    io,
    net::SocketAddr,
    task::Poll,
    thread,
    time::{Instant as SystemInstant, SystemTime, UNIX_EPOCH},
};

use heartbeat_core::{
    Agent, Config, Identity, Outcome, Uplink, Verdict, Wake,
    time::{Duration, Instant},
    uplink::Fault,
};
use tokio::{sync::oneshot, time::sleep_until};

use self::{board::Board, connection::Connection};
use crate::random::Random;

/// Devices that beat. Dropping it stops them.
#[derive(Debug)]
pub struct Swarm {
    _stop: oneshot::Sender<()>,
}

impl Swarm {
    /// Starts `devices` devices that beat as `config` says to `http://ADDRESS/heartbeat.php`.
    ///
    /// # Errors
    ///
    /// The system has no thread or no descriptor left.
    pub fn start(devices: u32, config: Config, server: SocketAddr) -> io::Result<Self> {
        let (stop, stopped) = oneshot::channel::<()>();
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let run = move || {
            runtime.block_on(async {
                for number in 0..devices {
                    tokio::spawn(device(number, config, server));
                }
                // Only the drop of the other end ends it.
                let _ = stopped.await;
            });
        };
        thread::Builder::new().name("swarm".to_owned()).spawn(run)?;
        Ok(Self { _stop: stop })
    }
}

/// What an agent asks of its uplink, until its task does it.
#[derive(Debug, Default)]
struct Requests {
    begun: Option<Vec<u8>>,
    outcome: Option<Outcome>,
    cancelled: bool,
}

impl Uplink for Requests {
    fn send(&mut self, body: &[u8], _: Duration) {
        // The agent cancels what takes longer than the timeout.
        self.begun = Some(body.to_vec());
    }

    fn poll(&mut self) -> Poll<Outcome> {
        self.outcome.take().map_or(Poll::Pending, Poll::Ready)
    }

    fn cancel(&mut self) -> Outcome {
        (self.begun, self.outcome) = (None, None);
        self.cancelled = true;
        failed(Fault::Server, true, "no answer in time")
    }
}

fn failed(fault: Fault, may_have_arrived: bool, detail: &str) -> Outcome {
    Outcome::new(Verdict::Failed { fault, may_have_arrived }, detail)
}

/// One device, for ever.
async fn device(number: u32, config: Config, server: SocketAddr) {
    let start = SystemInstant::now();
    let since_epoch = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    let mut random = Random::new(u64::from(number) << 32 ^ u64::from(since_epoch.subsec_nanos()));
    let identity = Identity::new(&board::hardware_id(number)).with_boot_id(random.any());
    let mut agent = Agent::new(identity, config.with_phase(random.phase()));
    let mut board = Board::new(number);
    let mut requests = Requests::default();
    let mut connection = Connection::new(server);
    loop {
        let now = Instant::from_micros(u64::try_from(start.elapsed().as_micros()).unwrap_or(u64::MAX));
        board.advance(now);
        let wake = match agent.poll(now, board.hal(), &mut requests) {
            Wake::At(wake) => start + std::time::Duration::from_micros(wake.as_micros()),
            Wake::Stopped => return,
        };
        if std::mem::take(&mut requests.cancelled) {
            connection.reset();
        }
        if let Some(body) = requests.begun.take() {
            connection.begin(&body);
        }
        tokio::select! {
            () = sleep_until(wake.into()) => {}
            outcome = connection.outcome() => requests.outcome = Some(outcome),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::{collections::HashSet, net::TcpListener};

    use super::*;
    use crate::receiver::{Beat, Event, Receiver};

    const WAIT_MAX: std::time::Duration = std::time::Duration::from_secs(60);

    fn config(interval: Duration) -> Config {
        Config::new(interval, interval).unwrap()
    }

    fn next(receiver: &Receiver) -> Beat {
        match receiver.events().recv_timeout(WAIT_MAX).unwrap() {
            Event::Beat(beat) => beat,
            Event::Refused(refusal) => panic!("{refusal:?}"),
        }
    }

    #[test]
    fn each_device_sends_valid_heartbeats_over_its_own_connection() {
        let receiver = Receiver::listen("127.0.0.1:0").unwrap();
        let _swarm = Swarm::start(20, config(Duration::from_secs(600)), receiver.address()).unwrap();
        let beats: Vec<_> = (0..20).map(|_| next(&receiver)).collect();
        let ids: HashSet<_> = beats.iter().map(|beat| beat.value["hardwareid"].to_string()).collect();
        let connections: HashSet<_> = beats.iter().map(|beat| beat.connection).collect();
        assert_eq!((ids.len(), connections.len()), (20, 20));
    }

    #[test]
    fn a_connection_is_kept_for_the_next_heartbeat() {
        let receiver = Receiver::listen("127.0.0.1:0").unwrap();
        let _swarm = Swarm::start(1, config(Duration::from_millis(500)), receiver.address()).unwrap();
        let mut before = next(&receiver);
        // A machine that stalls costs a connection; one that is never kept is never the same twice.
        loop {
            let beat = next(&receiver);
            assert!(beat.value["seq"].as_u64() > before.value["seq"].as_u64());
            if beat.connection == before.connection {
                break;
            }
            before = beat;
        }
    }

    #[test]
    fn a_server_that_does_not_answer_gets_a_new_connection_for_the_next_heartbeat() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let _swarm =
            Swarm::start(1, config(Duration::from_millis(100)), listener.local_addr().unwrap()).unwrap();
        let (_first, _) = listener.accept().unwrap();
        let (_second, _) = listener.accept().unwrap();
    }
}
