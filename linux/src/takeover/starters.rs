//! What starts the older service beside the unit with our unit's name: units with other names, those of a user's own
//! systemd, cron, `rc.local`, a desktop or a login.

use std::path::{Path, PathBuf};

use super::{
    MODULE, Notice, Notices, SCRIPT, Sysroot, UNIT, accounts,
    command::{Started, assignment},
    disable, read, sections,
    unit::{Specifiers, Unit},
    whole,
};

/// Where units are.
const UNIT_DIRECTORIES: [&str; 4] = [
    "/etc/systemd/system",
    "/usr/local/lib/systemd/system",
    "/usr/lib/systemd/system",
    "/lib/systemd/system",
];
/// Commands that are started at boot or by the clock, as root or as the user that they name.
const LISTS: [&str; 5] = [
    "/etc/rc.local",
    CRONTAB,
    "/etc/profile",
    "/etc/supervisor/supervisord.conf",
    "/etc/xdg/lxsession/LXDE-pi/autostart",
];
const LIST_DIRECTORIES: [&str; 6] = [
    CRON_D,
    "/etc/cron.hourly",
    "/etc/init.d",
    "/etc/profile.d",
    "/etc/supervisor/conf.d",
    "/etc/xdg/autostart",
];
/// With a user before each command.
const CRONTAB: &str = "/etc/crontab";
const CRON_D: &str = "/etc/cron.d";
/// One list for each user.
const CRONTABS: &str = "/var/spool/cron/crontabs";
/// In a home: what a login or a desktop starts.
const IN_HOMES: [&str; 10] = [
    ".profile",
    ".bash_profile",
    ".bashrc",
    ".zshrc",
    ".xsessionrc",
    ".screenrc",
    ".config/lxsession/LXDE-pi/autostart",
    ".config/labwc/autostart",
    ".config/wayfire.ini",
    PM2,
];
/// What PM2 starts again. It is JSON, and not read as a command.
const PM2: &str = ".pm2/dump.pm2";
const AUTOSTART: &str = ".config/autostart";
const USER_UNITS: &str = ".config/systemd/user";
/// Users of people begin here (`UID_MIN`, login.defs(5)).
const UID_MIN: u32 = 1000;

/// One of them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Starter {
    pub(super) file: PathBuf,
    pub(super) kind: Kind,
    /// The user who may have written it, unless root.
    pub(super) user: Option<String>,
    /// That user's home.
    home: PathBuf,
}

/// How it starts the service.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// A unit of the system.
    Unit,
    /// A unit of a user's own systemd.
    UserUnit,
    /// A line for a shell.
    Line,
}

/// All of this machine.
pub(super) fn find(root: &Sysroot) -> Vec<Starter> {
    let of_root = |file, kind| Starter { file, kind, user: None, home: "/root".into() };
    let mut all = Vec::new();
    all.extend(
        UNIT_DIRECTORIES
            .iter()
            // A link to the one before it, on most systems.
            .filter(|directory| {
                !directory.starts_with("/lib/") || !root.host_path(Path::new("/lib")).is_symlink()
            })
            .flat_map(|directory| units_in(root, directory.as_ref()))
            .map(|file| of_root(file, Kind::Unit)),
    );
    all.extend(
        units_in(root, Path::new("/etc/systemd/user")).into_iter().map(|file| of_root(file, Kind::UserUnit)),
    );
    let lists = LIST_DIRECTORIES.iter().flat_map(|directory| files_in(root, directory.as_ref()));
    all.extend(LISTS.iter().map(PathBuf::from).chain(lists).map(|file| of_root(file, Kind::Line)));
    for account in accounts::all(root) {
        let is_root = account.uid == 0;
        let of_user = |file, kind| Starter {
            file,
            kind,
            user: (!is_root).then(|| account.name.clone()),
            home: account.home.clone(),
        };
        all.push(of_user(Path::new(CRONTABS).join(&account.name), Kind::Line));
        if is_root || account.uid >= UID_MIN {
            let home = account.home.as_path();
            all.extend(
                units_in(root, &home.join(USER_UNITS)).into_iter().map(|file| of_user(file, Kind::UserUnit)),
            );
            let lines =
                IN_HOMES.iter().map(|name| home.join(name)).chain(files_in(root, &home.join(AUTOSTART)));
            all.extend(lines.map(|file| of_user(file, Kind::Line)));
        }
    }
    all.retain(|starter| !starter.lines(root).is_empty());
    all
}

/// Whether a line starts the service: not a comment (of supervisor, `;`).
fn starts(line: &str) -> bool {
    names_program(line) && !line.trim_start().starts_with(['#', ';'])
}

/// Whether the program is named, as a file or as a module (`python3 -m app.heartbeat_daemon`).
fn names_program(line: &str) -> bool {
    let end_of_word = |letter: char| letter.is_whitespace() || "\"';&|)".contains(letter);
    let mut modules =
        line.split(" -m").skip(1).filter_map(|rest| rest.trim_start().split(end_of_word).next());
    line.contains(SCRIPT) || modules.any(|module| module.rsplit('.').next() == Some(MODULE))
}

fn files_in(root: &Sysroot, directory: &Path) -> Vec<PathBuf> {
    root.list(directory).unwrap_or_default().into_iter().map(|name| directory.join(name)).collect()
}

