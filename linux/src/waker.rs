//! Wakes the main loop: from other threads and from signal handlers.

use std::{
    io::{self, ErrorKind, Read, Write},
    os::{fd::AsFd, unix::net::UnixStream},
    sync::Arc,
};

/// The end that wakes. Cheap to clone, never blocks.
#[derive(Debug, Clone)]
pub struct Waker(Arc<UnixStream>);

/// The end that is woken.
#[derive(Debug)]
pub struct WakeUps(UnixStream);

/// A waker and what it wakes.
///
/// # Errors
///
/// When the process has no file descriptors left.
pub fn pair() -> io::Result<(Waker, WakeUps)> {
    let (waker, woken) = UnixStream::pair()?;
    waker.set_nonblocking(true)?;
    woken.set_nonblocking(true)?;
    Ok((Waker(Arc::new(waker)), WakeUps(woken)))
}

impl Waker {
    /// Wakes the other end, now or when it waits next.
    pub fn wake(&self) {
        // A full socket is as good as another byte: the other end is about to wake up.
        let _ = (&*self.0).write(&[0]);
    }

    /// Another handle of the socket, for a signal handler.
    ///
    /// # Errors
    ///
    /// When the process has no file descriptors left.
    pub fn handle(&self) -> io::Result<UnixStream> {
        self.0.try_clone()
    }
}

impl WakeUps {
    /// Forgets the wakes so far.
    ///
    /// # Errors
    ///
    /// When they cannot be read, which happens on no system; a caller that went on would never sleep again.
    pub fn clear(&mut self) -> io::Result<()> {
        let mut buffer = [0; 64];
        loop {
            match self.0.read(&mut buffer) {
                Ok(0) => return Err(ErrorKind::UnexpectedEof.into()),
                // A buffer that was not filled has emptied the socket.
                Ok(count) if count < buffer.len() => return Ok(()),
                Ok(_) => {}
                Err(error) => match error.kind() {
                    ErrorKind::WouldBlock => return Ok(()),
                    ErrorKind::Interrupted => {}
                    _ => return Err(error),
                },
            }
        }
    }

    /// Whether there was a wake.
    #[cfg(test)]
    pub(crate) fn is_woken(&self) -> bool {
        use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
        poll(&mut [PollFd::new(self.0.as_fd(), PollFlags::POLLIN)], PollTimeout::ZERO).expect("polled") == 1
    }

    /// Waits for a wake.
    #[cfg(test)]
    pub(crate) fn wait(&mut self) {
        use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
        let mut fds = [PollFd::new(self.0.as_fd(), PollFlags::POLLIN)];
        poll(&mut fds, PollTimeout::NONE).expect("polled");
        self.clear().expect("cleared");
    }
}

impl AsFd for WakeUps {
    fn as_fd(&self) -> std::os::fd::BorrowedFd<'_> {
        self.0.as_fd()
    }
}
