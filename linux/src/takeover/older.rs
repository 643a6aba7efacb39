//! What has the name of our unit, or runs as the older service, and its settings.

use std::{
    collections::BTreeMap,
    fmt, fs, io,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
};

use super::{
    Notice, Notices, Sysroot, UNIT, accounts, installation,
    processes::{self, Process},
    python::{Constant, Program},
    read,
    unit::{Unit, environment_file, split_words},
};
use crate::printable::printable;

/// Where units stand that hide the packaged one, in their order (systemd.unit(5)). Below `/run` nothing outlives a boot.
const UNIT_DIRECTORIES: [&str; 2] = ["/etc/systemd/system", "/usr/local/lib/systemd/system"];

/// A variable of the older service's environment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Variable {
    pub(super) value: String,
    /// Where it stands.
    pub(super) origin: String,
}

/// The older service.
#[derive(Debug, Default)]
pub(super) struct Older {
    /// Its unit file, or the link to it.
    unit_file: Option<PathBuf>,
    /// Drop-ins that are its own.
    drop_ins: Vec<PathBuf>,
    command: Vec<String>,
    user: Option<String>,
    working_directory: Option<PathBuf>,
    /// Its Python program.
    pub(super) script: Option<PathBuf>,
    pub(super) environment: BTreeMap<String, Variable>,
    /// Files that were to be read and could not be.
    pub(super) unreadable: Vec<String>,
    /// Whether others may not read where it sends.
    pub(super) secret: bool,
}

impl fmt::Display for Older {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.unit_file.as_ref().or(self.drop_ins.first()) {
            Some(file) => write!(f, "the service in {}", file.display())?,
            None => f.write_str("an older heartbeat service that no unit starts")?,
        }
        write!(f, " ({})", printable(&self.command.join(" ")))
    }
}

/// The unit or drop-in that stands in our unit's name and is not ours.
pub(super) fn foreign_unit(root: &Sysroot) -> Option<String> {
    let older = from_units(root, &mut |_| {})?;
    older.unit_file.or_else(|| older.drop_ins.into_iter().next()).map(|file| file.display().to_string())
}

/// The older service of this machine, if there is one.
pub(super) fn find(root: &Sysroot, notices: Notices<'_>) -> Option<Older> {
    if let Some(older) = from_units(root, notices) {
        return Some(older);
    }
    let process = processes::find(root).into_iter().next()?;
    notices(Notice::Attention(format!(
        "no unit starts the older service: its settings are those of process {}, which {} has started; look whether \
         they are right",
        process.pid,
        process.user.as_deref().unwrap_or("root")
    )));
    Some(from_process(root, process))
}

fn from_units(root: &Sysroot, notices: Notices<'_>) -> Option<Older> {
    let mut unit = Unit::default();
    let mut older = Older::default();
    for directory in UNIT_DIRECTORIES {
        let file = Path::new(directory).join(UNIT);
        let Ok(metadata) = root.host_path(&file).symlink_metadata() else { continue };
        if metadata.is_symlink()
            && fs::read_link(root.host_path(&file)).is_ok_and(|to| to == Path::new("/dev/null"))
        {
            notices(Notice::Attention(format!(
                "{UNIT} is masked and stays so; systemctl unmask {UNIT} ends that"
            )));
            return None;
        }
        match read(root, &file) {
            Ok(text) => unit.add(&text, &file.display().to_string()),
            Err(problem) => older.unreadable.push(format!("{}: {problem}", file.display())),
        }
        if unit.is_ours() {
            unit = Unit::default();
            // It hides those behind it.
            break;
        }
        older.unit_file = Some(file);
        break;
    }
    let first_time = !root.exists(installation::FILE);
    for directory in UNIT_DIRECTORIES {
        let directory = Path::new(directory).join(format!("{UNIT}.d"));
        for name in root.list(&directory).unwrap_or_default() {
            let file = directory.join(&name);
            let Ok(text) = read(root, &file) else { continue };
            let origin = file.display().to_string();
            let alone = Unit::parse(&text, &origin);
            let starts_another = !alone.command().is_empty() && !alone.is_ours();
            // Beside an older unit all of them are its own, unless ours has been here before.
            if name.ends_with(".conf") && (starts_another || (older.unit_file.is_some() && first_time)) {
                unit.add(&text, &origin);
                older.drop_ins.push(file);
            }
        }
    }
    if older.unit_file.is_none() && older.drop_ins.is_empty() {
        return None;
    }
    older.understand(root, &unit);
    Some(older)
}

fn from_process(root: &Sysroot, process: Process) -> Older {
    let origin = format!("environment of process {}", process.pid);
    let variable = |(name, value): (String, String)| (name, Variable { value, origin: origin.clone() });
    let mut older = Older {
        command: process.arguments.clone(),
        working_directory: process.directory.clone(),
        user: process.user.clone(),
        environment: process.environment.into_iter().map(variable).collect(),
        // Its environment may be read by its user only.
        secret: true,
        ..Older::default()
    };
    older.script = older.find_script(root);
    older
}

