//! Whether the running service has other settings than a command: another environment, other flags, another user.

use std::{
    env,
    ffi::{OsStr, OsString},
    fs,
    os::unix::{
        ffi::{OsStrExt, OsStringExt},
        fs::MetadataExt,
    },
    path::{Path, PathBuf},
};

use clap::Parser;
use nix::unistd::geteuid;

use super::{Cli, Command, options::Options};
use crate::{
    config::{Layers, Origin, Settings, SettingsError},
    files::{self, Links},
    runtime_directory::OF_THE_SERVICE,
    status_file,
};

/// The kernel's limit for arguments and environment is higher; a unit's has some kilobytes.
const PROC_MAX: u64 = 128 * 1024;
/// Each instance has its own.
const OWN: &str = "pidfile";
/// Shown by no command, and therefore compared by its origin only.
const SECRET: &str = "token";
/// Shown without its password, which is compared all the same.
const PROXY: &str = "proxy";

/// Warns where the running service differs from what this command sees. Says nothing if no service runs, or if the
/// configuration of this command is another one by intention.
pub(super) fn warn_of_differences(options: &Options) {
    if options.is_elsewhere() {
        return;
    }
    let status = status_file::read(&Path::new(OF_THE_SERVICE).join(status_file::NAME));
    let Some(pid) = status.ok().filter(|status| status.running).map(|status| status.pid) else { return };
    let process = PathBuf::from(format!("/proc/{pid}"));
    let Ok((mine, _)) = options.layers() else { return };
    let own = env::current_exe().ok();
    let Some(own) = own.as_deref().and_then(Path::file_name) else { return };
    for warning in warnings(&process, own, &mine) {
        log::warn!("{warning}");
    }
}

/// What to say about the service that is this process, if it runs the program of this name.
fn warnings(process: &Path, own: &OsStr, mine: &Layers) -> Vec<String> {
    let Some(theirs) = options_of(process, own) else { return Vec::new() };
    let mut warnings = Vec::new();
    let mut variables = Vec::new();
    match strings(&process.join("environ")) {
        Some(strings) => variables = strings,
        None => warnings.push(
            "the service's environment is readable for its user and root only: it may have other settings"
                .to_owned(),
        ),
    }
    let variable = |name: &str| {
        let of = |entry: &OsString| Some(entry.to_str()?.strip_prefix(name)?.strip_prefix('=')?.to_owned());
        variables.iter().find_map(of)
    };
    // An error means that the file has changed since the service was started. The command's own complaint says how.
    let found = theirs.layers_in(variable).and_then(|(theirs, _)| differences(mine, &theirs));
    warnings.extend(found.unwrap_or_default());
    let user = geteuid().as_raw();
    if let Some(other) = fs::metadata(process).ok().map(|metadata| metadata.uid()).filter(|uid| *uid != user)
    {
        warnings.push(format!(
            "the service runs as user {other}, this command as {user}: what only one of them may read differs; \
             sudo -u '#{other}' sees what it sees"
        ));
    }
    warnings
}

/// The flags of a daemon; `None` if the process is none: its number may be another program's by now.
fn options_of(process: &Path, own: &OsStr) -> Option<Options> {
    let arguments = strings(&process.join("cmdline"))?;
    // A process that ends has no arguments.
    if program(process, &arguments)? != own {
        return None;
    }
    let Cli { options, command } = Cli::try_parse_from(arguments).ok()?;
    // A path counts from where the process is.
    matches!(command, None | Some(Command::Run)).then(|| options.seen_from(&process.join("cwd")))
}

/// The name of the program that the process runs: as the kernel has it, which tells this user's processes and root only, or
/// else as the process was told.
fn program(process: &Path, arguments: &[OsString]) -> Option<OsString> {
    let path = fs::read_link(process.join("exe"));
    let path = path.unwrap_or_else(|_| arguments.first().map(PathBuf::from).unwrap_or_default());
    let name = path.file_name()?.as_bytes();
    // After an upgrade, until the service is started again (proc_pid_exe(5)).
    Some(OsStr::from_bytes(name.strip_suffix(b" (deleted)").unwrap_or(name)).to_owned())
}

/// The strings of a file of `/proc`, each of which ends with NUL (proc_pid_cmdline(5), proc_pid_environ(5)).
fn strings(path: &Path) -> Option<Vec<OsString>> {
    let (bytes, _) = files::read(path, PROC_MAX, Links::Follow).ok()?;
    let bytes = bytes.strip_suffix(&[0]).unwrap_or(&bytes);
    Some(bytes.split(|byte| *byte == 0).map(|string| OsString::from_vec(string.to_vec())).collect())
}

