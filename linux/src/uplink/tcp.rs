//! Non-blocking TCP connections with the options that this program wants, and the one place where they are waited for.

use std::{
    io,
    net::{SocketAddr, TcpStream},
    os::fd::OwnedFd,
    time::Instant,
};

use nix::{
    errno::Errno,
    libc,
    poll::{PollFd, PollTimeout},
    sys::socket::{
        AddressFamily, SetSockOpt, SockFlag, SockType, SockaddrStorage, connect, setsockopt, socket, sockopt,
    },
};

/// Room for unsolicited data of the peer, in bytes: a connection that is given up has cost no more than this. The
/// kernel doubles it.
const RECEIVE_BUFFER: usize = 8 * 1024;
/// An idle connection is probed after this time, then this often, and is dead when so many probes were not answered: a
/// NAT keeps its mapping, and a peer that is gone is detected. In seconds.
const KEEP_ALIVE_IDLE: u32 = 25;
const KEEP_ALIVE_INTERVAL: u32 = 5;
const KEEP_ALIVE_PROBES: u32 = 3;

/// Begins to connect and does not wait. Writable means that the attempt has ended, and
/// [`TcpStream::take_error`] says how.
///
/// # Errors
///
/// What the system says at once: no route, no descriptor.
pub(super) fn begin(address: SocketAddr) -> io::Result<TcpStream> {
    let family = if address.is_ipv4() { AddressFamily::Inet } else { AddressFamily::Inet6 };
    let flags = SockFlag::SOCK_NONBLOCK | SockFlag::SOCK_CLOEXEC;
    let socket = socket(family, SockType::Stream, flags, None)?;
    set_options(&socket);
    match connect(std::os::fd::AsRawFd::as_raw_fd(&socket), &SockaddrStorage::from(address)) {
        Ok(()) | Err(Errno::EINPROGRESS | Errno::EINTR) => Ok(TcpStream::from(socket)),
        Err(error) => Err(error.into()),
    }
}

/// Each option is an improvement; one that cannot be set must not cost a heartbeat.
fn set_options(socket: &OwnedFd) {
    fn set<O: SetSockOpt>(socket: &OwnedFd, option: O, value: &O::Val) {
        if let Err(error) = setsockopt(socket, option, value) {
            log::debug!("a socket's option: {error}");
        }
    }
    // When the connection ends for any reason, such as the end of this process, the kernel discards unsent data: a
    // cancelled heartbeat must not arrive after newer ones.
    set(socket, sockopt::Linger, &libc::linger { l_onoff: 1, l_linger: 0 });
    set(socket, sockopt::RcvBuf, &RECEIVE_BUFFER);
    set(socket, sockopt::TcpNoDelay, &true);
    set(socket, sockopt::KeepAlive, &true);
    set(socket, sockopt::TcpKeepIdle, &KEEP_ALIVE_IDLE);
    set(socket, sockopt::TcpKeepInterval, &KEEP_ALIVE_INTERVAL);
    set(socket, sockopt::TcpKeepCount, &KEEP_ALIVE_PROBES);
}

/// Closes with an orderly end instead of a reset.
pub(super) fn close(stream: TcpStream) {
    let _ = setsockopt(&stream, sockopt::Linger, &libc::linger { l_onoff: 0, l_linger: 0 });
    drop(stream);
}

/// Waits until something happens or until `until`; without it, for as long as it takes. May return early.
///
/// # Errors
///
/// When the kernel is out of memory.
pub(super) fn wait(fds: &mut [PollFd<'_>], until: Option<Instant>) -> io::Result<()> {
    let timeout = match until {
        None => PollTimeout::NONE,
        Some(until) => {
            let left = until.saturating_duration_since(Instant::now());
            // Rounded up: less than a millisecond would not wait at all. Longer waits end early and are begun again.
            PollTimeout::from(u16::try_from(left.as_millis().saturating_add(1)).unwrap_or(u16::MAX))
        }
    };
    match nix::poll::poll(fds, timeout) {
        Ok(_) | Err(Errno::EINTR) => Ok(()),
        Err(error) => Err(error.into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use nix::{poll::PollFlags, sys::socket::getsockopt};
    use std::{
        io::{ErrorKind, Read, Write},
        net::TcpListener,
        os::fd::AsFd,
        time::Duration,
    };

    fn connected() -> (TcpStream, TcpStream) {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let stream = begin(listener.local_addr().expect("an address")).expect("begun");
        wait(&mut [PollFd::new(stream.as_fd(), PollFlags::POLLOUT)], None).expect("waited");
        assert!(stream.take_error().expect("asked").is_none());
        (stream, listener.accept().expect("accepted").0)
    }

    #[test]
    fn connection_is_made_without_waiting() {
        let (mut ours, mut theirs) = connected();
        assert_eq!(ours.read(&mut [0]).expect_err("nothing yet").kind(), ErrorKind::WouldBlock);
        ours.write_all(b"x").expect("written");
        theirs.read_exact(&mut [0]).expect("read");
    }

    #[test]
    fn options_are_set() {
        let (ours, _theirs) = connected();
        assert!(ours.nodelay().expect("asked"));
        assert!(getsockopt(&ours, sockopt::KeepAlive).expect("asked"));
        assert_eq!(getsockopt(&ours, sockopt::TcpKeepIdle).expect("asked"), KEEP_ALIVE_IDLE);
        assert_eq!(getsockopt(&ours, sockopt::TcpKeepInterval).expect("asked"), KEEP_ALIVE_INTERVAL);
        assert_eq!(getsockopt(&ours, sockopt::TcpKeepCount).expect("asked"), KEEP_ALIVE_PROBES);
        assert_eq!(getsockopt(&ours, sockopt::RcvBuf).expect("asked"), RECEIVE_BUFFER * 2);
    }

    #[test]
    fn dropped_connection_is_reset_and_closed_one_ends() {
        let (ours, mut theirs) = connected();
        drop(ours);
        assert_eq!(theirs.read(&mut [0]).expect_err("a reset").kind(), ErrorKind::ConnectionReset);
        let (ours, mut theirs) = connected();
        close(ours);
        assert_eq!(theirs.read(&mut [0]).expect("an orderly end"), 0);
    }

    #[test]
    fn wait_ends_at_its_time() {
        let (ours, _theirs) = connected();
        let until = Instant::now() + Duration::from_millis(20);
        while Instant::now() < until {
            wait(&mut [PollFd::new(ours.as_fd(), PollFlags::POLLIN)], Some(until)).expect("waited");
        }
    }
}
