//! The user that the service runs as, and the home directories that it sees: lines for its unit, which the generator of
//! systemd that is installed beside adds to it while it is ours.

use std::{
    collections::BTreeSet,
    fmt::Write as _,
    fs, io,
    os::unix::fs::{MetadataExt, PermissionsExt, chown},
    path::{Path, PathBuf},
};

use nix::unistd::geteuid;

use super::{Notice, Notices, Sysroot, accounts, read, replace, unit::Unit};
use crate::sources::accounts::Account;

/// Where they are kept.
pub(super) const FILE: &str = "/etc/heartbeat-daemon/unit.conf";
/// The service's own user, which the installation makes.
const OWN_USER: &str = "heartbeat-daemon";
/// What the unit hides.
const HOMES: [&str; 3] = ["/home", "/root", "/run/user"];
/// What it hides for good.
const HIDDEN: [&str; 3] = ["/var/tmp", "/dev/shm", "/dev/mqueue"];
/// Private directories and files in a home, which the service must not see.
const SECRETS: [&str; 22] = [
    ".ssh",
    ".gnupg",
    ".config",
    ".local",
    ".cache",
    ".aws",
    ".kube",
    ".docker",
    ".netrc",
    ".git-credentials",
    ".Xauthority",
    ".ICEauthority",
    ".bash_history",
    ".python_history",
    ".zsh_history",
    ".lesshst",
    ".my.cnf",
    ".pgpass",
    ".vnc",
    ".mozilla",
    ".pki",
    ".npmrc",
];

/// What the installation adds to the unit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Installation {
    account: Account,
    shown: Vec<PathBuf>,
    /// The group of the user that was chosen before.
    gid_before: Option<u32>,
}

impl Installation {
    /// The user that is wanted, else the one that was chosen before, else the service's own.
    pub(super) fn choose(
        root: &Sysroot,
        wanted: Option<String>,
        show: &[PathBuf],
        notices: Notices<'_>,
    ) -> Self {
        let before = Unit::parse(&read(root, Path::new(FILE)).unwrap_or_default(), FILE);
        let kept = |key| before.last(key).map(|assignment| assignment.value.clone());
        let account = [wanted, kept("User")].into_iter().flatten().find_map(|name| {
            let account = accounts::named(root, &name);
            if account.is_none() {
                notices(Notice::Attention(format!("there is no user {name}")));
            }
            account
        });
        let own = || Account {
            name: OWN_USER.to_owned(),
            uid: u32::MAX,
            gid: u32::MAX,
            home: "/nonexistent".into(),
        };
        let account = account.or_else(|| accounts::named(root, OWN_USER)).unwrap_or_else(own);
        // The home of its previous user is no longer shown to it.
        let account_before = kept("User").and_then(|name| accounts::named(root, &name));
        let gid_before = account_before.as_ref().map(|account| account.gid);
        let home_before = account_before.map(|account| account.home);
        let mut shown: Vec<PathBuf> = before
            .list("BindReadOnlyPaths")
            .iter()
            .map(|line| PathBuf::from(line.value.trim_start_matches('-')))
            .filter(|directory| Some(directory) != home_before.as_ref())
            .collect();
        if account.name != OWN_USER {
            shown.push(account.home.clone());
        }
        shown.extend(show.iter().cloned());
        shown.retain(|directory| {
            let in_home = HOMES.iter().any(|home| directory.starts_with(home));
            if in_home && !is_plain(directory) {
                notices(Notice::Attention(format!(
                    "{} has unusual characters: show it to the service by hand, systemctl edit heartbeat-daemon",
                    directory.display()
                )));
            }
            in_home && is_plain(directory)
        });
        // What is inside another one is shown with it.
        shown.sort();
        shown.dedup_by(|inner, outer| inner.starts_with(&*outer));
        Self { account, shown, gid_before }
    }

    /// Writes them down.
    pub(super) fn write(&self, root: &Sysroot) -> io::Result<()> {
        let text = self.lines();
        if read(root, Path::new(FILE)).is_ok_and(|before| before == text) {
            return Ok(());
        }
        replace(root, Path::new(FILE), &text, false)
    }

