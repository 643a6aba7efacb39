//! Deliveries to real sinks on loopback.

use std::{
    io::{BufRead, BufReader, Read, Write},
    net::{TcpListener, TcpStream},
    thread::{self, JoinHandle},
};

use super::*;
use crate::time::UnixMs;

fn message(doubtful: bool) -> MessageRow {
    MessageRow {
        id: 7,
        channel: "me".to_owned(),
        created_at: UnixMs(1_700_000_000_000),
        next_at: UnixMs(0),
        attempts: 1,
        doubtful,
        subject: "pi1: heiß".to_owned(),
        body: "pi1: hot, 83.2 °C\n\0{\"alerts\":[{\"hardware_id\":\"pi1\",\"kind\":\"hot\"}],\"more\":3}"
            .to_owned(),
    }
}

/// A webhook that answers one request with `answer` (or closes); what it got: head and body.
fn webhook(answer: &'static str) -> (String, JoinHandle<(String, String)>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}/hook", listener.local_addr().unwrap());
    let sink = thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        let mut reader = BufReader::new(stream.try_clone().unwrap());
        let mut head = String::new();
        while !head.ends_with("\r\n\r\n") {
            reader.read_line(&mut head).unwrap();
        }
        let lower = head.to_lowercase();
        let length = lower.lines().find_map(|line| line.strip_prefix("content-length: ")).unwrap();
        let mut body = vec![0; length.parse().unwrap()];
        reader.read_exact(&mut body).unwrap();
        stream.write_all(answer.as_bytes()).unwrap();
        (head, String::from_utf8(body).unwrap())
    });
    (url, sink)
}

const OK: &str = "HTTP/1.1 204 No Content\r\n\r\n";

#[test]
fn each_form_of_webhook_gets_what_it_understands() {
    let directory = tempfile::tempdir().unwrap();
    let token_file = directory.path().join("token");
    std::fs::write(&token_file, "secret\n").unwrap();

    let (url, sink) = webhook(OK);
    let json = Channel::Json { url, token_file: Some(token_file) };
    assert_eq!(webhook::send(&webhook::client(), &json, &message(true)), Attempt::Delivered);
    let (head, body) = sink.join().unwrap();
    assert!(head.to_lowercase().contains("authorization: bearer secret"), "{head}");
    let body: serde_json::Value = serde_json::from_str(&body).unwrap();
    assert_eq!((&body["alerts"][0]["kind"], &body["may_be_repeated"]), (&"hot".into(), &true.into()));
    assert_eq!(body["text"], "pi1: hot, 83.2 °C\n");
    assert_eq!(body["more_alerts"], 3);

    let (url, sink) = webhook(OK);
    let ntfy = Channel::Ntfy { url, token_file: None };
    assert_eq!(webhook::send(&webhook::client(), &ntfy, &message(false)), Attempt::Delivered);
    assert_eq!(sink.join().unwrap().1, "pi1: heiß\npi1: hot, 83.2 °C\n");

    let (url, sink) = webhook(OK);
    let slack = Channel::Slack { url };
    assert_eq!(webhook::send(&webhook::client(), &slack, &message(false)), Attempt::Delivered);
    let body: serde_json::Value = serde_json::from_str(&sink.join().unwrap().1).unwrap();
    assert_eq!(body["text"], "*pi1: heiß*\npi1: hot, 83.2 °C\n");
}

#[test]
fn nothing_in_a_message_is_a_mention_for_slack() {
    let (url, sink) = webhook(OK);
    let message = MessageRow { body: "<!channel> & <http://x|y>".to_owned(), ..message(false) };
    webhook::send(&webhook::client(), &Channel::Slack { url }, &message);
    let body: serde_json::Value = serde_json::from_str(&sink.join().unwrap().1).unwrap();
    assert_eq!(body["text"], "*pi1: heiß*\n&lt;!channel&gt; &amp; &lt;http://x|y&gt;");
}

