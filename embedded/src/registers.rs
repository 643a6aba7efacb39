//! Registers of peripherals, by address.

/// A 32-bit register.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Register(usize);

impl Register {
    /// The register at `address`.
    ///
    /// # Safety
    ///
    /// There must be a register at `address` that can be read and written at any time without breaking memory safety.
    pub(crate) const unsafe fn at(address: usize) -> Self {
        Self(address)
    }

    pub(crate) fn read(self) -> u32 {
        // SAFETY: promised in `at`.
        unsafe { (self.0 as *const u32).read_volatile() }
    }

    pub(crate) fn write(self, value: u32) {
        // SAFETY: promised in `at`.
        unsafe { (self.0 as *mut u32).write_volatile(value) }
    }
}
