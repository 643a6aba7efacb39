//! Measures how much stack a poll of the agent takes at most: paints what is free, polls, and looks how far down the paint is
//! gone. Prints bytes.

#![no_std]
#![no_main]

#[path = "../device.rs"]
mod device;
#[path = "../exit.rs"]
mod exit;

use core::ptr::addr_of;

use cortex_m::register::msp;
use cortex_m_rt::entry;
use cortex_m_semihosting::hprintln;
use device::{Device, Server};
use exit::exit;
use heartbeat_core::{Agent, Wake, time::Instant};

const PAINT: u32 = 0x5ca1_ab1e;
/// What the painting itself may use below the stack pointer.
const OWN: u32 = 64;

unsafe extern "C" {
    /// Where the static variables end; from `link.x`.
    static __sheap: u32;
}

/// The lowest address that the stack may reach.
fn bottom() -> u32 {
    addr_of!(__sheap) as u32
}

/// Fills what is free below `top`.
#[inline(never)]
fn paint(top: u32) {
    for address in (bottom()..top - OWN).step_by(4) {
        // SAFETY: between the static variables and the stack nothing lives, and no interrupt is enabled.
        unsafe { (address as *mut u32).write_volatile(PAINT) };
    }
}

/// Bytes below `top` that were used since.
#[inline(never)]
fn used(top: u32) -> u32 {
    let mut address = bottom();
    // SAFETY: as above.
    while address < top && unsafe { (address as *const u32).read_volatile() } == PAINT {
        address += 4;
    }
    top - address
}

/// A function of its own, so that nothing of the poll is in the caller's part of the stack.
#[inline(never)]
fn poll<F: FnMut(&[u8])>(
    agent: &mut Agent<'static>,
    now: Instant,
    device: &mut Device,
    server: &mut Server<F>,
) -> Wake {
    agent.poll(now, device, server)
}

#[entry]
fn main() -> ! {
    let mut most = 0;
    device::run(
        |_| {},
        |agent, now, device, server| {
            let top = msp::read();
            paint(top);
            let wake = poll(agent, now, device, server);
            most = most.max(used(top));
            wake
        },
    );
    hprintln!("{}", most);
    exit(true)
}
