//! Pidfiles of all owners and modes, with and without the Python service.

use super::*;
use std::{
    os::unix::{
        fs::{chown, symlink},
        process::CommandExt,
    },
    process::{Child, Command, Stdio},
};

fn acquire(path: &Path) -> Result<Pidfile, PidfileError> {
    Pidfile::acquire(path, "")
}

fn problem(path: &Path) -> String {
    match acquire(path).expect_err("refused") {
        PidfileError::Unusable { problem, .. } => problem,
        PidfileError::Running { pid, .. } => format!("running: {pid}"),
    }
}

fn own_pid() -> String {
    format!("{}\n", std::process::id())
}

fn set_mode(path: &Path, mode: u32) {
    fs::set_permissions(path, Permissions::from_mode(mode)).expect("set");
}

/// A process that looks like the Python service. Killed when dropped.
struct OldService(Child);

impl OldService {
    fn start() -> Self {
        let mut command = Command::new("sh");
        command.arg0("python3").args(["-c", "read line", "/home/pi/heartbeat_daemon.py"]);
        let child = command.stdin(Stdio::piped()).spawn().expect("it starts");
        // The kernel shows the arguments a moment after the program has been replaced.
        while !process::is_old_service(child.id()) {
            std::thread::yield_now();
        }
        Self(child)
    }
}

