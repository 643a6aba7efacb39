//! Netlink: requests and replies as bytes (`linux/netlink.h`, `linux/genetlink.h`).
//!
//! Of the published crates `neli` 0.7 brings procedural macros for its own builders and would still leave nl80211's numbers
//! to us, `wl-nl80211` brings an async runtime. What is needed is one request and a walk over attributes.

use std::{
    os::fd::{AsRawFd, OwnedFd},
    time::Duration,
};

use heartbeat_core::SensorError;
use nix::{
    errno::Errno,
    sys::{
        socket::{
            AddressFamily, MsgFlags, NetlinkAddr, SockFlag, SockProtocol, SockType, bind, recv, sendto,
            setsockopt, socket, sockopt,
        },
        time::TimeVal,
    },
};

use super::sysroot::sensor_error;

/// The kernel answers from memory; a longer wait means that a lock in the kernel is held.
const TIMEOUT: Duration = Duration::from_millis(500);
/// Largest datagram of a dump that the kernel sends to a buffer of this size (`netlink_dump`).
const BUFFER: usize = 16 * 1024;
/// Datagrams of one answer.
const DATAGRAMS_MAX: u32 = 64;

const NLMSG_ERROR: u16 = 2;
const NLMSG_DONE: u16 = 3;
const NLM_F_REQUEST: u16 = 0x01;
const NLM_F_ACK: u16 = 0x04;
/// All entries, not one.
pub(super) const NLM_F_DUMP: u16 = 0x300;

/// Length of `struct nlmsghdr` and `struct genlmsghdr`.
const MESSAGE_HEADER: usize = 16;
const GENERIC_HEADER: usize = 4;

/// The controller, which knows the numbers of the families.
const GENL_ID_CTRL: u16 = 0x10;
const CTRL_CMD_GETFAMILY: u8 = 3;
const CTRL_ATTR_FAMILY_ID: u16 = 1;
const CTRL_ATTR_FAMILY_NAME: u16 = 2;

/// Groups of notices (`linux/rtnetlink.h`).
const RTMGRP_LINK: u32 = 0x1;
const RTMGRP_IPV4_IFADDR: u32 = 0x10;
const RTMGRP_IPV4_ROUTE: u32 = 0x40;
const RTMGRP_IPV6_IFADDR: u32 = 0x100;
const RTMGRP_IPV6_ROUTE: u32 = 0x400;

/// Notices that are taken at once; of more, some stay for the next time.
const NOTICES_MAX: u32 = 256;

/// A netlink socket.
#[derive(Debug)]
pub(super) struct Netlink {
    socket: OwnedFd,
    sequence: u32,
}

impl Netlink {
    /// For generic netlink: nl80211 and its like.
    pub(super) fn generic() -> Result<Self, SensorError> {
        Self::open(SockProtocol::NetlinkGeneric)
    }

    /// For rtnetlink: interfaces, addresses and routes (`linux/rtnetlink.h`).
    pub(super) fn route() -> Result<Self, SensorError> {
        Self::open(SockProtocol::NetlinkRoute)
    }

    fn open(protocol: SockProtocol) -> Result<Self, SensorError> {
        let socket = open(protocol, 0)?;
        let timeout = TimeVal::new(0, i64::from(TIMEOUT.subsec_micros()) as _);
        setsockopt(&socket, sockopt::ReceiveTimeout, &timeout).map_err(sensor_error)?;
        Ok(Self { socket, sequence: 0 })
    }

    /// The number of a family, [`SensorError::Absent`] when the kernel has no such family.
    pub(super) fn family(&mut self, name: &str) -> Result<u16, SensorError> {
        let name = [name.as_bytes(), b"\0"].concat();
        let mut id = None;
        self.generic_request(
            GENL_ID_CTRL,
            0,
            CTRL_CMD_GETFAMILY,
            &[(CTRL_ATTR_FAMILY_NAME, &name)],
            |reply| {
                id = id.or_else(|| attribute(reply, CTRL_ATTR_FAMILY_ID).and_then(u16_of));
            },
        )?;
        id.ok_or(SensorError::Invalid)
    }

    /// Sends one command of a family and hands the attributes of every reply to `take`.
    pub(super) fn generic_request(
        &mut self,
        family: u16,
        flags: u16,
        command: u8,
        attributes: &[(u16, &[u8])],
        mut take: impl FnMut(&[u8]),
    ) -> Result<(), SensorError> {
        // Version 1 of the command; two bytes are reserved.
        let header = [command, 1, 0, 0];
        self.request(family, flags, &header, attributes, |reply| {
            take(reply.get(GENERIC_HEADER..).unwrap_or_default());
        })
    }

