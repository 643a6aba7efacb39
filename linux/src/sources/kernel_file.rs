//! A file of the kernel that is read again and again, and the parser of its text.

use heartbeat_core::SensorError;

use super::{
    Source,
    sysroot::{Reread, Sysroot},
};

/// What is read: the beginning of the file, in which all that counts must stand. `/proc/meminfo` has about 1500 bytes.
const READ_MAX: usize = 2048;

/// Reads a file that stays at its path, and keeps it open.
pub(crate) struct KernelFile<T> {
    path: &'static str,
    file: Reread,
    parse: fn(&[u8]) -> Option<T>,
}

impl<T> KernelFile<T> {
    /// Opens nothing before the first read. `parse` gives `None` for what is not a valid reading.
    pub(crate) const fn new(path: &'static str, parse: fn(&[u8]) -> Option<T>) -> Self {
        Self { path, file: Reread::new(path), parse }
    }
}

impl<T: Send + 'static> Source for KernelFile<T> {
    type Reading = T;

    fn place(&self) -> String {
        self.path.to_owned()
    }

    fn read(&mut self, root: &Sysroot) -> Result<T, SensorError> {
        let mut buffer = [0; READ_MAX];
        (self.parse)(self.file.read(root, &mut buffer)?).ok_or(SensorError::Invalid)
    }
}
