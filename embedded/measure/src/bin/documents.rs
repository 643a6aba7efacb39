//! Prints what the agent sends on this processor, a line each, for comparison with what it sends on the host.

#![no_std]
#![no_main]

#[path = "../device.rs"]
mod device;

use cortex_m_rt::entry;
use cortex_m_semihosting::{
    debug::{self, EXIT_FAILURE, EXIT_SUCCESS},
    hio,
};

#[entry]
fn main() -> ! {
    let Ok(mut output) = hio::hstdout() else { exit(EXIT_FAILURE) };
    let mut whole = true;
    device::run(
        |body| whole &= output.write_all(body).and_then(|()| output.write_all(b"\n")).is_ok(),
        |agent, now, device, server| agent.poll(now, device, server),
    );
    exit(if whole { EXIT_SUCCESS } else { EXIT_FAILURE })
}

fn exit(status: debug::ExitStatus) -> ! {
    debug::exit(status);
    loop {
        cortex_m::asm::wfi();
    }
}

#[panic_handler]
fn panic(_: &core::panic::PanicInfo<'_>) -> ! {
    exit(EXIT_FAILURE)
}
