//! Keeps all processors busy for a while.

use std::{
    hint::black_box,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread,
};

/// A busy loop on each processor, until it is dropped.
#[derive(Debug)]
pub struct BusyLoop(Arc<AtomicBool>);

impl BusyLoop {
    /// Starts as many threads as there are processors.
    pub fn start() -> Self {
        let ends = Arc::new(AtomicBool::new(false));
        for _ in 0..thread::available_parallelism().map_or(1, usize::from) {
            let ends = Arc::clone(&ends);
            thread::spawn(move || {
                let mut number = 1_u64;
                while !ends.load(Ordering::Relaxed) {
                    number = black_box(number.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1));
                }
            });
        }
        Self(ends)
    }
}

impl Drop for BusyLoop {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}
