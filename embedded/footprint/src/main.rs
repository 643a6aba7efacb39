//! The smallest program around the agent. It is linked for each target and measured, never run: `embedded/sizes`.
//!
//! That it links without the agent proves that the drivers cannot panic: the panic handler calls a function that does not
//! exist, and the linker drops the handler only if nothing reaches it. With the agent one function of `serde-json-core`
//! reaches it; `embedded/panics` sees to it that it is the only one.

#![no_std]
#![no_main]

#[cfg(feature = "agent")]
mod agent;
#[cfg(feature = "drivers")]
mod drivers;

#[panic_handler]
fn panic(_: &core::panic::PanicInfo<'_>) -> ! {
    #[cfg(not(feature = "agent"))]
    {
        unsafe extern "C" {
            safe fn a_path_to_a_panic_was_linked() -> !;
        }
        a_path_to_a_panic_was_linked()
    }
    #[cfg(feature = "agent")]
    loop {
        core::hint::spin_loop();
    }
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