/// Each setting that the service has from another place with another value. Flags of this command differ by intention.
fn differences(mine: &Layers, theirs: &Layers) -> Result<Vec<String>, SettingsError> {
    let (my_entries, their_entries) = (mine.in_use()?, theirs.in_use()?);
    let value = |key: &str| their_entries.iter().find(|entry| entry.key == key).map(|entry| &entry.value);
    let keys = their_entries.iter().chain(&my_entries).map(|entry| entry.key.as_str());
    let mut keys: Vec<_> = keys.filter(|key| *key != OWN).collect();
    keys.sort_unstable();
    keys.dedup();
    let is_other = |key: &&str| {
        my_entries.iter().find(|entry| entry.key == *key).map(|entry| &entry.value) != value(key)
    };
    let mut differing: Vec<_> = keys.into_iter().filter(is_other).collect();
    if (mine.origin(SECRET) == Origin::Default) != (theirs.origin(SECRET) == Origin::Default) {
        differing.push(SECRET);
    }
    if !differing.contains(&PROXY) && Settings::new(mine)?.proxy != Settings::new(theirs)?.proxy {
        differing.push(PROXY);
    }
    let of_intention = |key: &&str| matches!(mine.origin(key), Origin::Flag(_));
    Ok(differing
        .into_iter()
        .filter(|key| !of_intention(key))
        .map(|key| {
            let [here, there] = [mine, theirs].map(|layers| layers.origin(key));
            format!("the service has another {key}: from {there}; here it is from {here}")
        })
        .collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn layers(text: &str, variable: Option<(&str, &str)>) -> Layers {
        let mut layers = Layers::default();
        layers.add_text(Path::new("c.toml"), text).expect("usable");
        let value = |name: &str| variable.filter(|(key, _)| *key == name).map(|(_, value)| value.to_owned());
        layers.add_environment(value);
        layers
    }

    #[test]
    fn other_values_are_named_by_their_places_and_never_shown() {
        let mine = layers("interval = 7\nproxy = 'http://p:1'", None);
        let url = layers("interval = 7", Some(("HEARTBEAT_URL", "https://x.example/?key=s3cret")));
        assert_eq!(
            differences(&mine, &url).expect("usable"),
            [
                "the service has another proxy: from default; here it is from c.toml:2",
                "the service has another url: from environment variable HEARTBEAT_URL; here it is from default",
            ]
        );
        let token = layers("interval = 7\nproxy = 'http://p:1'", Some(("HEARTBEAT_TOKEN", "s3cret")));
        assert_eq!(
            differences(&mine, &token).expect("usable"),
            [
                "the service has another token: from environment variable HEARTBEAT_TOKEN; here it is from default"
            ]
        );
        let pidfile = layers("interval = 7\nproxy = 'http://p:1'\npidfile = '/run/x'", None);
        assert_eq!(differences(&mine, &pidfile).expect("usable"), [""; 0]);
        let mut flag = mine;
        flag.add_flag("url", "https://y.example/");
        assert_eq!(
            differences(&flag, &layers("interval = 7\nproxy = 'http://p:1'", None)).expect("usable"),
            [""; 0]
        );
    }

    #[test]
    fn another_password_of_the_proxy_is_a_difference_and_never_shown() {
        let proxy = |password| layers(&format!("proxy = 'http://u:{password}@p:1'"), None);
        assert_eq!(
            differences(&proxy("s3cret"), &proxy("0ther")).expect("usable"),
            ["the service has another proxy: from c.toml:1; here it is from c.toml:1"]
        );
        assert_eq!(differences(&proxy("s3cret"), &proxy("s3cret")).expect("usable"), [""; 0]);
    }

    /// A process as `/proc` shows it.
    fn process(cmdline: &str, environ: Option<&str>) -> tempfile::TempDir {
        let process = tempfile::tempdir().expect("a directory");
        fs::write(process.path().join("cmdline"), cmdline).expect("written");
        if let Some(environ) = environ {
            fs::write(process.path().join("environ"), environ).expect("written");
        }
        std::os::unix::fs::symlink(process.path(), process.path().join("cwd")).expect("linked");
        fs::write(process.path().join("c.toml"), "interval = 9\n").expect("written");
        process
    }

    #[test]
    fn flags_and_environment_of_the_service_are_read() {
        let (mine, own) = (layers("", None), OsStr::new("heartbeat-daemon"));
        let flags = "heartbeat-daemon\0--config\0c.toml\0--url\0https://x.example/\0";
        let found = warnings(process(flags, Some("A=1\0REQUEST_TIMEOUT=1\0")).path(), own, &mine);
        let names: Vec<_> =
            found.iter().filter_map(|line| line.strip_prefix("the service has another ")).collect();
        assert!(names[0].starts_with("interval: from ") && names[0].contains("c.toml:1; here"), "{names:?}");
        assert!(names[1].starts_with("timeout: from environment variable REQUEST_TIMEOUT"), "{names:?}");
        assert!(names[2].starts_with("url: from --url"), "{names:?}");
        assert_eq!((names.len(), found.len()), (3, 3));
        let hidden = warnings(
            process("heartbeat-daemon\0--config\0c.toml\0--interval\x005\0", None).path(),
            own,
            &mine,
        );
        assert!(hidden[0].starts_with("the service's environment is readable"), "{hidden:?}");
        assert_eq!(hidden.len(), 1);
        for other in ["heartbeat-daemon\0send\0", "sh\0-c\0x\0", "sleep\0--interval\x005\0", "sleep\0", ""] {
            assert_eq!(
                warnings(process(other, Some("REQUEST_TIMEOUT=1\0")).path(), own, &mine),
                [""; 0],
                "{other}"
            );
        }
    }

    #[test]
    fn program_is_what_the_kernel_says_before_what_the_process_says() {
        let (mine, own) = (layers("", None), OsStr::new("heartbeat-daemon"));
        for (exe, is_ours) in [
            ("/usr/bin/heartbeat-daemon", true),
            ("/usr/bin/heartbeat-daemon (deleted)", true),
            ("/usr/bin/sleep", false),
        ] {
            let process = process("heartbeat-daemon\0--interval\x005\0", Some("REQUEST_TIMEOUT=1\0"));
            std::os::unix::fs::symlink(exe, process.path().join("exe")).expect("linked");
            assert_eq!(!warnings(process.path(), own, &mine).is_empty(), is_ours, "{exe}");
        }
    }
}
