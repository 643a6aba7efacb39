//! Why settings cannot be used.

use std::{io, path::PathBuf};

use super::Origin;
use crate::transient::is_transient;

/// Why settings cannot be used. Each says where and what was expected.
#[derive(Debug, thiserror::Error)]
pub enum SettingsError {
    /// The file could not be read, or is no file that is read.
    #[error("{}: {source}", path.display())]
    Unreadable {
        /// Path of the file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// It is behind a link that leads nowhere.
    #[error(
        "{}: {} is a link to what is not there or, as the homes are, hidden from the service",
        path.display(),
        link.display()
    )]
    Dangling {
        /// Path of the file.
        path: PathBuf,
        /// The link.
        link: PathBuf,
        /// Whether the service never sees what it leads to. Else it may be on a volume that is not mounted yet.
        is_hidden: bool,
    },
    /// What was given cannot be used.
    #[error("{origin}: {problem}")]
    Refused {
        /// Where it was given.
        origin: Origin,
        /// Which key it is, and what was expected.
        problem: String,
    },
}

impl SettingsError {
    /// Whether the same configuration may be usable at the next start.
    pub fn is_transient(&self) -> bool {
        match self {
            Self::Unreadable { source, .. } => is_transient(source),
            Self::Dangling { is_hidden, .. } => !is_hidden,
            Self::Refused { .. } => false,
        }
    }
}

/// A message of serde in the order of all others: what was expected, then what was found.
pub(super) fn reworded(message: &str) -> String {
    let parts = ["invalid type: ", "invalid value: ", "unknown variant "]
        .into_iter()
        .find_map(|start| message.strip_prefix(start))
        // From the end, because what was found may hold any text.
        .and_then(|rest| rest.rsplit_once(", expected "));
    match parts {
        Some((found, expected)) => {
            let found = match found {
                "map" => "a table",
                "sequence" => "an array",
                other => other,
            };
            format!("expected {expected}, found {found}")
        }
        None => message.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use nix::errno::Errno;

    use super::*;

    #[test]
    fn only_what_the_system_may_recover_from_is_transient() {
        let unreadable =
            |source: io::Error| SettingsError::Unreadable { path: "c.toml".into(), source }.is_transient();
        assert!(unreadable(Errno::EIO.into()));
        assert!(!unreadable(Errno::EACCES.into()));
        assert!(!unreadable(io::ErrorKind::FileTooLarge.into()));
        let dangling = |is_hidden| SettingsError::Dangling { path: "c".into(), link: "c".into(), is_hidden };
        assert!(dangling(false).is_transient(), "a volume that is mounted late");
        assert!(!dangling(true).is_transient(), "a home");
        assert!(!SettingsError::Refused { origin: Origin::Default, problem: String::new() }.is_transient());
    }

    #[test]
    fn rewords_serde_messages() {
        for (message, expected) in [
            ("invalid type: map, expected a string", "expected a string, found a table"),
            ("invalid type: sequence, expected a boolean", "expected a boolean, found an array"),
            (
                "invalid type: string \"x, expected y\", expected a number",
                "expected a number, found string \"x, expected y\"",
            ),
            ("unknown variant `put`, expected `post` or `get`", "expected `post` or `get`, found `put`"),
            ("the host is missing", "the host is missing"),
        ] {
            assert_eq!(reworded(message), expected);
        }
    }
}
