//! Users of this machine and their groups, from its `/etc/passwd` (passwd(5)) and `/etc/group` (group(5)), which may be
//! those of a tree. Other sources that a system may have (nsswitch.conf(5)) are not asked.

use std::path::{Path, PathBuf};

use super::sysroot::Sysroot;

/// Far more than thousands of users need.
const FILE_MAX: u64 = 1024 * 1024;

/// A user.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Account {
    pub(crate) name: String,
    pub(crate) uid: u32,
    /// The user's own group.
    pub(crate) gid: u32,
    pub(crate) home: PathBuf,
}

/// The user with this name, or this number in digits, which systemd takes as well.
pub(crate) fn named(root: &Sysroot, name: &str) -> Option<Account> {
    all(root).into_iter().find(|account| account.name == name || account.uid.to_string() == name)
}

/// The user with this number.
pub(crate) fn with_uid(root: &Sysroot, uid: u32) -> Option<Account> {
    all(root).into_iter().find(|account| account.uid == uid)
}

/// The numbers of the groups that a user is in.
pub(crate) fn groups_of(root: &Sysroot, uid: u32) -> Vec<u32> {
    let Some(account) = with_uid(root, uid) else { return Vec::new() };
    let is_member = |group: &Group| group.members.contains(&account.name);
    let of_others = lines(root, "/etc/group", parse_group).into_iter().filter(is_member);
    [account.gid].into_iter().chain(of_others.map(|group| group.gid)).collect()
}

/// A group.
#[derive(Debug, PartialEq, Eq)]
struct Group {
    gid: u32,
    members: Vec<String>,
}

/// All users.
pub(crate) fn all(root: &Sysroot) -> Vec<Account> {
    lines(root, "/etc/passwd", parse)
}

fn lines<T>(root: &Sysroot, path: &str, parse: fn(&str) -> Option<T>) -> Vec<T> {
    let bytes = root.read_unnoted(Path::new(path), FILE_MAX).unwrap_or_default();
    String::from_utf8_lossy(&bytes).lines().filter_map(parse).collect()
}

fn parse_group(line: &str) -> Option<Group> {
    let mut fields = line.split(':').skip(2);
    let gid = fields.next()?.parse().ok()?;
    Some(Group { gid, members: fields.next()?.split(',').map(|name| name.trim().to_owned()).collect() })
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

    #[test]
    fn parses_lines_of_group() {
        let members = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect();
        assert_eq!(
            parse_group("video:x:44:pi, heartbeat-daemon"),
            Some(Group { gid: 44, members: members(&["pi", "heartbeat-daemon"]) })
        );
        for wrong in ["", "video:x:44", "video:x:a:pi"] {
            assert_eq!(parse_group(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn groups_are_the_own_one_and_those_with_the_user_as_member() {
        let dir = tempfile::tempdir().expect("a directory");
        std::fs::create_dir(dir.path().join("etc")).expect("created");
        std::fs::write(dir.path().join("etc/passwd"), "pi:x:1000:1001::/home/pi:/x\nroot:x:0:0::/root:/x\n")
            .expect("written");
        std::fs::write(dir.path().join("etc/group"), "video:x:44:a,pi\ni2c:x:45:a\npi:x:1001:\n")
            .expect("written");
        let root = Sysroot::new(dir.path()).expect("opened");
        assert_eq!(groups_of(&root, 1000), [1001, 44]);
        assert_eq!(groups_of(&root, 7), [0; 0], "there is no such user");
    }
}
