//! Name servers of all kinds: what they say about each family of addresses, and how.

use std::{
    io::{self, Read, Write},
    net::{IpAddr, SocketAddr, TcpListener, UdpSocket},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    thread,
};

use super::{namespace::Namespace, packet::Family};

/// Bytes of the header of a message (RFC 1035, section 4.1.1).
const HEADER: usize = 12;
/// Types of records (RFC 1035, RFC 3596).
const TYPE_A: u16 = 1;
const TYPE_CNAME: u16 = 5;
const TYPE_AAAA: u16 = 28;
/// The flag for a message that was cut, as in the third byte of the header.
const TRUNCATED: u8 = 0x02;
/// Response code of a server that does not understand a query.
const FORMAT_ERROR: u8 = 1;
const NO_SUCH_NAME: u8 = 3;

/// What a name server says about one family.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Answer {
    /// These addresses; without any: the name exists, and has none of this family.
    Addresses(Vec<IpAddr>),
    /// A response code (RFC 1035, section 4.1.1), such as 2 for SERVFAIL and 3 for NXDOMAIN.
    Code(u8),
    /// Nothing at all.
    Silence,
    /// A reply without records that says that it was cut; the addresses follow over TCP if the server takes that.
    Truncated(Vec<IpAddr>),
    /// The addresses in a reply to another query.
    WrongId(Vec<IpAddr>),
    /// So many aliases, the last of which has the addresses.
    Aliases(u16, Vec<IpAddr>),
    /// Two aliases of each other.
    AliasLoop,
    /// Bytes that are no message.
    Garbage,
}

/// All that a name server knows.
#[derive(Debug, Clone)]
pub struct Zone {
    /// The name that exists, in small letters.
    pub name: String,
    /// About its IPv4 addresses.
    pub v4: Answer,
    /// About its IPv6 addresses.
    pub v6: Answer,
    /// How long answers may be kept, in seconds.
    pub ttl: u32,
    /// Answers queries with an EDNS record (RFC 6891) with FORMERR.
    pub refuses_edns: bool,
    /// Takes queries over TCP.
    pub takes_tcp: bool,
}

impl Zone {
    /// The name has these addresses, of either family.
    pub fn of(name: &str, addresses: &[IpAddr]) -> Self {
        let of = |v6| Answer::Addresses(addresses.iter().filter(|ip| ip.is_ipv6() == v6).copied().collect());
        Self {
            name: name.to_owned(),
            v4: of(false),
            v6: of(true),
            ttl: 1,
            refuses_edns: false,
            takes_tcp: true,
        }
    }
}

/// A running name server. It lives until the process ends.
#[derive(Debug, Clone)]
pub struct NameServer(Arc<Mutex<State>>);

#[derive(Debug)]
struct State {
    zone: Zone,
    queries: Vec<(String, Family)>,
}

impl NameServer {
    /// Answers inside `namespace`, at port 53 of this address.
    ///
    /// # Errors
    ///
    /// When the port cannot be used.
    pub fn listen(namespace: &Namespace, address: IpAddr, zone: Zone) -> io::Result<Self> {
        let server = Self(Arc::new(Mutex::new(State { zone, queries: Vec::new() })));
        let address = SocketAddr::new(address, 53);
        let (socket, listener) =
            namespace.inside(move || Ok((UdpSocket::bind(address)?, TcpListener::bind(address)?)))?;
        let (over_udp, over_tcp) = (server.clone(), server.clone());
        thread::Builder::new().name("name server".to_owned()).spawn(move || over_udp.serve_udp(&socket))?;
        thread::Builder::new().name("name server".to_owned()).spawn(move || {
            // A client that leaves has no further queries.
            listener.incoming().flatten().for_each(|stream| drop(over_tcp.serve_tcp(stream)));
        })?;
        Ok(server)
    }

    /// Says this from now on.
    pub fn set(&self, change: impl FnOnce(&mut Zone)) {
        change(&mut self.lock().zone);
    }

    /// How many queries came.
    pub fn queries(&self) -> usize {
        self.lock().queries.len()
    }

