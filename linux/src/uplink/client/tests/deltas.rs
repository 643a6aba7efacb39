//! Deltas: over the connection of their full document only, and the full one at once where they are not understood.

use super::*;

const FULL: &[u8] = b"{\"full\":1}";
const DELTA: &[u8] = b"{\"delta\":1}";
const UNDERSTOOD: &[u8] = b"HTTP/1.1 204 No Content\r\nHeartbeat-Accept: gzip, Delta\r\n\r\n";
const CONFLICT: &[u8] = b"HTTP/1.1 409 Conflict\r\nContent-Length: 2\r\n\r\n{}";

/// What came over a connection with this number: whether it was a delta.
type Seen = (usize, bool);

/// A server that answers each request as told, by what it has seen so far, and closes when there is no answer.
fn taking(
    answer: impl Fn(&[Seen]) -> Option<&'static [u8]> + Send + Sync + 'static,
) -> (SocketAddr, Arc<Mutex<Vec<Seen>>>) {
    let seen: Arc<Mutex<Vec<Seen>>> = Arc::default();
    let theirs = Arc::clone(&seen);
    let address = server(move |number, mut stream| {
        loop {
            let head_and_body = request(&mut stream)?;
            let is_delta = head_and_body.ends_with(DELTA);
            assert!(is_delta || head_and_body.ends_with(FULL));
            let mut seen = theirs.lock().expect("no panic");
            seen.push((number, is_delta));
            let Some(answer) = answer(&seen) else { return Ok(()) };
            drop(seen);
            stream.write_all(answer)?;
        }
    });
    (address, seen)
}

/// One whole request.
fn request(stream: &mut TcpStream) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    loop {
        let mut byte = [0];
        stream.read_exact(&mut byte)?;
        bytes.push(byte[0]);
        if bytes.ends_with(FULL) || bytes.ends_with(DELTA) {
            return Ok(bytes);
        }
    }
}

fn device(address: SocketAddr) -> Device {
    Device::new(&format!("http://{address}/"), None, LONG)
}

/// Sends a heartbeat whose full document was confirmed over this connection: how it went over the wire.
fn beat(device: &mut Device, confirmed: Option<u64>) -> (Option<u64>, bool) {
    let timeout = CoreDuration::from(LONG);
    match confirmed {
        Some(connection) => device.uplink.send_either(FULL, Delta { document: DELTA, connection }, timeout),
        None => device.uplink.send(FULL, timeout),
    }
    let outcome = device.outcome();
    assert!(outcome.verdict.is_accepted(), "{outcome:?}");
    (outcome.wire.understands_deltas, outcome.wire.was_delta)
}

#[test]
fn deltas_go_over_the_connection_of_their_full_document_only() {
    let (address, seen) = taking(|seen| (seen.len() != 3).then_some(UNDERSTOOD));
    let mut device = device(address);
    assert_eq!(beat(&mut device, Some(7)), (Some(1), false), "a connection that never was");
    assert_eq!(beat(&mut device, Some(1)), (Some(1), true));
    // The server closes the connection instead of an answer.
    assert_eq!(beat(&mut device, Some(1)), (Some(2), false), "over the next one all is said");
    assert_eq!(beat(&mut device, Some(1)), (Some(2), false));
    assert_eq!(beat(&mut device, Some(2)), (Some(2), true));
    let expected = [(0, false), (0, true), (0, true), (1, false), (1, false), (1, true)];
    assert_eq!(*seen.lock().expect("no panic"), expected);
}

#[test]
fn full_document_follows_at_once_where_a_delta_is_not_understood() {
    for refusal in [CONFLICT, b"HTTP/1.1 422 No\r\nContent-Length: 0\r\n\r\n"] {
        let (address, seen) = taking(move |seen| Some(if seen.len() == 2 { refusal } else { UNDERSTOOD }));
        let mut device = device(address);
        assert_eq!(beat(&mut device, None), (Some(1), false));
        assert_eq!(beat(&mut device, Some(1)), (Some(1), false), "taken, but not as delta");
        assert_eq!(beat(&mut device, Some(1)), (Some(1), true));
        assert_eq!(*seen.lock().expect("no panic"), [(0, false), (0, true), (0, false), (0, true)]);
    }
}

#[test]
fn refusal_of_the_device_is_one_whatever_the_form() {
    let (address, seen) = taking(|seen| {
        Some(if seen.len() == 2 { b"HTTP/1.1 401 No\r\nContent-Length: 0\r\n\r\n" } else { UNDERSTOOD })
    });
    let mut device = device(address);
    beat(&mut device, None);
    let delta = Delta { document: DELTA, connection: 1 };
    device.uplink.send_either(FULL, delta, CoreDuration::from(LONG));
    let outcome = device.outcome();
    assert_eq!(message(&outcome), "the server refused the heartbeat (401)");
    assert_eq!(seen.lock().expect("no panic").len(), 2);
}

#[test]
fn servers_that_take_turns_are_sent_full_documents_in_the_end() {
    let (address, seen) = taking(|seen| {
        Some(if seen.last().is_some_and(|(_, is_delta)| *is_delta) { CONFLICT } else { UNDERSTOOD })
    });
    let mut device = device(address);
    let mut confirmed = None;
    for _ in 0..10 {
        confirmed = beat(&mut device, confirmed).0;
    }
    let deltas = seen.lock().expect("no panic").iter().filter(|(_, is_delta)| *is_delta).count();
    assert_eq!((confirmed, deltas), (None, 3));
}

#[test]
fn server_that_says_nothing_understands_nothing() {
    let (address, _) = taking(|_| Some(OK));
    let mut device = device(address);
    assert_eq!(beat(&mut device, None), (None, false));
}

#[test]
fn delta_has_a_shorter_head() {
    let (sender, requests) = mpsc::channel();
    let address = server(move |_, mut stream| {
        loop {
            sender.send(String::from_utf8(request(&mut stream)?).expect("text")).expect("the test waits");
            stream.write_all(UNDERSTOOD)?;
        }
    });
    let mut device = device(address);
    beat(&mut device, None);
    assert_eq!(beat(&mut device, Some(1)), (Some(1), true));
    assert!(requests.recv().expect("a request").contains("user-agent: heartbeat-daemon/"));
    let expected = format!(
        "POST / HTTP/1.1\r\ncontent-length: 11\r\nhost: {address}\r\ncontent-type: application/json\r\n\r\n{{\"delta\":1}}"
    );
    assert_eq!(requests.recv().expect("a request"), expected);
}