    fn lines(&self) -> String {
        let name = &self.account.name;
        let mut lines = format!(
            "# Written by the installation, which changes it: setup configure --user NAME --show DIRECTORY. Your own\n\
             # lines belong into a drop-in: systemctl edit heartbeat-daemon.\n\
             [Service]\n\
             # A user that exists; the unit by itself makes one.\n\
             DynamicUser=no\n\
             User={name}\n"
        );
        for parent in self.parents() {
            // Mount points that systemd makes by itself are closed to others before version 248.
            let _ = writeln!(lines, "TemporaryFileSystem={}:ro,noexec,mode=0755", parent.display());
        }
        for directory in &self.shown {
            let directory = directory.display();
            let _ = writeln!(lines, "BindReadOnlyPaths=-{directory}\nNoExecPaths=-{directory}");
        }
        if self.shown.contains(&self.account.home) {
            let home = self.account.home.display();
            let secrets: Vec<_> = SECRETS.iter().map(|secret| format!("-{home}/{secret}")).collect();
            let _ = writeln!(lines, "InaccessiblePaths={}", secrets.join(" "));
        }
        lines
    }

    /// The directories between the homes that the unit hides and what is shown.
    fn parents(&self) -> BTreeSet<&Path> {
        let above = self.shown.iter().flat_map(|directory| directory.ancestors().skip(1));
        let hidden =
            |parent: &&Path| HOMES.iter().any(|home| parent.starts_with(home) && *parent != Path::new(home));
        above.filter(hidden).collect()
    }

    /// Lets the service go on reading a file that only root and the group of its previous user may read.
    pub(super) fn keep_readable(&self, root: &Sysroot, file: &Path) -> io::Result<()> {
        let file = root.host_path(file);
        // A link leads to a file that somebody else cares for.
        let Ok(metadata) = file.symlink_metadata() else { return Ok(()) };
        let is_ours = metadata.is_file() && metadata.uid() == geteuid().as_raw() && metadata.nlink() == 1;
        let is_closed = metadata.mode() & 0o077 == 0o040;
        let was_for_it = Some(metadata.gid()) == self.gid_before && metadata.gid() != self.account.gid;
        if self.account.gid == u32::MAX || !is_ours || !is_closed || !was_for_it {
            return Ok(());
        }
        chown(&file, None, Some(self.account.gid))
    }

    /// Lets only root and the service read a file.
    pub(super) fn keep_secret(&self, root: &Sysroot, file: &Path) -> io::Result<()> {
        let file = root.host_path(file);
        if self.account.gid == u32::MAX || !file.exists() {
            return Ok(());
        }
        fs::set_permissions(&file, fs::Permissions::from_mode(0o640))?;
        chown(&file, None, Some(self.account.gid))
    }
}

/// Says so where it makes no difference that a directory is shown.
pub(super) fn remark(root: &Sysroot, directory: &Path, notices: Notices<'_>) {
    let shown = directory.display();
    let is_below = |parents: &[&str]| parents.iter().any(|parent| directory.starts_with(parent));
    if is_below(&HIDDEN) {
        notices(Notice::Attention(format!(
            "{shown} cannot be shown to the service: its unit hides it (InaccessiblePaths=)"
        )));
    } else if !root.host_path(directory).is_dir() {
        notices(Notice::Attention(format!("{shown} is no directory: nothing of it is shown to the service")));
    } else if !is_below(&HOMES) {
        notices(Notice::Done(format!("{shown} is in no home: the service sees it anyway")));
    }
}

