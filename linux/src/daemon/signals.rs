//! Signals: stop, stop at once, read the configuration again.

use std::{
    io,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

use signal_hook::{
    consts::{SIGHUP, SIGINT, SIGTERM, SIGUSR1, SIGUSR2, SIGXFSZ},
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
    /// Takes over SIGTERM, SIGINT (stop; the second ends the program at once), SIGHUP (reload), and those that mean
    /// nothing here and would end the program: SIGUSR1, SIGUSR2, and SIGXFSZ, beside which a write to a file that may not
    /// grow fails as any other.
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
        for signal in [SIGUSR1, SIGUSR2, SIGXFSZ] {
            // Not ignored, because helper programs would inherit that.
            flag::register(signal, Arc::default())?;
        }
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

#[cfg(test)]
mod tests {
    use std::{
        env,
        process::{self, Command},
    };

    use super::*;
    use crate::waker;

    #[test]
    fn the_second_request_to_stop_ends_the_program_at_once() {
        const IN_A_PROCESS_OF_ITS_OWN: &str = "HEARTBEAT_TEST_RAISES_SIGNALS";
        if env::var_os(IN_A_PROCESS_OF_ITS_OWN).is_some() {
            let (waker, _wake_ups) = waker::pair().expect("made");
            let signals = Signals::install(&waker).expect("installed");
            for signal in [SIGUSR1, SIGUSR2, SIGHUP] {
                low_level::raise(signal).expect("raised");
            }
            assert!(!signals.stop() && signals.take_reload() && !signals.take_reload());
            low_level::raise(SIGTERM).expect("raised");
            assert!(signals.stop());
            low_level::raise(SIGINT).expect("raised");
            process::exit(0);
        }
        let status = Command::new(env::current_exe().expect("this program"))
            .args(["--exact", "daemon::signals::tests::the_second_request_to_stop_ends_the_program_at_once"])
            .env(IN_A_PROCESS_OF_ITS_OWN, "1")
            .status()
            .expect("it runs");
        assert_eq!(status.code(), Some(IMPATIENT));
    }
}
