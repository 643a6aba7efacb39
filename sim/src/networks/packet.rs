//! What is to be known of an IP packet, and the reset that a router answers it with.

use std::net::Ipv4Addr;

/// Bytes of an IPv6 header (RFC 8200) and of a TCP header without options (RFC 9293).
const IPV6_HEADER: usize = 40;
const TCP_HEADER: usize = 20;
const IPV4_HEADER: usize = 20;
/// Number of TCP in IP headers.
const TCP: u8 = 6;
/// Flags of TCP.
const SYN: u8 = 0x02;
const RST: u8 = 0x04;
const ACK: u8 = 0x10;

/// Which way a packet goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Direction {
    /// From the device to the server.
    Up,
    /// From the server to the device.
    Down,
}

/// Version of IP.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Family {
    /// IPv4.
    V4,
    /// IPv6.
    V6,
}

/// An IP packet on its way.
#[derive(Debug, Clone, Copy)]
pub struct Packet<'p> {
    /// Which way it goes.
    pub direction: Direction,
    /// Its bytes, from the header of IP on.
    pub bytes: &'p [u8],
}

/// What matters of a header of TCP.
#[derive(Debug, Clone, Copy)]
struct Tcp {
    source: u16,
    destination: u16,
    acknowledged: u32,
    flags: u8,
}

impl Packet<'_> {
    /// Its version of IP.
    pub fn family(&self) -> Family {
        if self.bytes.first().is_some_and(|first| first >> 4 == 6) { Family::V6 } else { Family::V4 }
    }

    /// The port of the device, if this is TCP: it tells connections apart.
    pub fn device_port(&self) -> Option<u16> {
        let tcp = self.tcp()?;
        Some(match self.direction {
            Direction::Up => tcp.source,
            Direction::Down => tcp.destination,
        })
    }

    /// Whether it begins a connection.
    pub fn begins_connection(&self) -> bool {
        self.tcp().is_some_and(|tcp| tcp.flags & (SYN | ACK) == SYN)
    }

    /// The reset with which a router answers this packet, in the peer's name; `None` for anything but IPv4 and TCP, and for a
    /// reset.
    pub fn reset(&self) -> Option<Vec<u8>> {
        let tcp = self.tcp().filter(|tcp| tcp.flags & RST == 0)?;
        let (from, to) = self.addresses()?;
        let mut answer = vec![0x45, 0, 0, 40, 0, 0, 0, 0, 64, TCP, 0, 0];
        answer.extend(to.octets());
        answer.extend(from.octets());
        let checksum = checksum(&answer);
        answer.get_mut(10..12)?.copy_from_slice(&checksum.to_be_bytes());
        let mut header = [tcp.destination.to_be_bytes(), tcp.source.to_be_bytes()].concat();
        header.extend(tcp.acknowledged.to_be_bytes());
        header.extend([0, 0, 0, 0, 0x50, RST, 0, 0, 0, 0, 0, 0]);
        // The pseudo header of RFC 9293, section 3.1.
        let mut covered = [to.octets(), from.octets()].concat();
        covered.extend([0, TCP, 0, 20]);
        covered.extend(&header);
        header.get_mut(16..18)?.copy_from_slice(&self::checksum(&covered).to_be_bytes());
        answer.extend(header);
        Some(answer)
    }

    fn addresses(&self) -> Option<(Ipv4Addr, Ipv4Addr)> {
        if self.family() == Family::V6 {
            return None;
        }
        let address = |from: usize| {
            let octets: [u8; 4] = self.bytes.get(from..from + 4)?.try_into().ok()?;
            Some(Ipv4Addr::from(octets))
        };
        Some((address(12)?, address(16)?))
    }

    fn tcp(&self) -> Option<Tcp> {
        let (protocol, header) = match self.family() {
            Family::V4 => {
                let length = usize::from(self.bytes.first()? & 0x0f) * 4;
                (*self.bytes.get(9)?, length.max(IPV4_HEADER))
            }
            // What has an extension header is not TCP for the purpose of this.
            Family::V6 => (*self.bytes.get(6)?, IPV6_HEADER),
        };
        if protocol != TCP {
            return None;
        }
        let header: [u8; TCP_HEADER] = self.bytes.get(header..header + TCP_HEADER)?.try_into().ok()?;
        let [s0, s1, d0, d1, _, _, _, _, a0, a1, a2, a3, _, flags, ..] = header;
        Some(Tcp {
            source: u16::from_be_bytes([s0, s1]),
            destination: u16::from_be_bytes([d0, d1]),
            acknowledged: u32::from_be_bytes([a0, a1, a2, a3]),
            flags,
        })
    }
}

/// The Internet checksum (RFC 1071).
fn checksum(bytes: &[u8]) -> u16 {
    let mut sum: u32 = bytes
        .chunks(2)
        .map(|pair| match pair {
            [high, low] => u32::from(u16::from_be_bytes([*high, *low])),
            [high] => u32::from(u16::from_be_bytes([*high, 0])),
            _ => 0,
        })
        .sum();
    while sum > 0xffff {
        sum = (sum & 0xffff) + (sum >> 16);
    }
    // Folded to 16 bits above.
    #[allow(clippy::cast_possible_truncation)]
    let folded = sum as u16;
    !folded
}

#[cfg(test)]
mod tests {
    use super::*;

    /// From 10.9.0.2:40000 to 10.9.0.1:443, with these flags.
    fn segment(flags: u8) -> Vec<u8> {
        let mut bytes = vec![0x45, 0, 0, 40, 0, 0, 0x40, 0, 64, TCP, 0, 0, 10, 9, 0, 2, 10, 9, 0, 1];
        bytes.extend([0x9c, 0x40, 0x01, 0xbb, 0, 0, 0, 7, 0, 0, 1, 0, 0x50, flags, 0, 0, 0, 0, 0, 0]);
        bytes
    }

    #[test]
    fn connection_is_told_by_the_devices_port() {
        let bytes = segment(SYN);
        let up = Packet { direction: Direction::Up, bytes: &bytes };
        assert_eq!((up.device_port(), up.begins_connection()), (Some(40_000), true));
        let bytes = segment(SYN | ACK);
        let down = Packet { direction: Direction::Down, bytes: &bytes };
        assert_eq!((down.device_port(), down.begins_connection()), (Some(443), false));
    }

    #[test]
    fn packets_that_are_cut_short_are_no_tcp() {
        let bytes = segment(ACK);
        for length in 0..bytes.len() {
            let packet = Packet { direction: Direction::Up, bytes: &bytes[..length] };
            assert_eq!((packet.device_port(), packet.reset()), (None, None), "{length} bytes");
        }
    }

    /// The checksum over what holds its own checksum is 0 (RFC 1071).
    #[test]
    fn reset_goes_back_with_right_checksums() {
        let bytes = segment(ACK);
        let packet = Packet { direction: Direction::Up, bytes: &bytes };
        let reset = packet.reset().expect("a reset");
        assert_eq!(checksum(&reset[..20]), 0);
        let pseudo = [&reset[12..20], &[0, TCP, 0, 20], &reset[20..]].concat();
        assert_eq!(checksum(&pseudo), 0);
        assert_eq!(reset[12..20], [10, 9, 0, 1, 10, 9, 0, 2]);
        assert_eq!(reset[20..28], [0x01, 0xbb, 0x9c, 0x40, 0, 0, 1, 0], "ports, and what was acknowledged");
        let answered = Packet { direction: Direction::Down, bytes: &reset };
        assert_eq!(answered.reset(), None, "a reset is not answered");
    }
}
