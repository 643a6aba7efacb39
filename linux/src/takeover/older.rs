//! The older service: what its files say of its program, its environment and its directories.

mod search;

use std::{
    collections::BTreeMap,
    fmt, io,
    path::{Path, PathBuf},
};

pub(super) use self::search::{find, foreign_unit, others};
use super::{
    Notices, SCRIPT, Sysroot, accounts, aside,
    command::{Started, expanded},
    processes::Process,
    python::{Constant, Program},
    read,
    readers::is_private,
    unit::{Unit, environment_file, split_words},
};
use crate::printable::printable;

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
    /// What its command says of the program.
    started: Started,
    /// The home of its user.
    home: Option<PathBuf>,
    /// What starts it, if that is no unit with our name and it does not run.
    starter: Option<PathBuf>,
    /// Files that were to be read and could not be.
    pub(super) unreadable: Vec<String>,
    /// Whether others may not read where it sends.
    pub(super) secret: bool,
}

impl fmt::Display for Older {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.unit_file.as_ref().or(self.drop_ins.first()).or(self.starter.as_ref()) {
            Some(file) => write!(f, "the service in {}", file.display())?,
            None => f.write_str("an older heartbeat service that no unit starts")?,
        }
        write!(f, " ({})", printable(&self.command.join(" ")))
    }
}

impl Older {
    fn understand(&mut self, root: &Sysroot, unit: &Unit) {
        self.user = unit.last("User").map(|user| user.value.clone());
        self.find_home(root);
        self.working_directory = unit.last("WorkingDirectory").map(|directory| {
            let directory = directory.value.trim_start_matches('-');
            match directory {
                "~" => self.home.clone().unwrap_or_default(),
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
                    self.secret |= is_private(root, file);
                    for (name, value) in environment_file(&text) {
                        let variable = Variable { value, origin: file.display().to_string() };
                        self.environment.insert(name, variable);
                    }
                }
                Err(_) if optional && !is_pattern(file) && !root.exists(file) => {}
                Err(problem) => self.unreadable.push(format!("{}: {problem}", file.display())),
            }
        }
        let expand = |word: &String| expanded(word, |name| self.variable(name));
        let commands =
            unit.commands().into_iter().map(|command| command.iter().map(expand).collect::<Vec<_>>());
        let started = commands.map(|command| (Started::by(&command), command)).collect();
        self.starts(root, started);
    }

    fn find_home(&mut self, root: &Sysroot) {
        let name = self.user.as_deref().unwrap_or("root");
        self.home = accounts::named(root, name).map(|account| account.home);
    }

    fn variable(&self, name: &str) -> Option<String> {
        self.environment.get(name).map(|variable| variable.value.clone())
    }

    /// Takes over what is started: of several commands, the one that starts the Python program.
    fn starts(&mut self, root: &Sysroot, all: Vec<(Started, Vec<String>)>) {
        let is_named = |(started, _): &&(Started, Vec<String>)| {
            started
                .script
                .as_ref()
                .is_some_and(|script| script.file_name().is_some_and(|name| name == SCRIPT))
        };
        let with_program = all.iter().find(|(started, _)| started.script.is_some());
        let Some((started, command)) = all.iter().find(is_named).or(with_program).or(all.first()) else {
            return;
        };
        self.command = command.clone();
        if started.is_environment_cleared {
            self.environment.clear();
        }
        for (name, value) in &started.environment {
            let value = expanded(value, |name| self.variable(name));
            self.environment.insert(name.clone(), Variable { value, origin: "its command".to_owned() });
        }
        self.started = started.clone();
        self.script = self.named_script().filter(|script| script.is_absolute() && root.exists(script));
    }

