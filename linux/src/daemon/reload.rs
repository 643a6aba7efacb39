//! Reading the configuration again beside the main loop: storage may hang, and heartbeats must not wait for it.

use std::{sync::Arc, task::Poll};

use heartbeat_core::Identity;

use super::{StartError, identity};
use crate::{
    config::Settings,
    side_thread::SideThread,
    sources::sysroot::Sysroot,
    uplink::{Client, Traffic},
    waker::Waker,
};

/// Settings, and what only shows when they are used.
pub(super) struct Loaded {
    pub(super) settings: Settings,
    pub(super) identity: Identity,
    pub(super) client: Client,
}

/// Reads the configuration again when it is asked to, once at a time.
pub(super) struct Reloader<R> {
    load: Load<R>,
    waker: Waker,
    /// Started at the first request.
    thread: Option<SideThread<(), Option<Loaded>>>,
    /// A request has not been taken up.
    is_requested: bool,
    /// That it has to wait has been logged.
    is_late: bool,
}

/// What a reload needs.
#[derive(Clone)]
struct Load<R> {
    read: R,
    root: Arc<Sysroot>,
    traffic: Traffic,
}

/// What a turn of the main loop has to do.
pub(super) enum Step {
    /// Nothing.
    None,
    /// Tell that a reload has begun.
    Begun,
    /// Take over what was read; nothing if it cannot be used, which has been logged.
    Ended(Option<Box<Loaded>>),
}

impl<R: FnMut() -> Option<Settings> + Clone + Send + 'static> Reloader<R> {
    /// `read` reads the configuration; `None` when it cannot be used.
    pub(super) fn new(read: R, root: &Arc<Sysroot>, traffic: &Traffic, waker: &Waker) -> Self {
        let load = Load { read, root: root.clone(), traffic: traffic.clone() };
        Self { load, waker: waker.clone(), thread: None, is_requested: false, is_late: false }
    }

    /// Asks for a reload. One that is under way goes on, and another follows it.
    pub(super) fn request(&mut self) {
        self.is_requested = true;
    }

    /// Begins or ends a reload. To be called at each turn of the main loop; never waits.
    pub(super) fn turn(&mut self) -> Step {
        if let Some(thread) = &mut self.thread
            && thread.is_busy()
        {
            return match thread.take() {
                Poll::Ready(Some(loaded)) => Step::Ended(loaded.map(Box::new)),
                Poll::Ready(None) => {
                    // It has panicked, which its log says. The next reload gets another thread.
                    self.thread = None;
                    Step::Ended(None)
                }
                Poll::Pending => {
                    if self.is_requested && !std::mem::replace(&mut self.is_late, true) {
                        log::warn!("the configuration is still being read: it is read again after that");
                    }
                    Step::None
                }
            };
        }
        if !self.is_requested {
            return Step::None;
        }
        let thread = match self.thread.take() {
            Some(thread) => Ok(thread),
            None => {
                let mut load = self.load.clone();
                SideThread::start("configuration", Some(self.waker.clone()), move |()| load.load())
            }
        };
        match thread {
            Ok(mut thread) => {
                thread.begin(());
                self.thread = Some(thread);
                self.is_requested = false;
                self.is_late = false;
                Step::Begun
            }
            Err(error) => {
                if !std::mem::replace(&mut self.is_late, true) {
                    log::warn!("the configuration is read again later: cannot start a thread: {error}");
                }
                Step::None
            }
        }
    }
}

impl<R: FnMut() -> Option<Settings>> Load<R> {
    fn load(&mut self) -> Option<Loaded> {
        let settings = (self.read)()?;
        match self.try_out(&settings) {
            Ok((identity, client)) => Some(Loaded { settings, identity, client }),
            Err(error) => {
                log::error!("the new configuration cannot be used, the old one stays: {error}");
                None
            }
        }
    }

    /// What can fail although each setting is valid by itself.
    fn try_out(&self, settings: &Settings) -> Result<(Identity, Client), StartError> {
        let identity = identity(settings, &self.root)?;
        Ok((identity, Client::new(settings, &self.traffic)?))
    }
}
