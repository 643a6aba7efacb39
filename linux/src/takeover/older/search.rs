//! Finds the older service: in units, among processes, and by what would start it.

use std::{
    collections::BTreeSet,
    fs,
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
};

use super::{
    super::{
        Notice, Notices, Sysroot, UNIT,
        command::Started,
        installation,
        processes::{self, Process},
        read,
        readers::is_private,
        starters::{self, Kind, Starter},
        unit::Unit,
    },
    Older,
};

/// Where units stand that hide the packaged one, in their order (systemd.unit(5)). Below `/run` nothing outlives a boot.
const UNIT_DIRECTORIES: [&str; 2] = ["/etc/systemd/system", "/usr/local/lib/systemd/system"];

/// The unit or drop-in that stands in our unit's name and is not ours.
pub(in super::super) fn foreign_unit(root: &Sysroot) -> Option<String> {
    let older = from_units(root, &mut |_| {})?;
    older.unit_file.or_else(|| older.drop_ins.into_iter().next()).map(|file| file.display().to_string())
}

/// The older service of this machine, if there is one.
///
/// Any user can start a process or write what a login starts. So what is not root's counts only before this program was
/// installed here: later, only root changes where the device sends.
pub(in super::super) fn find(root: &Sysroot, notices: Notices<'_>) -> Option<Older> {
    if let Some(older) = from_units(root, notices) {
        return Some(older);
    }
    let first_time = !root.exists(installation::FILE);
    let counts = |process: &Process| first_time || process.uid == 0;
    if let Some(process) = processes::find(root).into_iter().find(counts) {
        notices(Notice::Attention(format!(
            "no unit starts the older service: its settings are those of process {}, which {} has started; look whether \
             they are right",
            process.pid,
            process.user.as_deref().unwrap_or("root")
        )));
        return Some(from_process(root, process));
    }
    let starters = starters::find(root).into_iter().filter(|starter| first_time || starter.user.is_none());
    let Some(older) = starters.filter_map(|starter| from_starter(root, &starter)).next() else {
        return processes::find_contained(root).into_iter().find(|_| first_time).map(from_container);
    };
    notices(Notice::Attention(format!(
        "no unit with the name {UNIT} starts the older service, which does not run now: its settings are those in {}; look \
         whether they are right",
        older.starter.as_deref().unwrap_or(Path::new("")).display()
    )));
    Some(older)
}

/// Programs of other installations, of which this one's settings say nothing.
pub(in super::super) fn others(root: &Sysroot, older: &Older) -> BTreeSet<PathBuf> {
    let running = processes::find(root).into_iter().map(|process| from_process(root, process));
    let starters = starters::find(root);
    let started = starters.iter().filter_map(|starter| from_starter(root, starter));
    let scripts = running.chain(started).filter_map(|other| other.script);
    let file = |script: &PathBuf| {
        let metadata = root.host_path(script).metadata().ok()?;
        Some((metadata.dev(), metadata.ino()))
    };
    let own = older.script.as_ref().and_then(file);
    scripts.filter(|script| file(script) != own).collect()
}

/// What would be started. `None` when its program is gone: then nothing starts any more.
fn from_starter(root: &Sysroot, starter: &Starter) -> Option<Older> {
    let mut older =
        Older { starter: Some(starter.file.clone()), user: starter.user.clone(), ..Older::default() };
    match starter.kind {
        Kind::Unit | Kind::UserUnit => {
            let user = older.user.take();
            older.understand(root, &starter.unit(root));
            older.user = older.user.or(user);
        }
        Kind::Line => {
            older.user = older.user.or_else(|| starter.scheduled_user(root));
            older.find_home(root);
            older.working_directory = older.home.clone();
            older.starts(root, vec![(starter.started(root), starter.lines(root))]);
        }
    }
    // It may be for its user only.
    older.secret |= starter.user.is_some() || starter.files(root).iter().any(|file| is_private(root, file));
    // What is still to be filled in may name a program that is there.
    let is_whole = |script: &PathBuf| !script.to_string_lossy().contains(['$', '%', '`']);
    // Where a line changes to can be more than is understood of it.
    let is_certain = starter.kind != Kind::Line || older.names_its_place();
    let is_gone = older.script.is_none() && is_certain && older.named_script().as_ref().is_some_and(is_whole);
    (!is_gone).then_some(older)
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
            let starts_another = !alone.commands().is_empty() && !alone.is_ours();
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
    older.secret |= older.unit_file.iter().chain(&older.drop_ins).any(|file| is_private(root, file));
    older.understand(root, &unit);
    // The unit may have variables from elsewhere (DefaultEnvironment=, systemctl set-environment).
    let of_unit = |process: &Process| process.service.as_deref() == Some(UNIT);
    if let Some(process) = processes::find(root).into_iter().find(of_unit) {
        older.add_missing(process);
    }
    Some(older)
}

/// Its program is among the container's files, and may be another one at each start of it.
fn from_container(process: Process) -> Older {
    let mut older = Older { command: process.arguments.clone(), secret: true, ..Older::default() };
    older.unreadable.push(format!("its program is in the container of process {}", process.pid));
    older.add_missing(process);
    older
}

fn from_process(root: &Sysroot, process: Process) -> Older {
    let command = process.arguments.clone();
    let mut older = Older {
        working_directory: process.directory.clone(),
        user: process.user.clone(),
        // Its environment may be read by its user only.
        secret: true,
        ..Older::default()
    };
    older.add_missing(process);
    older.find_home(root);
    older.starts(root, vec![(Started::by(&command), command)]);
    older
}
