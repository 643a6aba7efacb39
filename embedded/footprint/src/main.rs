//! The smallest program around the agent. It is linked for each target and measured, never run: `embedded/sizes`.
//!
//! That it links at all proves that the agent cannot panic: the panic handler calls a function that does not exist,
//! and the linker drops the handler only if nothing reaches it.

#![no_std]
#![no_main]

#[cfg(feature = "agent")]
mod agent;
#[cfg(feature = "drivers")]
mod drivers;

#[panic_handler]
fn panic(_: &core::panic::PanicInfo<'_>) -> ! {
    unsafe extern "C" {
        safe fn a_path_to_a_panic_was_linked() -> !;
    }
    a_path_to_a_panic_was_linked()
}

/// Where the linker starts to look for what is needed.
#[unsafe(no_mangle)]
extern "C" fn _start() -> ! {
    #[cfg(feature = "agent")]
    agent::run();
    #[cfg(feature = "drivers")]
    drivers::run();
    loop {
        core::hint::spin_loop();
    }
}
