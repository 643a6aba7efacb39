//! Connections for questions, made when they are needed.

use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::Semaphore;

use super::{Read, Result, StoreError};
use crate::limits::READERS_MAX;

/// A few readers that are lent out one question at a time.
pub(crate) struct Readers {
    lent: Arc<Lent>,
    turns: Arc<Semaphore>,
}

struct Lent {
    idle: Mutex<Vec<Box<dyn Read>>>,
    open: Box<dyn Fn() -> Result<Box<dyn Read>> + Send + Sync>,
}

impl Readers {
    /// Readers that `open` makes when they are needed.
    pub(crate) fn new(open: impl Fn() -> Result<Box<dyn Read>> + Send + Sync + 'static) -> Self {
        let lent = Lent { idle: Mutex::new(Vec::new()), open: Box::new(open) };
        Self { lent: Arc::new(lent), turns: Arc::new(Semaphore::new(READERS_MAX)) }
    }

    /// Asks `question` of a reader, on a thread that may block. Waits while [`READERS_MAX`] questions are being answered.
    ///
    /// # Errors
    /// Those of the store.
    pub(crate) async fn ask<T: Send + 'static>(
        &self,
        question: impl FnOnce(&mut dyn Read) -> Result<T> + Send + 'static,
    ) -> Result<T> {
        // Never closed.
        let turn = Arc::clone(&self.turns).acquire_owned().await;
        let lent = Arc::clone(&self.lent);
        let asked = tokio::task::spawn_blocking(move || {
            // Whoever has asked may have gone: the turn lasts until the reader is free.
            let _turn = turn;
            lent.ask(question)
        });
        asked.await.unwrap_or_else(|error| Err(StoreError::Unavailable(error.to_string())))
    }
}

impl Lent {
    fn ask<T>(&self, question: impl FnOnce(&mut dyn Read) -> Result<T>) -> Result<T> {
        let idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner).pop();
        let mut reader = match idle {
            Some(reader) => reader,
            None => (self.open)()?,
        };
        let answer = question(&mut *reader)?;
        // After an error it is not kept: the file may have been replaced.
        self.idle.lock().unwrap_or_else(PoisonError::into_inner).push(reader);
        Ok(answer)
    }
}

#[cfg(test)]
mod tests {
    use std::{
        sync::atomic::{AtomicUsize, Ordering},
        time::Duration,
    };

    use super::*;
    use crate::store::{database::Database, tests::file};

    #[test]
    fn asks_a_bounded_number_of_questions_at_once_even_if_their_askers_have_gone() {
        let directory = tempfile::tempdir().unwrap();
        let database = file(&directory);
        drop(database.open().unwrap());
        let opened = Arc::new(AtomicUsize::new(0));
        let counted = Arc::clone(&opened);
        let readers = Readers::new(move || {
            counted.fetch_add(1, Ordering::SeqCst);
            Database::open_reader(&database)
        });
        let (now, most) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
        let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let ask = || {
                let (now, most) = (Arc::clone(&now), Arc::clone(&most));
                readers.ask(move |_| {
                    most.fetch_max(now.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
                    std::thread::sleep(Duration::from_millis(20));
                    now.fetch_sub(1, Ordering::SeqCst);
                    Ok(())
                })
            };
            // These have gone before they are answered.
            for _ in 0..20 {
                let _ = tokio::time::timeout(Duration::from_millis(1), ask()).await;
            }
            for answer in futures_util::future::join_all((0..40).map(|_| ask())).await {
                answer.unwrap();
            }
        });
        assert!(most.load(Ordering::SeqCst) <= READERS_MAX, "{most:?}");
        assert!(opened.load(Ordering::SeqCst) <= READERS_MAX, "{opened:?}");
    }
}
