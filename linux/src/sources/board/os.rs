//! The system that runs on the board, with its kernel.

use heartbeat_core::{SensorError, limits::OS_MAX, text::Text};

use crate::sources::sysroot::{Sysroot, read_whole};

/// "The file /etc/os-release takes precedence over /usr/lib/os-release" (os-release(5)).
pub(super) const PLACE: &str = "/etc/os-release";
const OTHERWISE: &str = "/usr/lib/os-release";
/// What `uname -r` prints.
const KERNEL: &str = "/proc/sys/kernel/osrelease";

/// Greatest length of a file that is read; Debian's has 300 bytes.
const READ_MAX: u64 = 16 * 1024;

pub(super) fn read(root: &Sysroot) -> Result<Text<OS_MAX>, SensorError> {
    let name = match root.open(PLACE) {
        Err(SensorError::Absent) => root.open(OTHERWISE),
        opened => opened,
    };
    let name = name.and_then(|file| read_whole(file, READ_MAX)).map(|text| pretty_name(&text));
    let mut buffer = [0; 128];
    let kernel = root.read_text(KERNEL, &mut buffer);
    match (name, kernel) {
        (Ok(Some(name)), Ok(kernel)) => Ok(Text::new(&format!("{name}, Linux {kernel}"))),
        (Ok(Some(name)), Err(_)) => Ok(Text::new(&name)),
        (_, Ok(kernel)) => Ok(Text::new(&format!("Linux {kernel}"))),
        (Ok(None), Err(error)) | (Err(error), Err(SensorError::Absent)) | (Err(_), Err(error)) => Err(error),
    }
}

/// `PRETTY_NAME`, or else `NAME`. The last line of a name counts, as in a shell.
pub(crate) fn pretty_name(text: &[u8]) -> Option<String> {
    let text = String::from_utf8_lossy(text);
    let value = |wanted| {
        let lines = text.lines().filter_map(|line| line.trim().split_once('='));
        let mut values = lines.filter(|(key, _)| *key == wanted).map(|(_, value)| unquoted(value));
        values.next_back().filter(|value| !value.trim().is_empty())
    };
    value("PRETTY_NAME").or_else(|| value("NAME"))
}

/// A value without its quotes. "$", quotes, backslash and backtick are escaped with backslashes, following shell style
/// (os-release(5)); in single quotes a backslash is one (POSIX shell, 2.2.2).
fn unquoted(value: &str) -> String {
    if let Some(literal) = value.strip_prefix('\'') {
        return literal.strip_suffix('\'').unwrap_or(literal).to_owned();
    }
    let mut plain = String::new();
    let mut characters = value.chars();
    while let Some(character) = characters.next() {
        match character {
            '"' => {}
            '\\' => plain.extend(characters.next()),
            other => plain.push(other),
        }
    }
    plain
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    #[test]
    fn takes_the_name_for_people_without_its_quotes() {
        for (text, name) in [
            (
                "PRETTY_NAME=\"Debian GNU/Linux 12 (bookworm)\"\nNAME=\"Debian GNU/Linux\"\n",
                "Debian GNU/Linux 12 (bookworm)",
            ),
            ("NAME=\"Arch Linux ARM\"\nPRETTY_NAME=\"\"\n", "Arch Linux ARM"),
            ("PRETTY_NAME='Buildroot 2024.02'\n", "Buildroot 2024.02"),
            ("PRETTY_NAME=Alpine\n", "Alpine"),
            ("PRETTY_NAME=\"a \\\"b\\\" \\$c\"\n", "a \"b\" $c"),
            ("PRETTY_NAME=old\nPRETTY_NAME=new\n", "new"),
        ] {
            assert_eq!(pretty_name(text.as_bytes()).as_deref(), Some(name), "{text}");
        }
        for text in ["", "# PRETTY_NAME=x\n", "XPRETTY_NAME=x\n", "PRETTY_NAME"] {
            assert_eq!(pretty_name(text.as_bytes()), None, "{text}");
        }
    }

    #[test]
    fn names_the_kernel_beside_the_system() {
        let dir = tempfile::tempdir().expect("a directory");
        let root = Sysroot::new(dir.path()).expect("opened");
        for directory in ["etc", "usr/lib", "proc/sys/kernel"] {
            fs::create_dir_all(dir.path().join(directory)).expect("created");
        }
        assert_eq!(read(&root), Err(SensorError::Absent));
        fs::write(dir.path().join("usr/lib/os-release"), "PRETTY_NAME=Yocto\n").expect("written");
        assert_eq!(read(&root), Ok("Yocto".into()));
        fs::write(dir.path().join("proc/sys/kernel/osrelease"), "6.6.51+rpt-rpi-v8\n").expect("written");
        assert_eq!(read(&root), Ok("Yocto, Linux 6.6.51+rpt-rpi-v8".into()));
        fs::write(dir.path().join("etc/os-release"), "PRETTY_NAME=Debian\n").expect("written");
        assert_eq!(read(&root), Ok("Debian, Linux 6.6.51+rpt-rpi-v8".into()));
        fs::write(dir.path().join("etc/os-release"), "").expect("written");
        assert_eq!(read(&root), Ok("Linux 6.6.51+rpt-rpi-v8".into()));
    }
}
