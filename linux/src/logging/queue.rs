//! Log lines on their way to standard error, which a thread writes: standard error may be a pipe that is not read, or a
//! file on storage that hangs. No other thread waits for that. Lines that find no room are counted, and the count is
//! logged later.

use std::{
    collections::VecDeque,
    fs::File,
    io::{self, ErrorKind, Write},
    os::fd::AsFd,
    sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError},
    thread,
    time::{Duration, Instant},
};

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};

/// Lines that wait at most: more than the start of a daemon logs in detail.
const LINES_MAX: usize = 256;

/// The queue, and the thread that empties it.
#[derive(Debug, Clone)]
pub(super) struct Queue(Arc<Shared>);

#[derive(Debug, Default)]
struct Shared {
    lines: Mutex<Lines>,
    changed: Condvar,
}

#[derive(Debug, Default)]
struct Lines {
    waiting: VecDeque<Vec<u8>>,
    /// Lines that found no room since the last that did.
    lost: u64,
    /// The thread is writing one.
    is_writing: bool,
}

impl Queue {
    /// Starts a thread that writes to `file`.
    ///
    /// # Errors
    ///
    /// When the system has no thread left.
    pub(super) fn start(file: File) -> io::Result<Self> {
        let queue = Self(Arc::default());
        let shared = Arc::clone(&queue.0);
        thread::Builder::new().name("log".to_owned()).spawn(move || write_all_lines(&shared, &file))?;
        Ok(queue)
    }

    /// Adds a line. `lost_line` makes the one that says how many were lost before it. Never waits.
    pub(super) fn push(&self, line: Vec<u8>, lost_line: impl FnOnce(u64) -> Vec<u8>) {
        let mut lines = self.0.lock();
        if lines.waiting.len() >= LINES_MAX {
            lines.lost = lines.lost.saturating_add(1);
            return;
        }
        let lost = std::mem::take(&mut lines.lost);
        if lost > 0 {
            lines.waiting.push_back(lost_line(lost));
        }
        lines.waiting.push_back(line);
        self.0.changed.notify_all();
    }

    /// Waits until all lines have been written, for so long at most.
    pub(super) fn flush(&self, limit: Duration) {
        let deadline = Instant::now() + limit;
        let mut lines = self.0.lock();
        while !lines.waiting.is_empty() || lines.is_writing {
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return;
            }
            let waited = self.0.changed.wait_timeout(lines, left);
            lines = waited.unwrap_or_else(PoisonError::into_inner).0;
        }
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, Lines> {
        // Nothing panics while holding the lock.
        self.lines.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn write_all_lines(shared: &Shared, file: &File) {
    let mut lines = shared.lock();
    loop {
        match lines.waiting.pop_front() {
            Some(line) => {
                lines.is_writing = true;
                drop(lines);
                write(file, &line);
                lines = shared.lock();
                lines.is_writing = false;
                shared.changed.notify_all();
            }
            None => lines = shared.changed.wait(lines).unwrap_or_else(PoisonError::into_inner),
        }
    }
}

/// Writes a whole line, however long that takes. An error has nowhere to be reported.
fn write(mut file: &File, mut line: &[u8]) {
    while !line.is_empty() {
        match file.write(line) {
            Ok(written) => line = line.get(written..).unwrap_or_default(),
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            // Another program that shares it has made it non-blocking.
            Err(error) if error.kind() == ErrorKind::WouldBlock => {
                let mut fds = [PollFd::new(file.as_fd(), PollFlags::POLLOUT)];
                if poll(&mut fds, PollTimeout::NONE).is_err() {
                    return;
                }
            }
            Err(_) => return,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::{io::Read, os::fd::OwnedFd};

    fn line(number: usize) -> Vec<u8> {
        format!("{number:0>99}\n").into_bytes()
    }

    fn lost(count: u64) -> Vec<u8> {
        format!("lost {count}\n").into_bytes()
    }

    #[test]
    fn lines_that_are_not_read_wait_for_nothing_and_are_counted() {
        const PUSHED: usize = 1_000;
        let (mut reader, writer) = std::io::pipe().expect("a pipe");
        nix::fcntl::fcntl(&writer, nix::fcntl::FcntlArg::F_SETPIPE_SZ(4096)).expect("made small");
        let queue = Queue::start(File::from(OwnedFd::from(writer))).expect("a thread");
        (0..PUSHED).for_each(|number| queue.push(line(number), lost));
        queue.flush(Duration::from_millis(1));
        // Reads until the pipe is empty and what waited has been written.
        let mut text = String::new();
        let mut read_line = || {
            let mut bytes = Vec::new();
            while bytes.last() != Some(&b'\n') {
                let mut byte = [0];
                reader.read_exact(&mut byte).expect("read");
                bytes.extend(byte);
            }
            String::from_utf8(bytes).expect("text")
        };
        for expected in 0..LINES_MAX {
            text = read_line();
            assert_eq!(text.as_bytes(), line(expected), "in order");
        }
        while queue.0.lock().waiting.len() >= LINES_MAX - 1 {
            text = read_line();
        }
        queue.push(b"after\n".to_vec(), lost);
        let mut whole: u64 = text.trim_start_matches('0').trim_end().parse().expect("a number");
        loop {
            text = read_line();
            if let Some(count) = text.strip_prefix("lost ") {
                let count: u64 = count.trim_end().parse().expect("a number");
                assert_eq!(whole + 1 + count, PUSHED as u64);
                break;
            }
            whole += 1;
        }
        assert_eq!(read_line(), "after\n");
        queue.flush(Duration::from_secs(60));
        assert!(queue.0.lock().waiting.is_empty());
    }
}