    /// The Python program that the command names, whether or not it is there.
    fn named_script(&self) -> Option<PathBuf> {
        let value = |name: &str| match name {
            "HOME" => self.home.as_ref().map(|home| home.display().to_string()),
            _ => self.variable(name),
        };
        let path = |path: &Path| {
            let path = PathBuf::from(expanded(&path.to_string_lossy(), value));
            match path.strip_prefix("~") {
                Ok(below) => self.home.clone().unwrap_or_default().join(below),
                Err(_) => path,
            }
        };
        let script = path(self.started.script.as_deref()?);
        // Of a unit of the system, `/` (systemd.exec(5)).
        let mut directory = self.working_directory.clone().unwrap_or_else(|| "/".into());
        if let Some(changed) = self.started.directory.as_deref() {
            directory = directory.join(path(changed));
        }
        Some(directory.join(script))
    }

    /// Whether the command says by itself where the program is, and not by a home of somebody or by where it is started.
    fn names_its_place(&self) -> bool {
        let parts = [self.started.script.as_deref(), self.started.directory.as_deref()];
        parts.into_iter().flatten().any(Path::is_absolute)
    }

    /// Adds the variables of a process that the unit's files do not have.
    fn add_missing(&mut self, process: Process) {
        let origin = format!("environment of process {}", process.pid);
        for (name, value) in process.environment {
            if !self.environment.contains_key(&name) {
                // Others may not read it there.
                self.secret |= name.starts_with("HEARTBEAT_");
                self.environment.insert(name, Variable { value, origin: origin.clone() });
            }
        }
    }

    /// The arguments of its program.
    pub(super) fn arguments(&self) -> &[String] {
        &self.started.arguments
    }

    /// An address among the arguments, which the program may have used instead of its constant.
    pub(super) fn address_in_arguments(&self) -> Option<&str> {
        let values = self
            .arguments()
            .iter()
            .map(|argument| argument.split_once('=').map_or(argument.as_str(), |(_, value)| value));
        values.into_iter().find(|value| value.contains("://"))
    }

    /// The program's constants, or why they cannot be read. `alone`: without what it imports.
    pub(super) fn program(&self, root: &Sysroot, alone: bool) -> Result<Program, String> {
        let Some(script) = &self.script else {
            return Err(format!(
                "no Python program that can be read in its command ({})",
                printable(&self.command.join(" "))
            ));
        };
        let program = if alone {
            read(root, script).map(|text| Program::parse(&text))
        } else {
            Program::load(root, script)
        };
        program.map_err(|problem| format!("{}: {problem}", script.display()))
    }

    /// Where a constant of the program stands.
    pub(super) fn origin(&self, name: &str, constant: &Constant) -> String {
        let script = constant.file.as_deref().or(self.script.as_deref()).unwrap_or(Path::new(""));
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

    /// The user that its unit names, if this machine's own list does not have it.
    pub(super) fn unknown_user(&self, root: &Sysroot) -> Option<&str> {
        let name = self.user.as_deref().filter(|_| self.has_unit())?;
        accounts::named(root, name).is_none().then_some(name)
    }

    /// Users that may have written what the service wrote.
    pub(super) fn uid(&self, root: &Sysroot) -> u32 {
        self.user.as_ref().and_then(|name| accounts::named(root, name)).map_or(0, |account| account.uid)
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

    /// Moves its unit and drop-ins out of systemd's sight, and removes the links that start it. All of them or none.
    pub(super) fn move_aside(&self, root: &Sysroot, notices: Notices<'_>) -> io::Result<()> {
        let mut moved: Vec<(&PathBuf, PathBuf)> = Vec::new();
        for file in self.unit_file.iter().chain(&self.drop_ins) {
            match aside::keep(root, file, notices) {
                Ok(aside) => moved.push((file, aside)),
                Err(error) => {
                    for (file, aside) in moved {
                        aside::put_back(root, file, &aside, notices);
                    }
                    return Err(error);
                }
            }
        }
        if self.unit_file.is_some() {
            aside::remove_links(root)?;
        }
        Ok(())
    }
}

/// Whether it stands for several files (glob(7)).
fn is_pattern(file: &Path) -> bool {
    file.to_string_lossy().contains(['*', '?', '['])
}
