//! The machine: its files, and who it is.

use std::{
    fs, io,
    path::{Path, PathBuf},
};

use serde::Serialize;

use crate::finding::Stop;

/// The machine's files, below a directory that is `/` except in tests.
#[derive(Debug, Clone)]
pub struct Board {
    root: PathBuf,
}

impl Board {
    /// The machine whose files are below `root`.
    pub fn new(root: &Path) -> Self {
        Self { root: root.to_owned() }
    }

    /// Where a file of the machine is for this process.
    pub fn path(&self, path: &str) -> PathBuf {
        self.root.join(path.trim_start_matches('/'))
    }

    /// Whether this is the machine that the program runs on.
    pub fn is_live(&self) -> bool {
        self.root == Path::new("/")
    }

    /// The text of a file without NUL bytes and white space around it.
    ///
    /// # Errors
    ///
    /// [`Stop::Skipped`] with the reason when it cannot be read.
    pub fn read(&self, path: &str) -> Result<String, Stop> {
        match fs::read(self.path(path)) {
            Ok(bytes) => {
                let text = String::from_utf8_lossy(&bytes).into_owned();
                Ok(text.trim_matches(|c: char| c.is_whitespace() || c == '\0').to_owned())
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                Err(Stop::skipped(format_args!("there is no {path}")))
            }
            Err(error) => Err(Stop::skipped(format_args!("{path}: {error}"))),
        }
    }

    /// A whole number in a file, as the kernel writes it.
    pub fn integer(&self, path: &str) -> Option<f64> {
        self.read(path).ok()?.parse().ok()
    }

    /// Whether there is something at a path.
    pub fn has(&self, path: &str) -> bool {
        self.path(path).exists()
    }

    /// The last part of what a symbolic link names, such as the driver for `.../device/driver`.
    pub fn target(&self, path: &str) -> Option<String> {
        let target = fs::read_link(self.path(path)).ok()?;
        Some(target.file_name()?.to_string_lossy().into_owned())
    }

    /// The names in a directory, sorted; none if there is no such directory.
    pub fn list(&self, path: &str) -> Vec<String> {
        let entries = fs::read_dir(self.path(path)).into_iter().flatten().flatten();
        let mut names: Vec<_> =
            entries.map(|entry| entry.file_name().to_string_lossy().into_owned()).collect();
        names.sort();
        names
    }

    /// Who the machine is.
    pub fn identity(&self) -> Identity {
        let release = self.read("/etc/os-release").unwrap_or_default();
        let system = release.lines().find_map(|line| line.strip_prefix("PRETTY_NAME="));
        let read = |path| self.read(path).ok().filter(|text| !text.is_empty());
        Identity {
            model: read("/proc/device-tree/model").or_else(|| read("/sys/class/dmi/id/product_name")),
            kernel: read("/proc/version").map(|version| version.chars().take(200).collect()),
            system: system.map(|name| name.trim_matches('"').to_owned()),
            architecture: std::env::consts::ARCH,
        }
    }
}

/// Who a machine is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Identity {
    /// What its device tree or its maker's table calls it.
    pub model: Option<String>,
    /// `/proc/version`.
    pub kernel: Option<String>,
    /// `PRETTY_NAME` of `/etc/os-release`.
    pub system: Option<String>,
    /// What this program was built for.
    pub architecture: &'static str,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn board(files: &[(&str, &str)]) -> (tempfile::TempDir, Board) {
        let folder = tempfile::tempdir().expect("a folder");
        for (path, text) in files {
            let path = folder.path().join(path);
            fs::create_dir_all(path.parent().expect("a parent")).expect("made");
            fs::write(path, text).expect("written");
        }
        let board = Board::new(folder.path());
        (folder, board)
    }

    #[test]
    fn strips_the_nul_byte_of_the_device_tree() {
        let (_folder, board) = board(&[
            ("proc/device-tree/model", "Raspberry Pi 3 Model B\0"),
            ("etc/os-release", "NAME=\"Debian\"\nPRETTY_NAME=\"Debian GNU/Linux 12 (bookworm)\"\n"),
        ]);
        let identity = board.identity();
        assert_eq!(identity.model.as_deref(), Some("Raspberry Pi 3 Model B"));
        assert_eq!(identity.system.as_deref(), Some("Debian GNU/Linux 12 (bookworm)"));
        assert_eq!(identity.kernel, None);
        assert!(!board.is_live());
    }

    #[test]
    fn a_missing_file_is_a_reason_to_skip() {
        let (_folder, board) = board(&[]);
        assert_eq!(board.read("/proc/nothing"), Err(Stop::skipped("there is no /proc/nothing")));
        assert!(board.list("/sys/class/hwmon").is_empty());
    }
}
