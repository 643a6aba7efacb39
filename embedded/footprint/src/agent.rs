//! The agent with a device of which nothing is known, so that nothing can be left out.

use core::{
    mem::MaybeUninit,
    ptr::{addr_of, addr_of_mut, read_volatile},
    task::Poll,
};

use heartbeat_core::{
    Agent, Config, Hal, Identity, Outcome, Uplink, Wake, for_each_sensor,
    readings::Sampled,
    time::{Duration, Instant},
    units::UnixTime,
};

/// Fills memory with anything, as far as the compiler knows: it cannot see what will be in a static by then.
static mut FILL: fn(*mut u8) = |_| {};
/// The agent's memory: static, as a firmware has it.
static mut AGENT: MaybeUninit<Agent<'static>> = MaybeUninit::uninit();

pub(crate) fn unknown<T>() -> T {
    let mut value = MaybeUninit::<T>::uninit();
    // SAFETY: none; this is never run.
    unsafe {
        read_volatile(addr_of!(FILL))(value.as_mut_ptr().cast());
        value.assume_init()
    }
}

struct Device;

macro_rules! sensors {
    ($($(#[$doc:meta])* $name:ident, $variant:ident, $value:ty, $label:literal;)*) => {
        impl Hal for Device {
            fn unix_time(&mut self) -> Option<UnixTime> {
                unknown()
            }

            $(fn $name(&mut self) -> Sampled<$value> {
                unknown()
            })*
        }
    };
}

for_each_sensor!(sensors);

impl Uplink for Device {
    fn send(&mut self, body: &[u8], timeout: Duration) {
        core::hint::black_box((body, timeout));
    }

    fn poll(&mut self) -> Poll<Outcome> {
        unknown()
    }

    fn cancel(&mut self) -> Outcome {
        unknown()
    }
}

pub(crate) fn run() {
    let config = Config::default().with_phase(unknown());
    let identity = Identity::new(unknown::<&'static str>()).with_boot_id(unknown());
    // SAFETY: the one reference to it.
    let agent = unsafe { (*addr_of_mut!(AGENT)).write(Agent::new(identity, config)) };
    while let Wake::At(when) = agent.poll(unknown::<Instant>(), &mut Device, &mut Device) {
        core::hint::black_box(when);
        if unknown() {
            agent.stop();
        }
    }
    core::hint::black_box(agent.stats());
}