#[test]
fn what_has_not_arrived_is_told_from_what_may_have() {
    let send = |url: String| webhook::send(&webhook::client(), &Channel::Slack { url }, &message(false));
    for refusal in [
        "HTTP/1.1 500 No\r\ncontent-length: 0\r\n\r\n",
        "HTTP/1.1 302 No\r\nlocation: /\r\ncontent-length: 0\r\n\r\n",
    ] {
        let (url, sink) = webhook(refusal);
        let attempt = send(url);
        assert!(matches!(attempt, Attempt::Failed(_)), "{attempt:?}");
        sink.join().unwrap();
    }
    for gateway in
        ["HTTP/1.1 502 No\r\ncontent-length: 0\r\n\r\n", "HTTP/1.1 504 No\r\ncontent-length: 0\r\n\r\n"]
    {
        let (url, sink) = webhook(gateway);
        let attempt = send(url);
        assert!(matches!(attempt, Attempt::Doubtful(_)), "a gateway: {attempt:?}");
        sink.join().unwrap();
    }
    let (url, sink) = webhook("");
    let attempt = send(url);
    assert!(matches!(attempt, Attempt::Doubtful(_)), "closed without an answer: {attempt:?}");
    sink.join().unwrap();
    let closed = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let attempt = send(format!("http://{closed}/"));
    assert!(matches!(attempt, Attempt::Failed(_)), "a closed port: {attempt:?}");
}

#[test]
fn a_channel_that_hangs_delays_no_other() {
    // It takes connections, and never answers.
    let hung = TcpListener::bind("127.0.0.1:0").unwrap();
    let (url, sink) = webhook(OK);
    let channels = [
        ("hung".to_owned(), Channel::Slack { url: format!("http://{}/", hung.local_addr().unwrap()) }),
        ("me".to_owned(), Channel::Slack { url }),
    ];
    let (commands, ended) = std::sync::mpsc::sync_channel(10);
    let outbox = start(channels.into(), Handle::new(commands), Lease::of_test()).unwrap();
    outbox.send(MessageRow { id: 1, channel: "hung".to_owned(), ..message(false) }).unwrap();
    outbox.send(MessageRow { id: 2, channel: "gone".to_owned(), ..message(false) }).unwrap();
    outbox.send(MessageRow { id: 3, ..message(false) }).unwrap();
    let mut first_two: Vec<_> = (0..2)
        .map(|_| match ended.recv().unwrap() {
            crate::engine::Command::Attempted(id, attempt) => (id, attempt),
            other => panic!("{other:?}"),
        })
        .collect();
    first_two.sort_by_key(|(id, _)| *id);
    assert!(matches!(&first_two[0], (2, Attempt::Failed(text)) if text.contains("no such channel")));
    assert_eq!(first_two[1], (3, Attempt::Delivered), "before the one that hangs has given up");
    sink.join().unwrap();
}

/// A mail server that takes one mail, or refuses its recipient; the mail.
fn mail_server(takes: bool) -> (String, JoinHandle<String>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("smtp://{}", listener.local_addr().unwrap());
    let sink = thread::spawn(move || {
        let (stream, _) = listener.accept().unwrap();
        converse(stream, takes)
    });
    (url, sink)
}

fn converse(mut stream: TcpStream, takes: bool) -> String {
    let mut reader = BufReader::new(stream.try_clone().unwrap());
    let (mut mail, mut in_data) = (String::new(), false);
    stream.write_all(b"220 sink\r\n").unwrap();
    loop {
        let mut line = String::new();
        if reader.read_line(&mut line).unwrap_or(0) == 0 {
            return mail;
        }
        let answer = match line.trim_end() {
            "." if in_data => {
                in_data = false;
                "250 taken\r\n"
            }
            text if in_data => {
                mail.push_str(text);
                mail.push('\n');
                continue;
            }
            "DATA" => {
                in_data = true;
                "354 go on\r\n"
            }
            text if text.starts_with("RCPT") && !takes => "550 nobody here\r\n",
            "QUIT" => "221 bye\r\n",
            _ => "250 ok\r\n",
        };
        if stream.write_all(answer.as_bytes()).is_err() {
            return mail;
        }
    }
}

