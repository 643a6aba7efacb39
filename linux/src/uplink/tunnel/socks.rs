//! SOCKS version 5 (RFC 1928), with a password (RFC 1929). The server's name is sent as it is: the proxy resolves it.

use std::net::IpAddr;

use super::{Progress, Refusal, TunnelTarget};

const VERSION: u8 = 5;
/// Version of the negotiation of a password (RFC 1929).
const PASSWORD_VERSION: u8 = 1;
/// Methods of authentication.
const NO_AUTHENTICATION: u8 = 0;
const PASSWORD: u8 = 2;
/// The command.
const CONNECT: u8 = 1;
const RESERVED: u8 = 0;
/// Types of addresses.
const IPV4: u8 = 1;
const NAME: u8 = 3;
const IPV6: u8 = 4;
const SUCCEEDED: u8 = 0;

/// The methods that this device can use.
pub(super) fn greeting(target: &TunnelTarget) -> Vec<u8> {
    match target.credentials {
        Some(_) => vec![VERSION, 2, NO_AUTHENTICATION, PASSWORD],
        None => vec![VERSION, 1, NO_AUTHENTICATION],
    }
}

/// Which answer is awaited.
#[derive(Debug, Clone, Copy)]
enum Await {
    Method,
    Authentication,
    Reply,
}

/// Waits for the answers.
#[derive(Debug)]
pub(super) struct Socks {
    awaits: Await,
    /// What has come of the answer, at most 262 bytes.
    answer: Vec<u8>,
    /// What is said when the method allows it.
    password: Option<Vec<u8>>,
    request: Vec<u8>,
}

impl Socks {
    pub(super) fn new(target: &TunnelTarget) -> Self {
        Self {
            awaits: Await::Method,
            answer: Vec::new(),
            password: password(target),
            request: request(target),
        }
    }

    pub(super) fn receive(&mut self, bytes: &[u8]) -> Result<Progress, Refusal> {
        for (index, byte) in bytes.iter().enumerate() {
            self.answer.push(*byte);
            let Some(progress) = self.answered()? else { continue };
            // It has to wait for what is said next, and the server until it is spoken to.
            if index + 1 < bytes.len() {
                return Err(protocol("more bytes than its answer"));
            }
            self.answer.clear();
            return Ok(progress);
        }
        Ok(Progress::More)
    }

    /// What the answer means; `None` while it is not complete.
    fn answered(&mut self) -> Result<Option<Progress>, Refusal> {
        match (self.awaits, self.answer.as_slice()) {
            (Await::Method | Await::Reply, [first, ..]) if *first != VERSION => {
                Err(protocol("it does not begin as SOCKS version 5 does"))
            }
            (Await::Method, [_, NO_AUTHENTICATION]) => Ok(Some(self.ask())),
            (Await::Method, [_, method]) => match self.password.take() {
                Some(password) if *method == PASSWORD => {
                    self.awaits = Await::Authentication;
                    Ok(Some(Progress::Say(password)))
                }
                Some(_) => {
                    Err(Refusal::Refused("it accepts neither a password nor going without".to_owned()))
                }
                None => Err(Refusal::Refused("it wants a user and a password".to_owned())),
            },
            // Some proxies answer with the version of SOCKS; curl does not look at it either.
            (Await::Authentication, [_, SUCCEEDED]) => Ok(Some(self.ask())),
            (Await::Authentication, [_, _]) => {
                Err(Refusal::Refused("it does not accept the user and the password".to_owned()))
            }
            (Await::Reply, [_, reply, ..]) if *reply != SUCCEEDED => Err(refusal(*reply)),
            (Await::Reply, [_, _, _, kind, rest @ ..]) => {
                let address = match *kind {
                    IPV4 => 4,
                    IPV6 => 16,
                    NAME => match rest.first() {
                        Some(length) => 1 + usize::from(*length),
                        None => return Ok(None),
                    },
                    _ => return Err(protocol("an unknown type of address")),
                };
                // A port follows.
                Ok((rest.len() == address + 2).then_some(Progress::Open))
            }
            _ => Ok(None),
        }
    }

    fn ask(&mut self) -> Progress {
        self.awaits = Await::Reply;
        Progress::Say(std::mem::take(&mut self.request))
    }
}

fn password(target: &TunnelTarget) -> Option<Vec<u8>> {
    let credentials = target.credentials.as_ref()?;
    let mut words = vec![PASSWORD_VERSION];
    for part in [&credentials.user, &credentials.password] {
        push_text(&mut words, part.reveal());
    }
    Some(words)
}

fn request(target: &TunnelTarget) -> Vec<u8> {
    let mut words = vec![VERSION, CONNECT, RESERVED];
    match target.host.parse() {
        Ok(IpAddr::V4(ip)) => {
            words.push(IPV4);
            words.extend(ip.octets());
        }
        Ok(IpAddr::V6(ip)) => {
            words.push(IPV6);
            words.extend(ip.octets());
        }
        Err(_) => {
            words.push(NAME);
            push_text(&mut words, &target.host);
        }
    }
    words.extend(target.port.to_be_bytes());
    words
}

/// A text after its length. Names of hosts, users and passwords have at most 255 bytes.
fn push_text(words: &mut Vec<u8>, text: &str) {
    let length = u8::try_from(text.len()).unwrap_or(u8::MAX);
    words.push(length);
    words.extend(text.bytes().take(usize::from(length)));
}

/// What the proxy says about its attempt to reach the server (RFC 1928, section 6).
fn refusal(reply: u8) -> Refusal {
    let words = match reply {
        1 => "general failure",
        2 => return Refusal::Refused("its rules do not allow it".to_owned()),
        3 => "no route to the server's network",
        4 => "the server's host is not reached, or its name not known",
        5 => "the server refuses connections",
        6 => "no answer of the server in time",
        7 => return Refusal::Refused("it makes no connections".to_owned()),
        8 => return Refusal::Refused("it does not take this type of address".to_owned()),
        _ => return Refusal::Unreached(format!("reply {reply}")),
    };
    Refusal::Unreached(words.to_owned())
}

fn protocol(words: &str) -> Refusal {
    Refusal::Protocol(words.to_owned())
}
