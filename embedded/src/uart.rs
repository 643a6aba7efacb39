//! A UART of the board (Arm DDI 0479D, "APB UART"), driven by interrupts, with a queue of bytes for each direction.

use core::cell::RefCell;

use cortex_m::peripheral::NVIC;
use critical_section::Mutex;
use heapless::Deque;
use heartbeat_core::payload::BODY_MAX;

use crate::registers::Register;

// SAFETY: the registers of UART 0 (Arm AN385, table 4-2).
const DATA: Register = unsafe { Register::at(0x4000_4000) };
const STATE: Register = unsafe { Register::at(0x4000_4004) };
const CONTROL: Register = unsafe { Register::at(0x4000_4008) };
const INTERRUPT_CLEAR: Register = unsafe { Register::at(0x4000_400c) };
const BAUD_DIVIDER: Register = unsafe { Register::at(0x4000_4010) };

/// Bits of `STATE`.
const TRANSMITTER_FULL: u32 = 1;
const RECEIVER_FULL: u32 = 1 << 1;
/// Bits of `CONTROL`: both directions, and an interrupt for each.
const ENABLE_ALL: u32 = 0b1111;
/// Bits of `INTERRUPT_CLEAR`.
const TRANSMITTED: u32 = 1;
const RECEIVED: u32 = 1 << 1;

/// 115,200 baud at 25 MHz.
const DIVIDER: u32 = 217;

/// Numbers of the interrupts (Arm AN385, table 3-3).
#[derive(Debug, Clone, Copy)]
enum Interrupt {
    Received = 0,
    Transmitted = 1,
}

// SAFETY: the numbers are those of the board, and the table of `cortex-m-rt` has room for 240.
unsafe impl cortex_m::interrupt::InterruptNumber for Interrupt {
    fn number(self) -> u16 {
        self as u16
    }
}

/// Bytes to send: the longest document, its number and the end of the line.
static OUTGOING: Mutex<RefCell<Deque<u8, { BODY_MAX + 32 }>>> = Mutex::new(RefCell::new(Deque::new()));
/// Received bytes: a few answers. Bytes that do not fit are lost.
static INCOMING: Mutex<RefCell<Deque<u8, 64>>> = Mutex::new(RefCell::new(Deque::new()));

/// Switches it on.
pub(crate) fn start(_: NVIC) {
    BAUD_DIVIDER.write(DIVIDER);
    CONTROL.write(ENABLE_ALL);
    for interrupt in [Interrupt::Received, Interrupt::Transmitted] {
        // SAFETY: what the interrupts touch is behind critical sections.
        unsafe { NVIC::unmask(interrupt) };
    }
}

/// Queues bytes; those that do not fit are lost, which the receiver notices.
pub(crate) fn write(bytes: &[u8]) {
    critical_section::with(|section| {
        let mut outgoing = OUTGOING.borrow_ref_mut(section);
        for byte in bytes {
            let _ = outgoing.push_back(*byte);
        }
        transmit(&mut outgoing);
    });
}

/// Discards bytes that have not been sent.
pub(crate) fn discard() {
    critical_section::with(|section| OUTGOING.borrow_ref_mut(section).clear());
}

/// The next byte that was received.
pub(crate) fn read() -> Option<u8> {
    critical_section::with(|section| INCOMING.borrow_ref_mut(section).pop_front())
}

/// Sends bytes while the UART accepts them; the interrupt continues.
fn transmit<const N: usize>(outgoing: &mut Deque<u8, N>) {
    while STATE.read() & TRANSMITTER_FULL == 0 {
        let Some(byte) = outgoing.pop_front() else { break };
        DATA.write(u32::from(byte));
    }
}

/// Handles an interrupt, which may be of another device.
pub(crate) fn interrupt(number: i16) {
    critical_section::with(|section| {
        if number == Interrupt::Received as i16 {
            INTERRUPT_CLEAR.write(RECEIVED);
            while STATE.read() & RECEIVER_FULL != 0 {
                // The lowest eight bits are the byte.
                let [byte, ..] = DATA.read().to_le_bytes();
                let _ = INCOMING.borrow_ref_mut(section).push_back(byte);
            }
        } else if number == Interrupt::Transmitted as i16 {
            INTERRUPT_CLEAR.write(TRANSMITTED);
            transmit(&mut OUTGOING.borrow_ref_mut(section));
        }
    });
}
