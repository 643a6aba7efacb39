//! The VideoCore property mailbox, as `vcgencmd` of raspi-utils uses it.
//!
//! Since the images of mid-2026 group `video` may open only `/dev/vcio_gencmd`, which takes nothing but the tag for
//! general commands; before, `/dev/vcio`. So that tag is the only one that is used here.

use std::{
    fs::{File, OpenOptions},
    os::{
        fd::{AsRawFd, RawFd},
        unix::fs::OpenOptionsExt,
    },
};

use heartbeat_core::SensorError;
use nix::fcntl::OFlag;

use super::{Gencmd, REPLY_MAX};
use crate::sources::sysroot::{Sysroot, sensor_error};

/// The device nodes, the one with fewer rights first.
pub(super) const NODES: [&str; 2] = ["/dev/vcio_gencmd", "/dev/vcio"];

/// Tag of a general command: the value is an error code and text, the command on the way in, its answer on the way out.
const TAG_GENCMD: u32 = 0x0003_0080;
/// Answer codes of the whole message.
const REQUEST: u32 = 0;
const SUCCESS: u32 = 0x8000_0000;

/// Words before the text: size, code, tag, size of the value, its used size, error.
const HEADER: usize = 6;
/// The whole message, with the end tag.
pub(crate) const WORDS: usize = HEADER + REPLY_MAX / 4 + 1;
pub(crate) type Message = [u32; WORDS];

/// One device node.
#[derive(Debug)]
pub(super) struct Mailbox {
    node: &'static str,
    file: Option<File>,
}

impl Mailbox {
    /// Opens nothing before the first question.
    pub(super) const fn new(node: &'static str) -> Self {
        Self { node, file: None }
    }
}

impl Gencmd for Mailbox {
    fn place(&self) -> String {
        self.node.to_owned()
    }

    fn ask(&mut self, _: &Sysroot, command: &str) -> Result<String, SensorError> {
        let file = match self.file.take() {
            Some(file) => file,
            None => {
                let mut options = OpenOptions::new();
                options.read(true).custom_flags(OFlag::O_NONBLOCK.bits());
                options.open(self.node).map_err(|error| {
                    error
                        .raw_os_error()
                        .map_or(SensorError::Io, |code| sensor_error(nix::errno::Errno::from_raw(code)))
                })?
            }
        };
        let mut message = encode(command).ok_or(SensorError::Invalid)?;
        ioctl::exchange(file.as_raw_fd(), &mut message).map_err(sensor_error)?;
        self.file = Some(file);
        decode(&message).ok_or(SensorError::Invalid)
    }
}

/// The only unsafe code of this program.
#[allow(unsafe_code)]
mod ioctl {
    use super::{Message, RawFd};

    mod raw {
        // _IOWR(100, 0, char *) of the kernel's drivers/char/broadcom/vcio.c: the number contains the size of a
        // pointer, the argument is the message itself.
        nix::ioctl_readwrite!(property, 100, 0, *mut u8);
    }

    /// Hands the message to the firmware and gets it back with the answer.
    pub(super) fn exchange(fd: RawFd, message: &mut Message) -> nix::Result<()> {
        // SAFETY: the driver reads the message's size from its first word, which `encode` sets to the size of the
        // whole array, and reads and writes no more than that. The array outlives the call and is aligned for u32,
        // as the driver's own buffer is.
        unsafe { raw::property(fd, message.as_mut_ptr().cast()) }.map(drop)
    }
}

/// The message for `command`; `None` when it does not fit or holds a NUL.
fn encode(command: &str) -> Option<Message> {
    // With its NUL.
    if command.len() >= REPLY_MAX || command.contains('\0') {
        return None;
    }
    let mut message = [0; WORDS];
    let header = [
        u32::try_from(size_of::<Message>()).ok()?,
        REQUEST,
        TAG_GENCMD,
        u32::try_from(REPLY_MAX).ok()?,
        0,
        0,
    ];
    message.get_mut(..HEADER)?.copy_from_slice(&header);
    for (word, chunk) in message.get_mut(HEADER..)?.iter_mut().zip(command.as_bytes().chunks(4)) {
        let mut bytes = [0; 4];
        bytes.get_mut(..chunk.len())?.copy_from_slice(chunk);
        *word = u32::from_ne_bytes(bytes);
    }
    Some(message)
}

/// The text of an answer; `None` when the firmware says that it failed, or when the text has no end or is no text.
pub(crate) fn decode(message: &Message) -> Option<String> {
    let [_, SUCCESS, TAG_GENCMD, _, _, 0, text @ ..] = message else { return None };
    let bytes: Vec<u8> = text.iter().take(REPLY_MAX / 4).flat_map(|word| word.to_ne_bytes()).collect();
    let end = bytes.iter().position(|byte| *byte == 0)?;
    String::from_utf8(bytes.get(..end)?.to_vec()).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What the firmware makes of a request.
    fn answer(text: &[u8], change: impl FnOnce(&mut Message)) -> Option<String> {
        let mut message = encode("measure_temp").expect("fits");
        message[1] = SUCCESS;
        message[HEADER..].fill(0);
        for (index, byte) in text.iter().enumerate() {
            let mut bytes = message[HEADER + index / 4].to_ne_bytes();
            bytes[index % 4] = *byte;
            message[HEADER + index / 4] = u32::from_ne_bytes(bytes);
        }
        change(&mut message);
        decode(&message)
    }

    #[test]
    fn lays_a_request_out_as_the_driver_wants_it() {
        let message = encode("abcde").expect("fits");
        let text = [u32::from_ne_bytes(*b"abcd"), u32::from_ne_bytes(*b"e\0\0\0"), 0];
        assert_eq!(message[..6], [1052, 0, 0x30080, 1024, 0, 0], "vcgencmd's message has 263 words");
        assert_eq!(message[6..9], text);
        assert_eq!(encode(&"x".repeat(1024)), None);
        assert_eq!(encode("a\0b"), None);
    }

    #[test]
    fn rejects_answers_that_are_none() {
        assert_eq!(answer(b"temp=48.8'C", |_| {}).as_deref(), Some("temp=48.8'C"));
        assert_eq!(answer(b"temp=48.8'C", |message| message[1] = 0x8000_0001), None, "failed");
        assert_eq!(answer(b"temp=48.8'C", |message| message[1] = REQUEST), None, "not answered");
        assert_eq!(answer(b"temp=48.8'C", |message| message[5] = 1), None, "error of the command");
        assert_eq!(answer(&[b'x'; 1024], |_| {}), None, "no end");
        assert_eq!(answer(b"\xff\xfe", |_| {}), None, "no text");
    }

    #[test]
    fn is_absent_without_the_device() {
        let root = Sysroot::new(std::path::Path::new("/")).expect("opened");
        assert_eq!(Mailbox::new("/dev/nonexistent").ask(&root, "measure_temp"), Err(SensorError::Absent));
        // A device that knows no such call.
        assert_eq!(Mailbox::new("/dev/null").ask(&root, "measure_temp"), Err(SensorError::Io));
    }
}
