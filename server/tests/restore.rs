//! A backup in place of the database.

#![allow(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used,
    reason = "a test fails by panicking"
)]

mod common;

use std::{fs, os::unix::fs::MetadataExt};

use common::{Server, document};

#[test]
fn a_backup_replaces_the_database_of_a_server_that_was_killed() {
    let mut server = Server::start();
    assert_eq!(server.beat(&document("before", 1)).status, 200);
    let backup = server.directory.path().join("backup");
    let backup = backup.to_str().unwrap();
    let (ok, said, error) = server.command(&["backup", backup], "");
    let mib = fs::metadata(backup).unwrap().len() as f64 / 1_048_576.0;
    let holds = "1 device, 1 heartbeat, the last of 20";
    assert!(ok && said.starts_with(&format!("{backup}: {mib:.1} MiB, {holds}")), "{said}{error}");
    for number in 1..50 {
        assert_eq!(server.beat(&document("after", number)).status, 200);
    }
    let (ok, _, error) = server.command(&["restore", backup], "");
    assert!(!ok && error.contains("stop it first"), "{error}");
    assert_eq!(server.beat(&document("after", 50)).status, 200, "nothing has changed");
    server.kill();
    let log = server.database().with_extension("db-wal");
    assert!(fs::metadata(&log).unwrap().len() > 0, "what a kill leaves");
    let (ok, said, error) = server.command(&["restore", backup], "");
    assert!(ok && said.starts_with(&format!("restored from {backup}: {holds}")), "{said}{error}");
    assert!(!log.exists());
    let (file, directory) = (server.database(), server.directory.path().join("state"));
    let owner = |path| fs::metadata(path).unwrap().uid();
    assert_eq!(owner(file), owner(directory));
    server.restart();
    assert_eq!(server.stored("before"), 1);
    assert_eq!(server.get("/api/v1/devices/after").status, 404);
    assert_eq!(server.beat(&document("before", 2)).status, 200);
}

#[test]
fn what_is_no_whole_backup_changes_nothing() {
    let mut server = Server::start();
    assert_eq!(server.beat(&document("pi1", 1)).status, 200);
    let backup = server.directory.path().join("backup");
    assert!(server.command(&["backup", backup.to_str().unwrap()], "").0);
    server.kill();
    let whole = fs::read(&backup).unwrap();
    let half = &whole[..whole.len() / 2 / 4096 * 4096];
    for (what, bytes) in [("half of one", half), ("text", b"not a database".as_slice()), ("nothing", b"")] {
        fs::write(&backup, bytes).unwrap();
        let (ok, _, error) = server.command(&["restore", backup.to_str().unwrap()], "");
        assert!(!ok, "{what}: {error}");
    }
    // Whole files that are no whole database of this program.
    for change in [
        "DROP TABLE latest",
        "ALTER TABLE minute DROP COLUMN temp_max",
        "CREATE TRIGGER t AFTER INSERT ON beat BEGIN DELETE FROM beat; END",
        "ALTER TABLE session RENAME TO s; CREATE VIEW session AS SELECT * FROM s",
    ] {
        fs::write(&backup, &whole).unwrap();
        rusqlite::Connection::open(&backup).unwrap().execute_batch(change).unwrap();
        let (ok, _, error) = server.command(&["restore", backup.to_str().unwrap()], "");
        assert!(!ok, "{change}: {error}");
    }
    let (ok, _, error) = server.command(&["restore", "/dev/zero"], "");
    assert!(!ok && error.contains("regular file"), "{error}");
    server.restart();
    assert_eq!(server.stored("pi1"), 1);
}