fn units_in(root: &Sysroot, directory: &Path) -> Vec<PathBuf> {
    let is_other = |file: &PathBuf| {
        let name = file.file_name().and_then(|name| name.to_str()).unwrap_or_default();
        name.ends_with(".service")
            && (name != UNIT || !UNIT_DIRECTORIES.contains(&directory.to_str().unwrap_or_default()))
    };
    files_in(root, directory).into_iter().filter(is_other).collect()
}

impl Starter {
    /// The lines that start the service.
    pub(super) fn lines(&self, root: &Sysroot) -> Vec<String> {
        let text = read(root, &self.file).unwrap_or_default();
        match self.kind {
            Kind::Line => text.lines().filter(|line| starts(line)).map(ToOwned::to_owned).collect(),
            Kind::Unit | Kind::UserUnit => {
                let unit = self.unit(root);
                let commands = unit.commands().into_iter().map(|command| command.join(" "));
                commands.filter(|command| names_program(command)).collect()
            }
        }
    }

    /// What a line starts; of a unit, see [`Starter::unit`].
    pub(super) fn started(&self, root: &Sysroot) -> Started {
        let text = read(root, &self.file).unwrap_or_default();
        let lines: Vec<_> = text.lines().collect();
        let Some(at) = lines.iter().position(|line| starts(line)) else { return Started::default() };
        let (before, line) =
            (lines.get(..at).unwrap_or_default(), lines.get(at).copied().unwrap_or_default());
        match ["Exec=", "command="].iter().find_map(|key| line.strip_prefix(key)) {
            Some(command) => sections::started(before, command, lines.get(at + 1..).unwrap_or_default()),
            None if self.is_schedule() => {
                // Each line has a shell of its own; lines before it can only set variables.
                let variables: Vec<_> =
                    before.iter().copied().filter(|line| assignment(line).is_some()).collect();
                Started::by_line_behind(&variables, self.scheduled(line).1)
            }
            // A mark of LXDE.
            None => Started::by_line_behind(before, line.trim_start_matches('@')),
        }
    }

    /// The user whom a list of the system names for the line, beside its command.
    pub(super) fn scheduled_user(&self, root: &Sysroot) -> Option<String> {
        let line = self.lines(root).into_iter().next().filter(|_| self.is_schedule())?;
        self.scheduled(&line).0.map(ToOwned::to_owned)
    }

    /// Whether it is a list of cron (crontab(5)).
    fn is_schedule(&self) -> bool {
        [CRONTABS, CRON_D].iter().any(|lists| self.file.starts_with(lists)) || self.file == Path::new(CRONTAB)
    }

    /// A line of cron without the time before it, and without the user, whom only lists of the system have.
    fn scheduled<'l>(&self, line: &'l str) -> (Option<&'l str>, &'l str) {
        let rest = line.trim_start();
        let fields = if rest.starts_with('@') { 1 } else { 5 };
        let behind =
            |line: &'l str| line.split_once(char::is_whitespace).map_or("", |(_, rest)| rest.trim_start());
        let rest = (0..fields).fold(rest, |rest, _| behind(rest));
        if self.file.starts_with(CRONTABS) {
            return (None, rest);
        }
        (rest.split_whitespace().next(), behind(rest))
    }

    /// The unit that it is.
    pub(super) fn unit(&self, root: &Sysroot) -> Unit {
        let name = self.name();
        let specifiers = match self.kind {
            Kind::UserUnit => {
                Specifiers::of_a_user(&name, self.user.as_deref().unwrap_or("root"), &self.home)
            }
            Kind::Unit | Kind::Line => Specifiers::of_the_system(&name),
        };
        let mut unit = Unit::with(specifiers);
        for file in self.files(root) {
            unit.add(&read(root, &file).unwrap_or_default(), &file.display().to_string());
        }
        unit
    }

    /// Its file, and the drop-ins of a unit.
    pub(super) fn files(&self, root: &Sysroot) -> Vec<PathBuf> {
        let mut drop_ins = files_in(root, Path::new(&format!("{}.d", self.file.display())));
        drop_ins.retain(|file| self.kind != Kind::Line && file.extension().is_some_and(|ext| ext == "conf"));
        [self.file.clone()].into_iter().chain(drop_ins).collect()
    }

    fn name(&self) -> String {
        self.file.file_name().unwrap_or_default().to_string_lossy().into_owned()
    }

    /// Keeps it from starting the older service again, or says what a person has to do.
    pub(super) fn end(&self, root: &Sysroot, notices: Notices<'_>) {
        let (file, name) = (self.file.display(), self.name());
        let again = format!("{file} starts {SCRIPT} again");
        let user = self.user.as_deref().unwrap_or("root");
        let is_whole = || whole::is_older_service(&self.unit(root));
        let advice = match self.kind {
            Kind::Line if self.file.ends_with(PM2) => format!("as {user}: pm2 delete, pm2 save"),
            Kind::Line => "remove the line".to_owned(),
            // To disable it would end what it is there for.
            Kind::Unit | Kind::UserUnit if !is_whole() => {
                notices(Notice::Attention(format!(
                    "{file} names {SCRIPT} beside something else and may start it again: look there, and remove it \
                     from its commands"
                )));
                return;
            }
            Kind::UserUnit => format!("as {user}: systemctl --user disable --now {name}"),
            Kind::Unit if !root.is_live() || name.contains("@.") => format!("systemctl disable --now {name}"),
            Kind::Unit => {
                if disable(&name, notices) {
                    notices(Notice::Done(format!(
                        "{name} is the older service under another name: disabled"
                    )));
                }
                return;
            }
        };
        notices(Notice::Attention(format!("{again}: {advice}")));
    }
}