/// Whether a path means itself in a unit, without quotes.
fn is_plain(path: &Path) -> bool {
    path.to_str()
        .is_some_and(|path| path.chars().all(|letter| letter.is_alphanumeric() || "/._-+@".contains(letter)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tree() -> (tempfile::TempDir, Sysroot) {
        let dir = tempfile::tempdir().expect("a directory");
        fs::create_dir(dir.path().join("etc")).expect("created");
        let passwd = "root:x:0:0::/root:/bin/sh\npi:x:1000:1000::/home/pi:/bin/sh\nheartbeat-daemon:x:900:900::/nonexistent:/x\n";
        fs::write(dir.path().join("etc/passwd"), passwd).expect("written");
        let root = Sysroot::new(dir.path()).expect("opened");
        (dir, root)
    }

    fn lines(root: &Sysroot, user: Option<&str>, show: &[&str]) -> (String, Vec<Notice>) {
        let mut notices = Vec::new();
        let show: Vec<PathBuf> = show.iter().map(PathBuf::from).collect();
        let chosen = Installation::choose(root, user.map(ToOwned::to_owned), &show, &mut |notice| {
            notices.push(notice)
        });
        chosen.write(root).expect("written");
        let lines = chosen.lines();
        (
            lines.lines().filter(|line| !line.starts_with('#')).map(|line| format!("{line}\n")).collect(),
            notices,
        )
    }

    #[test]
    fn own_user_sees_only_what_is_shown() {
        let (_dir, root) = tree();
        assert_eq!(
            lines(&root, None, &["/home/pi/app", "/opt/app", "/home/pi/app/static"]).0,
            "[Service]\nDynamicUser=no\nUser=heartbeat-daemon\n\
             TemporaryFileSystem=/home/pi:ro,noexec,mode=0755\n\
             BindReadOnlyPaths=-/home/pi/app\nNoExecPaths=-/home/pi/app\n"
        );
    }

    #[test]
    fn another_user_sees_its_home_without_its_secrets() {
        let (_dir, root) = tree();
        let (shown, _) = lines(&root, Some("pi"), &["/home/pi/app"]);
        assert!(
            shown.starts_with(
                "[Service]\nDynamicUser=no\nUser=pi\nBindReadOnlyPaths=-/home/pi\nNoExecPaths=-/home/pi\n"
            ),
            "{shown}"
        );
        assert!(shown.contains("InaccessiblePaths=-/home/pi/.ssh -/home/pi/.gnupg"), "{shown}");
    }

    #[test]
    fn choice_is_kept_until_another_is_made() {
        let (_dir, root) = tree();
        let (first, _) = lines(&root, Some("pi"), &["/home/other/app"]);
        assert_eq!(lines(&root, None, &[]).0, first);
        let (back, _) = lines(&root, Some("heartbeat-daemon"), &[]);
        assert_eq!(
            back,
            "[Service]\nDynamicUser=no\nUser=heartbeat-daemon\n\
             TemporaryFileSystem=/home/other:ro,noexec,mode=0755\n\
             BindReadOnlyPaths=-/home/other/app\nNoExecPaths=-/home/other/app\n"
        );
    }

    #[test]
    fn settings_that_the_user_before_could_read_are_given_to_the_next() {
        let (dir, root) = tree();
        let file = Path::new("/config.toml");
        let choose = |user: &str| {
            let chosen = Installation::choose(&root, Some(user.to_owned()), &[], &mut |_| {});
            chosen.keep_readable(&root, file).expect("kept");
            chosen.write(&root).expect("written");
        };
        choose("pi");
        let host = dir.path().join("config.toml");
        fs::write(&host, "").expect("written");
        if chown(&host, None, Some(1000)).is_err() {
            println!("skipped: only root can give files away");
            return;
        }
        let group = |mode| {
            fs::set_permissions(&host, fs::Permissions::from_mode(mode)).expect("set");
            choose("heartbeat-daemon");
            host.metadata().expect("there").gid()
        };
        assert_eq!(group(0o644), 1000, "all can read it");
        choose("pi");
        assert_eq!(group(0o640), 900);
        chown(&host, None, Some(77)).expect("given");
        choose("pi");
        assert_eq!(host.metadata().expect("there").gid(), 77, "an administrator's choice");
    }

    #[test]
    fn directory_that_cannot_be_shown_is_named() {
        let (dir, root) = tree();
        fs::create_dir_all(dir.path().join("home/pi/app")).expect("created");
        let said = |directory: &str| {
            let mut notices = Vec::new();
            remark(&root, Path::new(directory), &mut |notice| notices.push(notice));
            notices
        };
        assert_eq!(said("/home/pi/app"), []);
        assert!(
            matches!(&said("/home/pi/none")[..], [Notice::Attention(text)] if text.contains("is no directory"))
        );
        assert!(matches!(&said("/var/tmp/x")[..], [Notice::Attention(text)] if text.contains("hides it")));
        assert!(matches!(&said("/etc")[..], [Notice::Done(text)] if text.contains("sees it anyway")));
    }

    #[test]
    fn refuses_what_cannot_stand_in_a_unit() {
        let (_dir, root) = tree();
        let (shown, notices) =
            lines(&root, Some("nobody-here"), &["/home/pi/my app", "/home/pi/a:b", "/home/x\ny"]);
        assert_eq!(shown, "[Service]\nDynamicUser=no\nUser=heartbeat-daemon\n");
        assert_eq!(notices.len(), 4, "{notices:?}");
    }
}