    /// The names that were asked for, with the family of addresses.
    pub fn asked(&self) -> Vec<(String, Family)> {
        self.lock().queries.clone()
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn serve_udp(&self, socket: &UdpSocket) -> io::Result<()> {
        let mut buffer = [0; 512];
        loop {
            let (length, peer) = socket.recv_from(&mut buffer)?;
            if let Some(reply) = self.reply(buffer.get(..length).unwrap_or_default(), false) {
                socket.send_to(&reply, peer)?;
            }
        }
    }

    /// Messages over TCP have their length before them (RFC 1035, section 4.2.2).
    fn serve_tcp(&self, mut stream: impl Read + Write) -> io::Result<()> {
        if !self.lock().zone.takes_tcp {
            return Ok(());
        }
        let mut length = [0; 2];
        stream.read_exact(&mut length)?;
        let mut query = vec![0; usize::from(u16::from_be_bytes(length))];
        stream.read_exact(&mut query)?;
        match self.reply(&query, true) {
            Some(reply) => {
                let length = u16::try_from(reply.len()).map_err(io::Error::other)?;
                stream.write_all(&[&length.to_be_bytes(), reply.as_slice()].concat())
            }
            None => Ok(()),
        }
    }

    /// The reply to a query with one question; `None` for silence, and for what is no such query.
    fn reply(&self, query: &[u8], over_tcp: bool) -> Option<Vec<u8>> {
        let question = Question::parse(query)?;
        let mut state = self.lock();
        state.queries.push((question.name.clone(), question.family));
        let zone = &state.zone;
        if zone.refuses_edns && question.has_more_records {
            return Some(question.reply(FORMAT_ERROR, 0, &[]));
        }
        if question.name != zone.name {
            return Some(question.reply(NO_SUCH_NAME, 0, &[]));
        }
        let answer = match question.family {
            Family::V4 => &zone.v4,
            Family::V6 => &zone.v6,
        };
        let addresses = |owner: &[u8], addresses: &[IpAddr]| -> Vec<Record> {
            addresses.iter().map(|ip| Record::address(owner, *ip, zone.ttl)).collect()
        };
        let asked = question.encoded.as_slice();
        Some(match answer {
            Answer::Silence => return None,
            Answer::Garbage => vec![0xff; 17],
            Answer::Code(code) => question.reply(*code, 0, &[]),
            Answer::Truncated(_) if !over_tcp => question.reply(0, TRUNCATED, &[]),
            Answer::Addresses(found) | Answer::Truncated(found) => {
                question.reply(0, 0, &addresses(asked, found))
            }
            Answer::WrongId(found) => {
                let mut reply = question.reply(0, 0, &addresses(asked, found));
                reply.iter_mut().take(2).for_each(|byte| *byte ^= 0x55);
                reply
            }
            Answer::Aliases(count, found) => {
                let mut owner = asked.to_vec();
                let mut records = Vec::new();
                for number in 0..*count {
                    let next = encoded(&format!("alias{number}.test"));
                    records.push(Record { owner, kind: TYPE_CNAME, ttl: zone.ttl, data: next.clone() });
                    owner = next;
                }
                records.extend(addresses(&owner, found));
                question.reply(0, 0, &records)
            }
            Answer::AliasLoop => {
                let other = encoded("other.test");
                let alias = |owner: &[u8], data: &[u8]| Record {
                    owner: owner.to_vec(),
                    kind: TYPE_CNAME,
                    ttl: zone.ttl,
                    data: data.to_vec(),
                };
                question.reply(0, 0, &[alias(asked, &other), alias(&other, asked)])
            }
        })
    }
}

/// What a query asks.
struct Question {
    id: [u8; 2],
    name: String,
    encoded: Vec<u8>,
    family: Family,
    /// As it was asked, for the reply.
    bytes: Vec<u8>,
    /// Another section has records.
    has_more_records: bool,
}

impl Question {
    fn parse(query: &[u8]) -> Option<Self> {
        let body = query.get(HEADER..)?;
        let end = body.iter().position(|byte| *byte == 0)? + 1;
        let encoded = body.get(..end)?.to_vec();
        let kind = u16::from_be_bytes(body.get(end..end + 2)?.try_into().ok()?);
        let family = match kind {
            TYPE_A => Family::V4,
            TYPE_AAAA => Family::V6,
            _ => return None,
        };
        Some(Self {
            id: query.get(..2)?.try_into().ok()?,
            name: decoded(&encoded)?,
            encoded,
            family,
            bytes: body.get(..end + 4)?.to_vec(),
            has_more_records: query.get(10..12)? != [0, 0],
        })
    }

    fn reply(&self, code: u8, flags: u8, records: &[Record]) -> Vec<u8> {
        let count = u16::try_from(records.len()).unwrap_or(u16::MAX).to_be_bytes();
        let mut reply = self.id.to_vec();
        reply.extend([0x81 | flags, 0x80 | code, 0, 1, count[0], count[1], 0, 0, 0, 0]);
        reply.extend(&self.bytes);
        records.iter().for_each(|record| record.append_to(&mut reply));
        reply
    }
}

/// A record of an answer.
struct Record {
    owner: Vec<u8>,
    kind: u16,
    ttl: u32,
    data: Vec<u8>,
}

impl Record {
    fn address(owner: &[u8], ip: IpAddr, ttl: u32) -> Self {
        let (kind, data) = match ip {
            IpAddr::V4(ip) => (TYPE_A, ip.octets().to_vec()),
            IpAddr::V6(ip) => (TYPE_AAAA, ip.octets().to_vec()),
        };
        Self { owner: owner.to_vec(), kind, ttl, data }
    }

    fn append_to(&self, message: &mut Vec<u8>) {
        message.extend(&self.owner);
        message.extend(self.kind.to_be_bytes());
        // Class IN.
        message.extend([0, 1]);
        message.extend(self.ttl.to_be_bytes());
        message.extend(u16::try_from(self.data.len()).unwrap_or(u16::MAX).to_be_bytes());
        message.extend(&self.data);
    }
}

/// A name as labels with their lengths (RFC 1035, section 3.1).
fn encoded(name: &str) -> Vec<u8> {
    let mut bytes = Vec::new();
    for label in name.split('.') {
        bytes.push(u8::try_from(label.len()).unwrap_or(u8::MAX));
        bytes.extend(label.as_bytes());
    }
    bytes.push(0);
    bytes
}

fn decoded(encoded: &[u8]) -> Option<String> {
    let mut labels = Vec::new();
    let mut rest = encoded;
    while let Some((length, after)) = rest.split_first().filter(|(length, _)| **length > 0) {
        let (label, more) = after.split_at_checked(usize::from(*length))?;
        labels.push(String::from_utf8_lossy(label).to_ascii_lowercase());
        rest = more;
    }
    Some(labels.join("."))
}