impl Older {
    fn understand(&mut self, root: &Sysroot, unit: &Unit) {
        self.command = unit.command();
        self.user = unit.last("User").map(|user| user.value.clone());
        self.working_directory = unit.last("WorkingDirectory").map(|directory| {
            let directory = directory.value.trim_start_matches('-');
            match directory {
                "~" => self.home(root).unwrap_or_default(),
                _ => directory.into(),
            }
        });
        for assignment in unit.list("Environment") {
            for word in split_words(&assignment.value) {
                let Some((name, value)) = word.split_once('=') else { continue };
                let variable = Variable {
                    value: value.to_owned(),
                    origin: format!("Environment= in {}", assignment.origin),
                };
                self.environment.insert(name.to_owned(), variable);
            }
        }
        for assignment in unit.list("EnvironmentFile") {
            let optional = assignment.value.starts_with('-');
            let file = Path::new(assignment.value.trim_start_matches('-'));
            match read(root, file) {
                Ok(text) => {
                    self.secret |= !is_public(&root.host_path(file));
                    for (name, value) in environment_file(&text) {
                        let variable = Variable { value, origin: file.display().to_string() };
                        self.environment.insert(name, variable);
                    }
                }
                Err(_) if optional && !root.exists(file) => {}
                Err(problem) => self.unreadable.push(format!("{}: {problem}", file.display())),
            }
        }
        self.script = self.find_script(root);
    }

    /// The Python program that the command names, also inside of a command for a shell.
    fn find_script(&self, root: &Sysroot) -> Option<PathBuf> {
        let words =
            self.command.iter().flat_map(|word| [word.as_str()].into_iter().chain(word.split_whitespace()));
        let word =
            words.map(|word| word.trim_matches(['"', '\'', ';'])).find(|word| word.ends_with(".py"))?;
        // `cd DIRECTORY && ...` in a command for a shell.
        let changed = self
            .command
            .iter()
            .find_map(|word| word.trim_start().strip_prefix("cd ")?.split_whitespace().next());
        let directory =
            changed.map(PathBuf::from).or_else(|| self.working_directory.clone()).unwrap_or_default();
        let script = directory.join(word);
        (script.is_absolute() && root.exists(&script)).then_some(script)
    }

    /// The program's constants, or why they cannot be read.
    pub(super) fn program(&self, root: &Sysroot) -> Result<Program, String> {
        let Some(script) = &self.script else {
            return Err(format!(
                "no Python program that can be read in its command ({})",
                printable(&self.command.join(" "))
            ));
        };
        read(root, script)
            .map(|source| Program::parse(&source))
            .map_err(|problem| format!("{}: {problem}", script.display()))
    }

    /// Where a constant of the program stands.
    pub(super) fn origin(&self, name: &str, constant: &Constant) -> String {
        let script = self.script.as_deref().unwrap_or(Path::new(""));
        format!("{name} in {}, line {}", script.display(), constant.line)
    }

    /// Whether systemd starts it.
    pub(super) fn has_unit(&self) -> bool {
        self.unit_file.is_some() || !self.drop_ins.is_empty()
    }

    /// The user that its unit names, unless that is root. The user of a process does not count, because any user can
    /// start one.
    pub(super) fn unprivileged_user(&self, root: &Sysroot) -> Option<String> {
        let name = self.user.clone().filter(|_| self.has_unit())?;
        let uid = accounts::named(root, &name)?.uid;
        (uid != 0).then_some(name)
    }

    /// Users that may have written what the service wrote.
    pub(super) fn uid(&self, root: &Sysroot) -> u32 {
        self.user.as_ref().and_then(|name| accounts::named(root, name)).map_or(0, |account| account.uid)
    }

    fn home(&self, root: &Sysroot) -> Option<PathBuf> {
        Some(accounts::named(root, self.user.as_deref().unwrap_or("root"))?.home)
    }

    /// Where the application is whose version was sent, and how that is known: the working directory if it holds the
    /// application, else the directory of the program, which the Python program takes.
    pub(super) fn application(&self, root: &Sysroot) -> Option<(PathBuf, &'static str)> {
        let script_directory = self.script.as_deref().and_then(Path::parent);
        let candidates = [
            (self.working_directory.as_deref(), "working directory of the older service"),
            (script_directory, "directory of the older service's program"),
        ];
        candidates.into_iter().find_map(|(directory, origin)| {
            let directory = directory.filter(|directory| *directory != Path::new("/"))?;
            let names = root.list(directory).ok()?;
            names.iter().any(|name| name.ends_with(".py")).then(|| (directory.to_owned(), origin))
        })
    }

    /// Moves its unit and drop-ins out of systemd's sight, and removes the links that start it.
    pub(super) fn move_aside(&self, root: &Sysroot, notices: Notices<'_>) -> io::Result<()> {
        for file in self.unit_file.iter().chain(&self.drop_ins) {
            let aside = free_name(root, file);
            let (from, to) = (root.host_path(file), root.host_path(&aside));
            fs::rename(&from, &to)
                .map_err(|error| io::Error::new(error.kind(), format!("{}: {error}", file.display())))?;
            notices(Notice::Done(format!("{} is kept as {}", file.display(), aside.display())));
        }
        if self.unit_file.is_some() {
            remove_links(root)?;
        }
        Ok(())
    }
}

/// Removes the links in `*.wants` and `*.requires` that start the older unit: the new one is enabled anew.
fn remove_links(root: &Sysroot) -> io::Result<()> {
    let units = Path::new("/etc/systemd/system");
    for name in root.list(units).unwrap_or_default() {
        let link = root.host_path(&units.join(&name).join(UNIT));
        if (name.ends_with(".wants") || name.ends_with(".requires")) && link.is_symlink() {
            fs::remove_file(link)?;
        }
    }
    Ok(())
}

/// A name beside a file that nothing has, also no link that leads nowhere.
fn free_name(root: &Sysroot, file: &Path) -> PathBuf {
    let names = (1_u32..).map(|number| match number {
        1 => PathBuf::from(format!("{}.replaced", file.display())),
        _ => PathBuf::from(format!("{}.replaced.{number}", file.display())),
    });
    let mut free = names.filter(|name| root.host_path(name).symlink_metadata().is_err());
    free.next().unwrap_or_default()
}

fn is_public(path: &Path) -> bool {
    path.metadata().is_ok_and(|metadata| metadata.permissions().mode() & 0o004 != 0)
}
