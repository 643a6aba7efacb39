//! Which versions of the witnesses a machine has.

use std::process::Command;

use serde::Serialize;

use crate::program::{self, DEADLINE, ProgramError};

/// A witness.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Version {
    /// The name of the program.
    pub program: &'static str,
    /// The first line of what it says about itself, or why there is none.
    pub version: String,
}

/// The programs that are asked, and how they tell their version.
const PROGRAMS: &[(&str, &[&str])] = &[
    ("vcgencmd", &["version"]),
    ("free", &["--version"]),
    ("df", &["--version"]),
    ("ip", &["-V"]),
    ("iw", &["--version"]),
    ("i2ctransfer", &["-V"]),
    ("mmcli", &["--version"]),
    ("gpspipe", &["-V"]),
    ("systemctl", &["--version"]),
];

/// Characters of a version that are kept.
const LENGTH_MAX: usize = 80;

/// Asks all of them.
pub fn all() -> Vec<Version> {
    let ask = |(program, arguments): &(&'static str, &[&str])| {
        let mut command = Command::new(program);
        command.args(*arguments);
        let version = match program::finish(command, DEADLINE) {
            Ok(output) => {
                // `i2ctransfer` tells it on standard error.
                let said = [output.stdout, output.stderr].concat();
                let said = String::from_utf8_lossy(&said);
                let line = said.lines().map(str::trim).find(|line| !line.is_empty()).unwrap_or("no answer");
                line.chars().take(LENGTH_MAX).collect()
            }
            Err(ProgramError::Missing(_)) => "not installed".to_owned(),
            Err(error) => error.to_string(),
        };
        Version { program, version }
    };
    PROGRAMS.iter().map(ask).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_witness_is_named_with_a_line() {
        let versions = all();
        assert_eq!(versions.len(), PROGRAMS.len());
        assert!(
            versions.iter().all(|version| !version.version.is_empty() && !version.version.contains('\n'))
        );
        let df = versions.iter().find(|version| version.program == "df").expect("asked");
        assert!(df.version.starts_with("df "), "{}", df.version);
    }
}
