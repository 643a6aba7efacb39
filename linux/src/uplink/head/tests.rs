use super::*;
use proptest::prelude::*;

fn read(reply: &[u8]) -> Result<Option<Head>, HeadError> {
    HeadReader::new().read(reply).map(|(_, head)| head)
}

fn rendered(head: &Head, body: Body) -> String {
    let mut text = Vec::new();
    head.render(body, &mut text).expect("written");
    String::from_utf8(text).expect("text")
}

fn head(reply: &str) -> Head {
    read(reply.as_bytes()).expect(reply).expect(reply)
}

/// Each is a delivery over a connection that can be used again.
#[test]
fn odd_replies_that_other_clients_accept_count() {
    for reply in [
        "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n",
        "HTTP/1.1 200 \r\nContent-Length: 2\r\n\r\n",
        "HTTP/1.1 200\r\nContent-Length: 2\r\n\r\n",
        "HTTP/1.1 200 OK\nContent-Length: 2\n\n",
        "\r\nHTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n",
        "HTTP/1.1 200 Tr\u{e8}s bien\r\nContent-Length: 2\r\n\r\n",
        "HTTP/1.1 100 Continue\r\nServer: IIS\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n",
        "HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n",
        "HTTP/1.1 200 OK\r\nX-Foo : bar\r\nContent-Length : 2\r\n\r\n",
        "HTTP/1.1 200 OK\r\nX Foo(bar): 1\r\nContent-Length: 2\r\n\r\n",
        "HTTP/1.1 200 OK\r\nWarning: undefined variable in x.php\r\nGarbage line\r\ncontent-length:2\r\n\r\n",
        "HTTP/1.1 200 OK\r\nX-Fold: a\r\n b\r\n\tc: d\r\nContent-Length: 2\r\n\r\n",
        "HTTP/1.1 200 OK\r\nX-Nul: a\0b\u{7f}\r\nContent-Length: 2\r\n\r\n",
        "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: 2\r\n\r\n",
        "HTTP/1.1 200 OK\r\nContent-Length: 2, 2\r\n\r\n",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: identity\r\nContent-Length: 2\r\n\r\n",
        "HTTP/1.0 200 OK\r\nConnection: Keep-Alive\r\nContent-Length: 2\r\n\r\n",
        "HTTP/1.1 200 OK\r\nConnection: Upgrade, Keep-Alive\r\nContent-Length: 2\r\n\r\n",
    ] {
        let head = head(reply);
        assert_eq!((head.status, head.body, head.closes), (200, Body::Length(2), false), "{reply:?}");
    }
}

#[test]
fn unclear_length_costs_the_connection_only() {
    for length in ["-1", "+2", "", "2, 3", "2\r\nContent-Length: 3", "2\r\n 3", "99999999999999999999"] {
        let head = head(&format!("HTTP/1.1 200 OK\r\nContent-Length: {length}\r\n\r\n"));
        assert_eq!((head.status, head.body, head.closes), (200, Body::Unclear, true), "{length:?}");
    }
    for coding in ["gzip", "gzip, chunked", "chunked\r\nTransfer-Encoding: chunked", "chunked\r\n x"] {
        let head = head(&format!("HTTP/1.1 200 OK\r\nTransfer-Encoding: {coding}\r\n\r\n"));
        assert_eq!((head.status, head.body, head.closes), (200, Body::Unclear, true), "{coding:?}");
    }
}

#[test]
fn server_says_that_it_understands_deltas() {
    for (said, expected) in [
        ("Heartbeat-Accept: delta", true),
        ("heartbeat-accept : x, DELTA ,y", true),
        ("Heartbeat-Accept: x\r\nHeartbeat-Accept: delta", true),
        ("Heartbeat-Accept: x,\r\n delta", true),
        ("Heartbeat-Accept: deltas", false),
        ("Heartbeat-Accept:", false),
        ("Accept: delta", false),
    ] {
        let head = head(&format!("HTTP/1.1 204 OK\r\n{said}\r\n\r\n"));
        assert_eq!(head.understands_deltas, expected, "{said:?}");
    }
}

