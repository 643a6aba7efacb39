//! The heartbeat agent on a board with a Cortex-M3 (Arm MPS2 with the AN385 image, as QEMU emulates it): the unchanged core,
//! a sensor on I2C, a serial line to the server, no heap.
//!
//! Each heartbeat is one line, `NUMBER DOCUMENT`. The answer is a line, `NUMBER STATUS` or `NUMBER STATUS RETRY-AFTER`; the
//! line `stop` stops the firmware.

#![no_std]
#![no_main]

mod board;
mod clock;
mod i2c;
mod identity;
mod registers;
mod uart;
mod uplink;

use cortex_m::{Peripherals, asm, singleton};
use cortex_m_rt::{entry, exception};
use cortex_m_semihosting::debug::{self, EXIT_FAILURE, EXIT_SUCCESS};
use defmt_semihosting as _;
use heartbeat_core::{Agent, Config, Identity, Wake};

use crate::{board::Board, uplink::SerialLine};

#[entry]
fn main() -> ! {
    // Both are available at the first and only call.
    let (Some(peripherals), Some(identity)) = (Peripherals::take(), identity::read()) else {
        defmt::error!("no hardware id in flash");
        exit(EXIT_FAILURE);
    };
    clock::start(peripherals.SYST);
    uart::start(peripherals.NVIC);
    defmt::info!("hardware id {}", identity);
    // No boot id, for which there is no random number: heartbeats are not numbered.
    let config = Config::default().with_phase(identity::phase(identity));
    let Some(agent) = singleton!(: Agent<'static> = Agent::new(Identity::new(identity), config)) else {
        exit(EXIT_FAILURE);
    };
    let (mut board, mut line) = (Board::new(), SerialLine::new());
    while let Wake::At(when) = agent.poll(clock::now(), &mut board, &mut line) {
        // The tick of the clock ends the sleep at the latest, and so does a byte of an answer.
        while clock::now() < when && !line.listen() {
            asm::wfi();
        }
        if line.stop_was_asked() {
            agent.stop();
        }
    }
    let stats = agent.stats();
    defmt::info!(
        "stopped: {} attempted, {} delivered, {} failed",
        stats.attempted,
        stats.delivered,
        stats.failed
    );
    exit(EXIT_SUCCESS)
}

/// Ends QEMU, or halts under a debugger.
fn exit(status: debug::ExitStatus) -> ! {
    debug::exit(status);
    loop {
        asm::wfi();
    }
}

/// Handler of all interrupts, because there is no description of this board's interrupts.
#[exception]
unsafe fn DefaultHandler(interrupt: i16) {
    uart::interrupt(interrupt);
}

#[panic_handler]
fn panic(_: &core::panic::PanicInfo<'_>) -> ! {
    // Nothing in this program panics, see `embedded/README.md`; libraries may.
    exit(EXIT_FAILURE)
}