    /// Sends one message, its family's `header` first, and hands the payload of every reply to `take`.
    pub(super) fn request(
        &mut self,
        kind: u16,
        flags: u16,
        header: &[u8],
        attributes: &[(u16, &[u8])],
        mut take: impl FnMut(&[u8]),
    ) -> Result<(), SensorError> {
        self.sequence = self.sequence.wrapping_add(1);
        let message = encode(kind, flags, self.sequence, header, attributes);
        let fd = self.socket.as_raw_fd();
        sendto(fd, &message, &NetlinkAddr::new(0, 0), MsgFlags::empty()).map_err(sensor_error)?;
        let mut buffer = vec![0; BUFFER];
        for _ in 0..DATAGRAMS_MAX {
            let len = recv(fd, &mut buffer, MsgFlags::MSG_TRUNC).map_err(sensor_error)?;
            let datagram = buffer.get(..len).ok_or(SensorError::Invalid)?;
            for message in messages(datagram) {
                // What an earlier request left behind is not an answer to this one.
                if message.sequence != self.sequence {
                    continue;
                }
                match message.kind {
                    NLMSG_DONE => return dump_outcome(message.payload),
                    NLMSG_ERROR => return outcome(message.payload),
                    _ => take(message.payload),
                }
            }
        }
        Err(SensorError::Invalid)
    }
}

/// A socket for one protocol, to which these groups' notices are sent.
fn open(protocol: SockProtocol, groups: u32) -> Result<OwnedFd, SensorError> {
    let open = || -> nix::Result<OwnedFd> {
        let socket = socket(AddressFamily::Netlink, SockType::Raw, SockFlag::SOCK_CLOEXEC, protocol)?;
        bind(socket.as_raw_fd(), &NetlinkAddr::new(0, groups))?;
        Ok(socket)
    };
    // A kernel without this protocol has no wireless interfaces to tell about either.
    open().map_err(|error| match error {
        Errno::EPROTONOSUPPORT | Errno::EAFNOSUPPORT => SensorError::Absent,
        error => sensor_error(error),
    })
}

/// A subscription to notices, of which only their arrival counts.
#[derive(Debug)]
pub(super) struct Notices(OwnedFd);

impl Notices {
    /// About interfaces, addresses and routes.
    pub(super) fn of_the_network() -> Result<Self, SensorError> {
        let groups =
            RTMGRP_LINK | RTMGRP_IPV4_IFADDR | RTMGRP_IPV4_ROUTE | RTMGRP_IPV6_IFADDR | RTMGRP_IPV6_ROUTE;
        open(SockProtocol::NetlinkRoute, groups).map(Self)
    }

    /// Takes the notices that have come, without waiting. Whether there was any.
    pub(super) fn take(&mut self) -> Result<bool, SensorError> {
        for taken in 0..NOTICES_MAX {
            // The rest of a notice is discarded.
            match recv(self.0.as_raw_fd(), &mut [0], MsgFlags::MSG_DONTWAIT) {
                Err(Errno::EAGAIN) => return Ok(taken > 0),
                // Some were lost (netlink(7)): as good as one.
                Ok(_) | Err(Errno::ENOBUFS | Errno::EINTR) => {}
                Err(error) => return Err(sensor_error(error)),
            }
        }
        Ok(true)
    }
}

/// One message as bytes. Every request asks for an acknowledgement, so that its answer has an end.
fn encode(kind: u16, flags: u16, sequence: u32, header: &[u8], attributes: &[(u16, &[u8])]) -> Vec<u8> {
    let mut message = vec![0; MESSAGE_HEADER];
    message.extend_from_slice(header);
    for (kind, value) in attributes {
        // Only short values are ever sent.
        let len = u16::try_from(value.len().saturating_add(4)).unwrap_or(u16::MAX);
        message.extend_from_slice(&len.to_ne_bytes());
        message.extend_from_slice(&kind.to_ne_bytes());
        message.extend_from_slice(value);
        message.resize(message.len().next_multiple_of(4), 0);
    }
    let len = u32::try_from(message.len()).unwrap_or(u32::MAX);
    let flags = flags | NLM_F_REQUEST | NLM_F_ACK;
    let fields =
        [&len.to_ne_bytes()[..], &kind.to_ne_bytes(), &flags.to_ne_bytes(), &sequence.to_ne_bytes(), &[0; 4]];
    for (place, byte) in message.iter_mut().zip(fields.concat()) {
        *place = byte;
    }
    message
}

#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Message<'m> {
    kind: u16,
    sequence: u32,
    pub(crate) payload: &'m [u8],
}