#[test]
fn end_of_the_connection_is_recognised() {
    for (reply, body) in [
        ("HTTP/1.1 200 OK\r\n\r\n", Body::UntilEnd),
        ("HTTP/1.0 200 OK\r\nContent-Length: 2\r\n\r\n", Body::Length(2)),
        ("HTTP/1.1 200 OK\r\nConnection: x, CLOSE\r\nContent-Length: 2\r\n\r\n", Body::Length(2)),
        ("HTTP/1.1 200 OK\r\nConnection: x,\r\n close\r\nContent-Length: 2\r\n\r\n", Body::Length(2)),
        ("HTTP/1.1 101 Switching\r\nConnection: Upgrade\r\n\r\n", Body::None),
        ("HTTP/1.1 200 OK\r\nContent-Length: 2\r\nTransfer-Encoding: Chunked\r\n\r\n", Body::Chunked),
    ] {
        let head = head(reply);
        assert_eq!((head.body, head.closes), (body, true), "{reply:?}");
    }
}

#[test]
fn what_is_not_http_is_refused_at_once() {
    for reply in ["2", "220 mail.example.org ESMTP", "HTTX", "\r\n\r\nx", "http/1.1 200 OK"] {
        assert_eq!(read(reply.as_bytes()), Err(HeadError::NotHttp), "{reply:?}");
    }
    for line in ["HTTP/1.1 099 x", "HTTP/1.1 2000 x", "HTTP/1.1 20", "HTTP/x 200", "HTTP/ 200", "HTTP/1.1"] {
        assert_eq!(read(format!("{line}\r\n").as_bytes()), Err(HeadError::NotHttp), "{line:?}");
    }
}

#[test]
fn endless_heads_have_an_end() {
    let interim = b"HTTP/1.1 103 Early Hints\r\n\r\n".repeat(40);
    assert_eq!(read(&interim), Err(HeadError::TooManyInterim));
    let long = [b"HTTP/1.1 200 OK\r\nX: ".to_vec(), vec![b'x'; HEAD_MAX]].concat();
    assert_eq!(read(&long), Err(HeadError::TooLarge));
    let mut reader = HeadReader::new();
    reader.read(&long[..HEAD_MAX - 10]).expect("64 KiB are allowed");
    assert!(reader.line.capacity() <= LINE_MAX * 2, "{}", reader.line.capacity());
}

#[test]
fn body_is_left_to_the_caller() {
    let reply = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}";
    let mut reader = HeadReader::new();
    for (index, byte) in reply.iter().enumerate() {
        let (used, head) = reader.read(std::slice::from_ref(byte)).expect("a head");
        assert_eq!(used, 1);
        if head.is_some() {
            assert_eq!(index + 1, reply.len() - 2, "byte by byte");
            return;
        }
    }
    panic!("no head");
}

#[test]
fn head_is_rendered_with_what_matters() {
    let head = head(
        "HTTP/1.1 503 Busy\r\nX-Any: thing\r\nDate: Tue, 24 Nov 2026 12:00:00 GMT\r\nRetry-After: 120\r\n\
         Content-Length: 99999\r\n\r\n",
    );
    assert_eq!(
        rendered(&head, Body::None),
        "HTTP/1.1 503 \r\ncontent-length: 0\r\nconnection: close\r\nretry-after: 120\r\n\
         date: Tue, 24 Nov 2026 12:00:00 GMT\r\n\r\n"
    );
    assert!(!rendered(&head, head.body).contains("close"));
}

proptest! {
    #[test]
    fn any_reply_is_survived_and_rendered_for_any_parser(
        noise: Vec<u8>,
        status in 0u16..1000,
        names in proptest::collection::vec("(Content-Length|Transfer-Encoding|Connection|Date|Retry-After|X)[ :]{0,2}[ -~]{0,12}\r?\n[ \t]?", 0..6),
    ) {
        let _ = read(&noise);
        let reply = format!("HTTP/1.1 {status:03} x\r\n{}\r\n\r\n", names.concat());
        if let Ok(Some(head)) = read(reply.as_bytes()) {
            for body in [head.body, Body::None] {
                let rendered = rendered(&head, body);
                let mut headers = [httparse::EMPTY_HEADER; 8];
                let mut response = httparse::Response::new(&mut headers);
                prop_assert_eq!(response.parse(rendered.as_bytes()), Ok(httparse::Status::Complete(rendered.len())));
                prop_assert_eq!(response.code, Some(head.status));
            }
        }
    }
}