#[test]
fn a_mail_goes_to_all_and_says_what_is_wrong() {
    let (smtp, sink) = mail_server(true);
    let to = ["a@example.org".to_owned(), "B <b@example.org>".to_owned()];
    assert_eq!(mail::send(&smtp, None, "heartbeat@example.org", &to, &message(true)), Attempt::Delivered);
    let mail = sink.join().unwrap();
    assert!(mail.contains("To: a@example.org, B <b@example.org>"), "{mail}");
    assert!(mail.contains("Subject: ") && mail.contains("pi1: hot"), "{mail}");
    assert!(!mail.contains("hardware_id"), "what is for programs is not in a mail: {mail}");
    // Without these, what is not ASCII arrives as other characters.
    for header in ["MIME-Version: 1.0", "Content-Type: text/plain; charset=utf-8"] {
        assert!(mail.lines().any(|line| line == header), "{mail}");
    }
    assert!(mail.contains("83.2 =C2=B0C"), "{mail}");
}

#[test]
fn a_mail_that_is_sent_again_has_the_same_id() {
    let to = ["a@example.org".to_owned()];
    let ids = [false, true].map(|doubtful| {
        let (smtp, sink) = mail_server(true);
        let from = "Heartbeat <heartbeat@example.org>";
        assert_eq!(mail::send(&smtp, None, from, &to, &message(doubtful)), Attempt::Delivered);
        let mail = sink.join().unwrap();
        mail.lines().find_map(|line| line.strip_prefix("Message-ID: ")).map(str::to_owned)
    });
    assert_eq!(ids[0].as_deref(), Some("<1700000000000.7@example.org>"));
    assert_eq!(ids[0], ids[1]);
}

#[test]
fn a_mail_that_is_refused_has_not_arrived() {
    let (smtp, sink) = mail_server(false);
    let to = ["a@example.org".to_owned()];
    let attempt = mail::send(&smtp, None, "heartbeat@example.org", &to, &message(false));
    assert!(matches!(&attempt, Attempt::Failed(text) if text.contains("nobody here")), "{attempt:?}");
    sink.join().unwrap();
    let attempt = mail::send("smtp://127.0.0.1:1", None, "no address", &to, &message(false));
    assert!(matches!(&attempt, Attempt::Failed(text) if text.contains("no address")), "{attempt:?}");
}

#[test]
fn a_mail_whose_server_was_not_reached_has_not_arrived() {
    let to = ["a@example.org".to_owned()];
    let send = |smtp: &str| mail::send(smtp, None, "heartbeat@example.org", &to, &message(false));
    let closed = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let attempt = send(&format!("smtp://{closed}"));
    assert!(matches!(attempt, Attempt::Failed(_)), "a closed port: {attempt:?}");
    let attempt = send("smtp://no-such-host.invalid");
    assert!(matches!(attempt, Attempt::Failed(_)), "an unknown name: {attempt:?}");
    // One that breaks off after the mail may have taken it.
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let smtp = format!("smtp://{}", listener.local_addr().unwrap());
    let sink = thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        let mut reader = BufReader::new(stream.try_clone().unwrap());
        stream.write_all(b"220 sink\r\n").unwrap();
        let mut line = String::new();
        while reader.read_line(&mut line).unwrap() > 0 && line != ".\r\n" {
            let answer: &[u8] = if line == "DATA\r\n" { b"354 go on\r\n" } else { b"250 ok\r\n" };
            // The lines of the mail itself are not answered.
            if line == "DATA\r\n" || ["EHLO", "MAIL", "RCPT"].iter().any(|verb| line.starts_with(verb)) {
                stream.write_all(answer).unwrap();
            }
            line.clear();
        }
    });
    let attempt = send(&smtp);
    assert!(matches!(attempt, Attempt::Doubtful(_)), "{attempt:?}");
    sink.join().unwrap();
}

#[test]
fn a_webhook_that_was_not_reached_in_time_has_nothing() {
    // It takes connections, and never answers a handshake.
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("https://{}/", silent.local_addr().unwrap());
    let client = webhook::client_within(std::time::Duration::from_millis(50));
    let attempt = webhook::send(&client, &Channel::Slack { url }, &message(false));
    assert!(matches!(attempt, Attempt::Failed(_)), "{attempt:?}");
}
