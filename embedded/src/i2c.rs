//! An I2C bus whose two lines are bits of a register (the board's "SBCon", Arm AN385, section 4.6), as an
//! `embedded-hal` bus.

use cortex_m::asm;
use embedded_hal::i2c::{ErrorKind, ErrorType, I2c, NoAcknowledgeSource, Operation};

use crate::registers::Register;

/// Reading gives the state of the lines; writing releases the lines whose bits are set.
const RELEASE: Register = {
    // SAFETY: a register of the second shield's bus (Arm AN385, table 4-1).
    unsafe { Register::at(0x4002_a000) }
};
/// Writing pulls the lines whose bits are set low.
const PULL: Register = {
    // SAFETY: as above.
    unsafe { Register::at(0x4002_a004) }
};
const SCL: u32 = 1;
const SDA: u32 = 1 << 1;

/// A quarter of a bit at 100 kHz and 25 MHz.
const QUARTER: u32 = 62;
/// Longest time that a chip may hold the clock, in quarters of a bit: 25 ms as in SMBus.
const STRETCH_MAX: u32 = 10_000;

/// The bus.
#[derive(Debug)]
pub(crate) struct Bus(());

impl Bus {
    /// Takes the bus. There must be no other owner.
    pub(crate) fn new() -> Self {
        RELEASE.write(SCL | SDA);
        Self(())
    }

    fn set(&mut self, line: u32, high: bool) {
        if high {
            RELEASE.write(line)
        } else {
            PULL.write(line)
        }
        asm::delay(QUARTER);
    }

    /// Releases the clock and waits until it is high, because a slow chip may hold it low.
    fn clock_up(&mut self) -> Result<(), ErrorKind> {
        self.set(SCL, true);
        for _ in 0..STRETCH_MAX {
            if RELEASE.read() & SCL != 0 {
                return Ok(());
            }
            asm::delay(QUARTER);
        }
        Err(ErrorKind::Bus)
    }

    /// Sends a bit and returns the state of the line.
    fn bit(&mut self, high: bool) -> Result<bool, ErrorKind> {
        self.set(SDA, high);
        self.clock_up()?;
        let found = RELEASE.read() & SDA != 0;
        self.set(SCL, false);
        Ok(found)
    }

    fn start(&mut self) -> Result<(), ErrorKind> {
        self.set(SDA, true);
        self.clock_up()?;
        self.set(SDA, false);
        self.set(SCL, false);
        Ok(())
    }

    fn stop(&mut self) -> Result<(), ErrorKind> {
        self.set(SDA, false);
        self.clock_up()?;
        self.set(SDA, true);
        Ok(())
    }

    /// Sends a byte, most significant bit first. True when it was acknowledged.
    fn write_byte(&mut self, byte: u8) -> Result<bool, ErrorKind> {
        for place in (0..8).rev() {
            self.bit(byte >> place & 1 != 0)?;
        }
        self.bit(true).map(|is_high| !is_high)
    }

    fn read_byte(&mut self, acknowledge: bool) -> Result<u8, ErrorKind> {
        let mut byte = 0;
        for _ in 0..8 {
            byte = byte << 1 | u8::from(self.bit(true)?);
        }
        self.bit(!acknowledge)?;
        Ok(byte)
    }

    fn run(&mut self, address: u8, operations: &mut [Operation<'_>]) -> Result<(), ErrorKind> {
        let mut reading = None;
        let mut operations = operations.iter_mut().peekable();
        while let Some(operation) = operations.next() {
            let reads = matches!(operation, Operation::Read(_));
            if reading != Some(reads) {
                self.start()?;
                if !self.write_byte(address << 1 | u8::from(reads))? {
                    return Err(ErrorKind::NoAcknowledge(NoAcknowledgeSource::Address));
                }
                reading = Some(reads);
            }
            match operation {
                Operation::Write(bytes) => {
                    for byte in bytes.iter() {
                        if !self.write_byte(*byte)? {
                            return Err(ErrorKind::NoAcknowledge(NoAcknowledgeSource::Data));
                        }
                    }
                }
                Operation::Read(bytes) => {
                    // Only the last byte before a stop or a change of direction is not acknowledged.
                    let more = matches!(operations.peek(), Some(Operation::Read(_)));
                    let len = bytes.len();
                    for (at, byte) in bytes.iter_mut().enumerate() {
                        *byte = self.read_byte(more || at.saturating_add(1) < len)?;
                    }
                }
            }
        }
        Ok(())
    }
}

impl ErrorType for Bus {
    type Error = ErrorKind;
}

impl I2c for Bus {
    fn transaction(&mut self, address: u8, operations: &mut [Operation<'_>]) -> Result<(), ErrorKind> {
        let result = self.run(address, operations);
        // Also after an error, or the chip would wait for more.
        self.stop().and(result)
    }
}
