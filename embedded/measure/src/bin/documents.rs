//! Prints what the agent sends on this processor, a line each, for comparison with what it sends on the host.

#![no_std]
#![no_main]

#[path = "../device.rs"]
mod device;
#[path = "../exit.rs"]
mod exit;

use cortex_m_rt::entry;
use cortex_m_semihosting::hio;
use exit::exit;

#[entry]
fn main() -> ! {
    let Ok(mut output) = hio::hstdout() else { exit(false) };
    let mut whole = true;
    device::run(
        |body| whole &= output.write_all(body).and_then(|()| output.write_all(b"\n")).is_ok(),
        |agent, now, device, server| agent.poll(now, device, server),
    );
    exit(whole)
}