/// The messages of one datagram, up to the first that is not whole.
pub(crate) fn messages(mut datagram: &[u8]) -> impl Iterator<Item = Message<'_>> {
    std::iter::from_fn(move || {
        let len = usize::try_from(u32_of(datagram.get(..4)?)?).ok()?;
        let kind = u16_of(datagram.get(4..6)?)?;
        let sequence = u32_of(datagram.get(8..12)?)?;
        let payload = datagram.get(MESSAGE_HEADER..len)?;
        datagram = datagram.get(len.next_multiple_of(4)..).unwrap_or_default();
        Some(Message { kind, sequence, payload })
    })
}

/// What an acknowledgement says: 0, or a negative error number.
fn outcome(payload: &[u8]) -> Result<(), SensorError> {
    match payload.get(..4).and_then(u32_of).map(u32::cast_signed) {
        Some(0) => Ok(()),
        Some(code) => Err(sensor_error(Errno::from_raw(code.saturating_neg()))),
        None => Err(SensorError::Invalid),
    }
}

/// What the end of a dump says: a negative error number where the kernel gave up on it (`netlink_dump_done` in
/// net/netlink/af_netlink.c), which is no dump without entries.
fn dump_outcome(payload: &[u8]) -> Result<(), SensorError> {
    match payload.get(..4).and_then(u32_of).map(u32::cast_signed) {
        Some(code) if code < 0 => Err(sensor_error(Errno::from_raw(code.saturating_neg()))),
        _ => Ok(()),
    }
}

/// The attributes of a message, up to the first that is not whole. The two upper bits of a kind are flags.
pub(crate) fn attributes(mut bytes: &[u8]) -> impl Iterator<Item = (u16, &[u8])> {
    std::iter::from_fn(move || {
        let len = usize::from(u16_of(bytes.get(..2)?)?);
        let kind = u16_of(bytes.get(2..4)?)? & 0x3fff;
        let value = bytes.get(4..len)?;
        bytes = bytes.get(len.next_multiple_of(4)..).unwrap_or_default();
        Some((kind, value))
    })
}

/// The first attribute of this kind.
pub(super) fn attribute(bytes: &[u8], kind: u16) -> Option<&[u8]> {
    attributes(bytes).find(|(other, _)| *other == kind).map(|(_, value)| value)
}

fn u16_of(bytes: &[u8]) -> Option<u16> {
    bytes.try_into().ok().map(u16::from_ne_bytes)
}

/// A 32-bit value; `None` for any other length.
pub(super) fn u32_of(bytes: &[u8]) -> Option<u32> {
    bytes.try_into().ok().map(u32::from_ne_bytes)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn reads_what_it_encodes() {
        let message = encode(0x1c, NLM_F_DUMP, 7, &[17, 1, 0, 0], &[(3, &[1, 0, 0, 0]), (52, b"abc")]);
        let read: Vec<_> = messages(&message).collect();
        assert_eq!(read.len(), 1);
        assert_eq!((read[0].kind, read[0].sequence, read[0].payload[0]), (0x1c, 7, 17));
        let found: Vec<_> = attributes(&read[0].payload[4..]).collect();
        assert_eq!(found, [(3, &[1, 0, 0, 0][..]), (52, b"abc")]);
    }

    #[test]
    fn a_dump_that_failed_is_not_an_empty_one() {
        let end = |code: i32| dump_outcome(&code.to_ne_bytes());
        assert_eq!((end(0), end(1), dump_outcome(&[])), (Ok(()), Ok(()), Ok(())));
        assert_eq!(end(-(Errno::EOPNOTSUPP as i32)), Err(SensorError::Io));
        assert_eq!(end(-(Errno::EPERM as i32)), Err(SensorError::Denied));
        assert_eq!(end(i32::MIN), Err(SensorError::Io));
    }

    #[test]
    fn asks_the_kernel_for_a_familys_number() {
        // Also in containers: generic netlink needs no privilege.
        let Ok(mut netlink) = Netlink::generic() else { return println!("skipped: no generic netlink here") };
        assert_eq!(netlink.family("nlctrl"), Ok(GENL_ID_CTRL));
        assert_eq!(netlink.family("no such family"), Err(SensorError::Absent));
    }

    proptest! {
        #[test]
        fn any_bytes_are_survived(bytes: Vec<u8>) {
            prop_assert!(messages(&bytes).count() <= bytes.len());
            prop_assert!(attributes(&bytes).count() <= bytes.len());
            let _ = (outcome(&bytes), dump_outcome(&bytes));
        }
    }
}
