//! A name server that says what a test wants.

use std::{
    io,
    net::{IpAddr, UdpSocket},
    sync::{Arc, Mutex},
    thread,
};

/// What a name server says.
#[derive(Debug, Clone)]
pub(crate) enum Answer {
    /// These addresses, as far as they are of the kind that was asked for.
    Addresses(Vec<IpAddr>),
    /// This response code (RFC 1035, 4.1.1).
    Code(u8),
}

/// Answers on this socket, for as long as the test runs; what it says can be changed.
pub(crate) fn serve(socket: UdpSocket, first: Answer) -> Arc<Mutex<Answer>> {
    let answer = Arc::new(Mutex::new(first));
    let current = Arc::clone(&answer);
    thread::spawn(move || -> io::Result<()> {
        let mut buffer = [0; 512];
        loop {
            let (len, peer) = socket.recv_from(&mut buffer)?;
            let answer = current.lock().expect("no panic").clone();
            socket.send_to(&reply(&buffer[..len], &answer), peer)?;
        }
    });
    answer
}

/// The reply to a query with one question.
fn reply(query: &[u8], answer: &Answer) -> Vec<u8> {
    let name_end = 12 + query[12..].iter().position(|byte| *byte == 0).expect("a name") + 1;
    let wants_v6 = query[name_end..name_end + 2] == [0, 28];
    let (code, addresses) = match answer {
        Answer::Addresses(addresses) => {
            (0, addresses.iter().filter(|ip| ip.is_ipv6() == wants_v6).copied().collect())
        }
        Answer::Code(code) => (*code, Vec::new()),
    };
    let count = u8::try_from(addresses.len()).expect("few");
    let mut reply = query[..2].to_vec();
    reply.extend([0x81, 0x80 | code, 0, 1, 0, count, 0, 0, 0, 0]);
    reply.extend(&query[12..name_end + 4]);
    for address in addresses {
        let bytes = match address {
            IpAddr::V4(ip) => ip.octets().to_vec(),
            IpAddr::V6(ip) => ip.octets().to_vec(),
        };
        // The name is that of the question; class IN, a second.
        reply.extend([
            0xc0,
            12,
            0,
            if wants_v6 { 28 } else { 1 },
            0,
            1,
            0,
            0,
            0,
            1,
            0,
            if wants_v6 { 16 } else { 4 },
        ]);
        reply.extend(bytes);
    }
    reply
}
