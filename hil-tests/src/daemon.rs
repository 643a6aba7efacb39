//! The installed daemon as a program that is asked.

use std::{
    cell::RefCell,
    ffi::OsString,
    fmt, fs,
    os::unix::ffi::OsStringExt,
    path::{Path, PathBuf},
    process::{Command, Output},
    time::Duration,
};

use crate::{
    document::{Document, Schema},
    finding::Stop,
    program::{self, ProgramError},
};

/// A sample takes a second, one and a half when a sensor hangs; an emulated board is thirty times slower.
const SAMPLE_DEADLINE: Duration = Duration::from_secs(60);

/// What the daemon's environment may hold that is a setting. `HEARTBEAT_APP_TMP` is left out because it names a directory
/// that only the service sees.
const VARIABLES: &[&str] = &["HEARTBEAT_URL", "HEARTBEAT_INTERVAL", "REQUEST_TIMEOUT"];

/// Something that documents come from instead of the command `sample`.
pub trait Source: fmt::Debug {
    /// The bytes of a document whose values were all read after this call.
    ///
    /// # Errors
    ///
    /// [`Stop::Failed`] when none comes.
    fn document(&self) -> Result<Vec<u8>, Stop>;
}

/// The program, and the settings that it is asked with.
#[derive(Debug)]
pub struct Daemon {
    program: PathBuf,
    flags: Vec<OsString>,
    environment: Vec<(String, OsString)>,
    sysroot: Option<PathBuf>,
    schema: Schema,
    source: RefCell<Option<Box<dyn Source>>>,
    /// Whose settings these are, for people.
    pub settings_from: String,
}

impl Daemon {
    /// The program at `path` with the settings that it finds by itself.
    ///
    /// # Errors
    ///
    /// When the published schema is no schema.
    pub fn new(path: &Path, sysroot: Option<&Path>) -> Result<Self, String> {
        Ok(Self {
            program: path.to_owned(),
            flags: Vec::new(),
            environment: Vec::new(),
            sysroot: sysroot.map(Path::to_owned),
            schema: Schema::new()?,
            source: RefCell::new(None),
            settings_from: "what the program finds by itself".to_owned(),
        })
    }

    /// Takes over the flags and the environment of a running process of the daemon.
    ///
    /// # Errors
    ///
    /// When this user may not look into it.
    pub fn adopt(&mut self, pid: u32) -> std::io::Result<()> {
        let command_line = fs::read(format!("/proc/{pid}/cmdline"))?;
        let environment = fs::read(format!("/proc/{pid}/environ"))?;
        self.flags = flags(&command_line);
        self.environment = settings(&environment);
        self.settings_from = format!("the running service, process {pid}");
        Ok(())
    }

    /// The schema that documents are checked against.
    pub fn schema(&self) -> &Schema {
        &self.schema
    }

    /// A command of the program.
    pub fn command(&self, command: &str) -> Command {
        let mut child = Command::new(&self.program);
        child.args(&self.flags);
        if let Some(sysroot) = &self.sysroot {
            child.arg("--sysroot").arg(sysroot);
        }
        for name in VARIABLES {
            child.env_remove(name);
        }
        child.envs(self.environment.iter().map(|(name, value)| (name, value)));
        child.arg(command);
        child
    }

    /// What a command of the program gives, whatever its exit status.
    ///
    /// # Errors
    ///
    /// [`Stop::Failed`] when it cannot be started or does not end.
    pub fn run(&self, command: Command) -> Result<Output, Stop> {
        program::finish(command, SAMPLE_DEADLINE).map_err(Stop::failed)
    }

    /// Runs `work`, for which documents come from `source`.
    pub fn with_source<T>(&self, source: Box<dyn Source>, work: impl FnOnce() -> T) -> T {
        self.source.replace(Some(source));
        let done = work();
        self.source.replace(None);
        done
    }

