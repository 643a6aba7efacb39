//! `doc/faults.md` says of every fault what shows how it is survived: that must be there.

#![allow(clippy::expect_used, clippy::panic)]

use std::{collections::BTreeSet, fs, path::Path};

use heartbeat_sim::hostile_servers::Fault;

fn repository() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("the workspace")
}

/// The cells of the table rows.
fn rows(text: &str) -> Vec<Vec<&str>> {
    let rows = text.lines().filter_map(|line| line.strip_prefix('|')?.strip_suffix('|'));
    rows.map(|row| row.split('|').map(str::trim).collect()).collect()
}

/// What stands between backticks.
fn code(text: &str) -> impl Iterator<Item = &str> {
    text.split('`').skip(1).step_by(2)
}

#[test]
fn every_fault_has_a_row_and_every_row_a_test_that_exists() {
    let text = fs::read_to_string(repository().join("doc/faults.md")).expect("the catalogue");
    // The promises that follow the faults are no faults.
    let (text, _) = text.split_once("## What must hold").expect("both parts");
    let mut tests = 0;
    for (file, test) in code(text).filter_map(|code| code.split_once(".rs::")) {
        let source = fs::read_to_string(repository().join(format!("{file}.rs")));
        let source = source.unwrap_or_else(|error| panic!("{file}.rs: {error}"));
        assert!(source.contains(&format!("fn {test}(")), "{file}.rs has no {test}");
        tests += 1;
    }
    let mut listed = BTreeSet::new();
    for row in rows(text) {
        let [ids, .., shown] = row.as_slice() else { panic!("{row:?}") };
        for id in ids.split(", ").filter(|id| id.starts_with(|first: char| first.is_ascii_uppercase())) {
            assert!(listed.insert(id.to_owned()), "{id} twice");
        }
        let servers = shown.split("servers (").skip(1).filter_map(|rest| rest.split(')').next());
        for name in servers.flat_map(code) {
            assert!(Fault::named(name).is_some(), "no server is called {name}");
        }
    }
    let sections = [("C", 12), ("N", 43), ("K", 39), ("P", 22), ("G", 9)];
    let all = sections.iter().flat_map(|(letter, count)| (1..=*count).map(move |n| format!("{letter}{n}")));
    assert_eq!(listed, all.collect::<BTreeSet<String>>());
    assert!(tests > 100, "{tests} tests are named");
}
