//! Time since the start, from the processor's own timer.

use core::cell::Cell;

use cortex_m::peripheral::{SYST, syst::SystClkSource};
use cortex_m_rt::exception;
use critical_section::Mutex;
use heartbeat_core::time::{Duration, Instant};

/// Processor cycles per second (Arm AN385, section 3.8).
const FREQUENCY: u32 = 25_000_000;
const TICKS_PER_SECOND: u32 = 1_000;

/// Milliseconds. 64 bits, because 32 would be over after 49 days.
static TICKS: Mutex<Cell<u64>> = Mutex::new(Cell::new(0));

defmt::timestamp!("{=u64:ms}", ticks());

/// Starts the timer.
pub(crate) fn start(mut timer: SYST) {
    timer.set_clock_source(SystClkSource::Core);
    timer.set_reload(FREQUENCY / TICKS_PER_SECOND - 1);
    timer.clear_current();
    timer.enable_counter();
    timer.enable_interrupt();
}

fn ticks() -> u64 {
    critical_section::with(|section| TICKS.borrow(section).get())
}

/// The time, in steps of a millisecond.
pub(crate) fn now() -> Instant {
    Instant::ZERO + Duration::from_micros(ticks().saturating_mul(1_000))
}

/// Whole seconds since the start.
pub(crate) fn uptime() -> u64 {
    ticks() / u64::from(TICKS_PER_SECOND)
}

#[exception]
fn SysTick() {
    critical_section::with(|section| {
        let ticks = TICKS.borrow(section);
        ticks.set(ticks.get().wrapping_add(1));
    });
}
