//! Users of this machine, from its `/etc/passwd` (passwd(5)), which may be that of a captured tree.

use std::path::{Path, PathBuf};

use super::{Sysroot, read};

/// A user.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Account {
    pub(super) name: String,
    pub(super) uid: u32,
    /// The user's own group.
    pub(super) gid: u32,
    pub(super) home: PathBuf,
}

/// The user with this name, or this number in digits, which systemd takes as well.
pub(super) fn named(root: &Sysroot, name: &str) -> Option<Account> {
    all(root).into_iter().find(|account| account.name == name || account.uid.to_string() == name)
}

/// The user with this number.
pub(super) fn with_uid(root: &Sysroot, uid: u32) -> Option<Account> {
    all(root).into_iter().find(|account| account.uid == uid)
}

fn all(root: &Sysroot) -> Vec<Account> {
    read(root, Path::new("/etc/passwd")).unwrap_or_default().lines().filter_map(parse).collect()
}

fn parse(line: &str) -> Option<Account> {
    let mut fields = line.split(':');
    let name = fields.next()?.to_owned();
    let uid = fields.nth(1)?.parse().ok()?;
    let gid = fields.next()?.parse().ok()?;
    let home = fields.nth(1)?.into();
    Some(Account { name, uid, gid, home })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parses_lines_of_passwd() {
        let pi = Account { name: "pi".to_owned(), uid: 1000, gid: 1001, home: "/home/pi".into() };
        assert_eq!(parse("pi:x:1000:1001:,,,:/home/pi:/bin/bash"), Some(pi));
        for wrong in ["", "pi", "pi:x:a:1:g:/h:/s", "+::::::"] {
            assert_eq!(parse(wrong), None, "{wrong}");
        }
    }
}
