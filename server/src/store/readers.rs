//! Connections for questions, made when they are needed.

use std::sync::{Mutex, PoisonError};

use super::{Read, Result};

/// A few readers that are lent out one question at a time.
pub(crate) struct Readers {
    idle: Mutex<Vec<Box<dyn Read>>>,
    open: Box<dyn Fn() -> Result<Box<dyn Read>> + Send + Sync>,
}

impl Readers {
    /// Readers that `open` makes when they are needed.
    pub(crate) fn new(open: impl Fn() -> Result<Box<dyn Read>> + Send + Sync + 'static) -> Self {
        Self { idle: Mutex::new(Vec::new()), open: Box::new(open) }
    }

    /// Asks `question` of a reader. Blocks.
    pub(crate) fn ask<T>(&self, question: impl FnOnce(&mut dyn Read) -> Result<T>) -> Result<T> {
        let idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner).pop();
        let mut reader = match idle {
            Some(reader) => reader,
            None => (self.open)()?,
        };
        let answer = question(&mut *reader)?;
        // After an error it is not kept: the file may have been replaced.
        let mut idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner);
        if idle.len() < 4 {
            idle.push(reader);
        }
        Ok(answer)
    }
}