    /// A document of this moment: from the command `sample`, or from the source that was set.
    ///
    /// # Errors
    ///
    /// [`Stop::Failed`] when there is none, or when it does not fit the schema.
    pub fn sample(&self) -> Result<Document, Stop> {
        let bytes = match &*self.source.borrow() {
            Some(source) => source.document()?,
            None => self.answer(self.command("sample")).map_err(Stop::failed)?.into_bytes(),
        };
        self.document(&bytes)
    }

    /// A document of the command `sample`, with this directory as the `/tmp` of the streaming application.
    ///
    /// # Errors
    ///
    /// [`Stop::Failed`] when there is none, or when it does not fit the schema.
    pub fn sample_beside(&self, application: &Path) -> Result<Document, Stop> {
        let mut command = self.command("sample");
        command.env("HEARTBEAT_APP_TMP", application);
        self.document(self.answer(command).map_err(Stop::failed)?.as_bytes())
    }

    fn document(&self, bytes: &[u8]) -> Result<Document, Stop> {
        self.schema
            .check(bytes)
            .map_err(|error| Stop::failed(format_args!("the document does not fit the schema: {error}")))
    }

    /// The settings, as `check-config` prints them.
    ///
    /// # Errors
    ///
    /// [`Stop::Failed`] when it prints none.
    pub fn settings(&self) -> Result<toml::Table, Stop> {
        let text = self.answer(self.command("check-config")).map_err(Stop::failed)?;
        text.parse().map_err(|error| Stop::failed(format_args!("check-config prints no TOML: {error}")))
    }

    /// Its name and version.
    pub fn version(&self) -> Option<String> {
        let mut command = Command::new(&self.program);
        command.arg("--version");
        self.answer(command).ok().map(|version| version.trim().to_owned())
    }

    /// Whether the program has a command of this name.
    pub fn has_command(&self, name: &str) -> bool {
        let mut command = Command::new(&self.program);
        command.arg("--help");
        self.answer(command)
            .is_ok_and(|help| help.lines().any(|line| line.split_whitespace().next() == Some(name)))
    }

    /// Where the program is.
    pub fn program(&self) -> &Path {
        &self.program
    }

    fn answer(&self, command: Command) -> Result<String, ProgramError> {
        program::answer(command, SAMPLE_DEADLINE)
    }
}

/// The arguments of a process after its name, without the command `run`.
fn flags(command_line: &[u8]) -> Vec<OsString> {
    let arguments = command_line.strip_suffix(b"\0").unwrap_or(command_line).split(|byte| *byte == 0);
    let arguments = arguments.skip(1).filter(|argument| *argument != b"run");
    arguments.map(|argument| OsString::from_vec(argument.to_vec())).collect()
}

/// The variables of a process that are settings.
fn settings(environment: &[u8]) -> Vec<(String, OsString)> {
    let mut settings = Vec::new();
    for variable in environment.split(|byte| *byte == 0) {
        let mut parts = variable.splitn(2, |byte| *byte == b'=');
        if let (Some(name), Some(value)) = (parts.next(), parts.next()) {
            let name = String::from_utf8_lossy(name).into_owned();
            if VARIABLES.contains(&name.as_str()) {
                settings.push((name, OsString::from_vec(value.to_vec())));
            }
        }
    }
    settings
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn takes_over_the_flags_but_not_the_command() {
        assert_eq!(flags(b"/usr/bin/heartbeat-daemon\0--interval\x001\0run\0"), ["--interval", "1"]);
        assert_eq!(flags(b"/usr/bin/heartbeat-daemon\0run\0"), [""; 0]);
    }

    #[test]
    fn takes_over_only_settings_from_the_environment() {
        let environment =
            b"PATH=/bin\0HEARTBEAT_URL=https://a/?b=c\0HEARTBEAT_APP_TMP=/x\0REQUEST_TIMEOUT=1\0";
        let expected = [("HEARTBEAT_URL", "https://a/?b=c"), ("REQUEST_TIMEOUT", "1")];
        assert_eq!(settings(environment), expected.map(|(name, value)| (name.to_owned(), value.into())));
    }
}
