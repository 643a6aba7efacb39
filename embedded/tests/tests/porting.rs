//! The example of the porting guide, on a board that is made up.

#![allow(clippy::expect_used, clippy::panic)]

use std::{cell::RefCell, rc::Rc, task::Poll};

use heartbeat_core::{
    Agent, Config, Hal, Identity, Outcome, SensorError, Uplink, Verdict, Wake,
    drivers::tmp105::{ADDRESS, Tmp105},
    readings::Sampled,
    time::{Duration, Instant},
    units::{Celsius, UnixTime},
    uplink::Fault,
};

include!("porting/example.rs");

/// A clock that advances only when the loop sleeps.
mod clock {
    use super::*;

    thread_local!(static NOW: RefCell<Instant> = const { RefCell::new(Instant::ZERO) });

    pub(crate) fn now() -> Instant {
        NOW.with_borrow(|now| *now)
    }

    pub(crate) fn sleep_until(when: Instant) {
        assert!(when < Instant::ZERO + Duration::from_secs(60), "the end of the test");
        NOW.with_borrow_mut(|now| *now = when.max(*now + Duration::from_millis(1)));
    }
}

/// A bus with a sensor that says 25 °C.
struct I2cBus;

impl embedded_hal::i2c::ErrorType for I2cBus {
    type Error = embedded_hal::i2c::ErrorKind;
}

impl embedded_hal::i2c::I2c for I2cBus {
    fn transaction(
        &mut self,
        _: u8,
        operations: &mut [embedded_hal::i2c::Operation<'_>],
    ) -> Result<(), Self::Error> {
        for operation in operations {
            if let embedded_hal::i2c::Operation::Read(bytes) = operation {
                bytes.copy_from_slice(&[25, 0]);
            }
        }
        Ok(())
    }
}

/// A server that answers every second heartbeat.
struct Socket {
    sent: Rc<RefCell<Vec<String>>>,
}

impl Socket {
    fn queue(&mut self, body: &[u8]) {
        self.sent.borrow_mut().push(String::from_utf8(body.to_vec()).expect("UTF-8"));
    }

    fn status(&mut self) -> Option<u16> {
        self.sent.borrow().len().is_multiple_of(2).then_some(200)
    }

    fn forget(&mut self) {}
}

#[test]
fn guide_shows_this_example_and_it_runs() {
    let guide = include_str!("../../README.md");
    assert!(
        guide.contains(&format!("```rust\n{}```", include_str!("porting/example.rs"))),
        "the guide shows another"
    );
    let sent = Rc::new(RefCell::new(Vec::new()));
    let radio = Radio { socket: Socket { sent: Rc::clone(&sent) }, deadline: None };
    let board = Board { sensor: Tmp105::new(I2cBus, ADDRESS) };
    // The clock ends it.
    let _ = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| run("x", 1 << 31, board, radio)));
    let sent = sent.borrow();
    assert_eq!(sent.len(), 12, "every 5 s");
    assert!(sent.iter().all(|body| body.contains(r#""temp":25.0"#)), "{sent:?}");
}