impl Drop for OldService {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[test]
fn the_second_is_told_who_the_first_is() {
    let dir = tempfile::tempdir().expect("a directory");
    let path = dir.path().join("pid");
    let held = acquire(&path).expect("the first");
    assert_eq!(fs::read_to_string(&path).expect("read"), own_pid());
    assert_eq!(problem(&path), format!("running: {}", std::process::id()));
    drop(held);
    assert!(!path.exists(), "removed");
    let _held = Pidfile::acquire(&path, "about it").expect("the first");
    let error = acquire(&path).expect_err("held");
    assert!(matches!(error, PidfileError::Running { about, .. } if about == "about it"));
}

#[test]
fn a_stale_file_is_taken_over() {
    let dir = tempfile::tempdir().expect("a directory");
    let path = dir.path().join("pid");
    for mode in [0o644, 0o600] {
        fs::write(&path, "1234567890\nand more than a new pid has digits\n").expect("written");
        set_mode(&path, mode);
        let _held = acquire(&path).expect("taken over");
        assert_eq!(fs::read_to_string(&path).expect("read"), own_pid());
        assert_eq!(path.metadata().expect("there").mode() & 0o777, 0o600, "others cannot lock it");
    }
}

/// One mistyped path must not cost a file.
#[test]
fn file_that_is_no_pidfile_stays_as_it_is() {
    let dir = tempfile::tempdir().expect("a directory");
    let path = dir.path().join("config.toml");
    let long = format!("5\n{}", "x".repeat(600));
    for contents in [&b"url = \"https://a/\"\n"[..], b"\xff\xfe", b"12 monkeys\n", long.as_bytes()] {
        fs::write(&path, contents).expect("written");
        for mode in [0o644, 0o600] {
            set_mode(&path, mode);
            let locked = File::open(&path).expect("opened");
            locked.lock().expect("locked");
            assert_eq!(problem(&path), "holds something else than a pid, and stays as it is");
            drop(locked);
            assert_eq!(problem(&path), "holds something else than a pid, and stays as it is");
        }
        assert_eq!(fs::read(&path).expect("still there"), contents);
    }
    // As a power cut may leave one.
    fs::write(&path, [0; 8]).expect("written");
    acquire(&path).expect("taken over");
}

#[test]
fn leaves_a_planted_file_alone() {
    let dir = tempfile::tempdir().expect("a directory");
    let target = dir.path().join("target");
    fs::write(&target, "precious").expect("written");
    let path = dir.path().join("pid");

    symlink(&target, &path).expect("linked");
    assert_eq!(problem(&path), "expected a regular file, found a symbolic link");
    fs::remove_file(&path).expect("removed");

    fs::hard_link(&target, &path).expect("linked");
    assert_eq!(problem(&path), "has more than one name");
    fs::remove_file(&path).expect("removed");

    nix::unistd::mkfifo(&path, nix::sys::stat::Mode::S_IRWXU).expect("made");
    assert_eq!(problem(&path), "expected a regular file, found a FIFO");
    fs::remove_file(&path).expect("removed");

    fs::create_dir(&path).expect("created");
    assert_eq!(problem(&path), "expected a regular file, found a directory");
    assert_eq!(fs::read_to_string(&target).expect("read"), "precious");
    assert!(problem(Path::new("/dev/null")).ends_with("found a device"));
}

#[test]
fn locked_file_of_another_user_does_not_stop_the_daemon() {
    if !geteuid().is_root() {
        println!("skipped: only root can give files away");
        return;
    }
    let dir = tempfile::tempdir().expect("a directory");
    let path = dir.path().join("pid");
    let old = OldService::start();
    for mode in [0o600, 0o666] {
        fs::write(&path, format!("{}\n", old.0.id())).expect("written");
        set_mode(&path, mode);
        chown(&path, Some(54_321), None).expect("given");
        let locked = File::open(&path).expect("opened");
        locked.lock().expect("locked");
        let expected = format!(
            "belongs to another user (54321), and process {} there is a heartbeat daemon, too",
            old.0.id()
        );
        assert_eq!(problem(&path), expected);
        let refused = check_old_service(&path);
        assert!(
            matches!(refused, Err(PidfileError::Unusable { .. })),
            "reported, but no reason to stop: {refused:?}"
        );
        assert_eq!(fs::read_to_string(&path).expect("read"), format!("{}\n", old.0.id()));
    }
}

/// An older version's and the Python service's are open to all.
#[test]
fn a_lock_on_a_file_that_others_can_open_proves_nothing() {
    let dir = tempfile::tempdir().expect("a directory");
    let path = dir.path().join("pid");
    fs::write(&path, "2147483632\n").expect("written");
    set_mode(&path, 0o644);
    let locked = File::open(&path).expect("opened");
    locked.lock().expect("locked");
    let held = acquire(&path).expect("a new file takes its place");
    assert_eq!(fs::read_to_string(&path).expect("read"), own_pid());
    assert_eq!(problem(&path), format!("running: {}", std::process::id()));
    drop(held);

    let other = OldService::start();
    fs::write(&path, format!("{}\n", other.0.id())).expect("written");
    set_mode(&path, 0o644);
    let locked = File::open(&path).expect("opened");
    locked.lock().expect("locked");
    assert_eq!(problem(&path), format!("running: {}", other.0.id()), "but its process does");
}

#[test]
fn the_python_service_counts_without_a_lock_while_it_lives() {
    let dir = tempfile::tempdir().expect("a directory");
    let path = dir.path().join("pid");
    assert!(check_old_service(&path).is_ok(), "there is none");
    let old = OldService::start();
    let plain = format!("{}\n", old.0.id());
    fs::write(&path, &plain).expect("written");
    set_mode(&path, 0o644);
    assert_eq!(problem(&path), format!("running: {}", old.0.id()));
    assert_eq!(fs::read_to_string(&path).expect("read"), plain, "left as it was");
    let error = check_old_service(&path).expect_err("it lives");
    assert_eq!(
        error.to_string(),
        format!("another instance is running (pid {}, {})", old.0.id(), path.display())
    );
    drop(old);
    assert!(check_old_service(&path).is_ok(), "it is gone");
    acquire(&path).expect("taken over");
    // The pid of something else.
    fs::write(&path, "1\n").expect("written");
    set_mode(&path, 0o644);
    assert!(check_old_service(&path).is_ok());
    acquire(&path).expect("taken over");
}

#[test]
fn a_file_that_replaced_ours_is_not_removed() {
    let dir = tempfile::tempdir().expect("a directory");
    let path = dir.path().join("pid");
    let held = acquire(&path).expect("the first");
    fs::remove_file(&path).expect("removed");
    fs::write(&path, "somebody else's").expect("written");
    drop(held);
    assert_eq!(fs::read_to_string(&path).expect("still there"), "somebody else's");
}
