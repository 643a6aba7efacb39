//! Keeps processors busy for a while.

use std::{
    hint::black_box,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

/// How long a single processor is busy and then idle, to be busy for half of the time: far shorter than what is measured.
const HALF_PERIOD: Duration = Duration::from_millis(20);

/// A busy loop, until it is dropped.
#[derive(Debug)]
pub struct BusyLoop(Arc<AtomicBool>);

impl BusyLoop {
    /// Keeps all processors busy.
    pub fn on_all() -> Self {
        Self::start(processors(), None)
    }

    /// Keeps half of the processors busy, of one processor half of its time.
    pub fn on_half() -> Self {
        match processors() {
            1 => Self::start(1, Some(HALF_PERIOD)),
            several => Self::start(several / 2, None),
        }
    }

    fn start(threads: usize, period: Option<Duration>) -> Self {
        let ends = Arc::new(AtomicBool::new(false));
        for _ in 0..threads {
            let ends = Arc::clone(&ends);
            thread::spawn(move || {
                let (mut number, mut since) = (1_u64, Instant::now());
                while !ends.load(Ordering::Relaxed) {
                    number = black_box(number.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1));
                    if let Some(period) = period.filter(|period| since.elapsed() >= *period) {
                        thread::sleep(period);
                        since = Instant::now();
                    }
                }
            });
        }
        Self(ends)
    }
}

/// The processors that this process may use.
pub fn processors() -> usize {
    thread::available_parallelism().map_or(1, usize::from)
}

impl Drop for BusyLoop {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}
