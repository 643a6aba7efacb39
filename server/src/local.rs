//! A server in a thread of this process, on loopback, for demonstrations.

use std::{
    net::{Ipv4Addr, SocketAddr},
    path::Path,
    sync::mpsc::channel,
    thread::{self, JoinHandle},
};

use tokio::sync::oneshot;

use crate::{cli, config::Config};

/// A running server. Dropping it stops it, after it has answered what it has received.
#[derive(Debug)]
pub struct LocalServer {
    address: SocketAddr,
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl LocalServer {
    /// Starts a server with default settings on a free port of 127.0.0.1, with its database in the directory `state`.
    /// No configuration file is read.
    ///
    /// # Errors
    /// Why it did not start.
    pub fn start(state: &Path) -> Result<Self, String> {
        let config = Config {
            listen: SocketAddr::from((Ipv4Addr::LOCALHOST, 0)),
            state: state.to_owned(),
            ..Config::default()
        };
        let (stop, stopped) = oneshot::channel();
        let (started, starting) = channel();
        let failed = started.clone();
        let run = move || {
            let announce = move |address| {
                // The other end waits, or has gone with the whole process.
                let _ = started.send(Ok(address));
                Ok(())
            };
            let until = || {
                Ok(async {
                    // A sender that was dropped has stopped, too.
                    let _ = stopped.await;
                })
            };
            if let Err(error) = cli::run_until(config, announce, until) {
                let _ = failed.send(Err(error.to_string()));
            }
        };
        let thread = thread::Builder::new().name("server".to_owned()).spawn(run);
        let thread = thread.map_err(|error| error.to_string())?;
        let address = starting.recv().map_err(|_| "the server ended at once".to_owned())??;
        Ok(Self { address, stop: Some(stop), thread: Some(thread) })
    }

    /// Address of the page and of the heartbeats, over plain HTTP.
    pub const fn address(&self) -> SocketAddr {
        self.address
    }
}

impl Drop for LocalServer {
    fn drop(&mut self) {
        drop(self.stop.take());
        if let Some(thread) = self.thread.take() {
            // A panic there has been reported there.
            let _ = thread.join();
        }
    }
}
