//! Signals: stop, stop at once, read the configuration again.

use std::{
    io,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

use signal_hook::{
    consts::{SIGHUP, SIGINT, SIGTERM},
    flag, low_level,
};

use crate::waker::Waker;

/// Exit status when the second request to stop ends the program at once.
const IMPATIENT: i32 = 130;

/// What signals have asked for. Cheap to look at; every signal also wakes the main loop.
#[derive(Debug, Clone)]
pub struct Signals {
    stop: Arc<AtomicBool>,
    reload: Arc<AtomicBool>,
}

impl Signals {
    /// Takes over SIGTERM, SIGINT (stop; the second ends the program at once) and SIGHUP (reload).
    ///
    /// # Errors
    ///
    /// When the system refuses a handler.
    pub fn install(waker: &Waker) -> io::Result<Self> {
        let signals = Self { stop: Arc::default(), reload: Arc::default() };
        for signal in [SIGTERM, SIGINT] {
            // In this order: the first signal passes the check and arms it for the second.
            flag::register_conditional_shutdown(signal, IMPATIENT, Arc::clone(&signals.stop))?;
            flag::register(signal, Arc::clone(&signals.stop))?;
            low_level::pipe::register(signal, waker.handle()?)?;
        }
        flag::register(SIGHUP, Arc::clone(&signals.reload))?;
        low_level::pipe::register(SIGHUP, waker.handle()?)?;
        Ok(signals)
    }

    /// Whether the program is to stop.
    pub(super) fn stop(&self) -> bool {
        self.stop.load(Ordering::Relaxed)
    }

    /// Whether the configuration is to be read again; true once per request.
    pub(super) fn take_reload(&self) -> bool {
        self.reload.swap(false, Ordering::Relaxed)
    }

    /// Asks for a stop, as SIGTERM does.
    pub fn request_stop(&self) {
        self.stop.store(true, Ordering::Relaxed);
    }
}
