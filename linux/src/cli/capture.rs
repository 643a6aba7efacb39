//! `capture`: a tree of this machine, for a report.

use std::path::{Path, PathBuf};

use clap::Args;

use super::{Failure, options::Options, print};
use crate::capture::{self, Captured};

#[derive(Debug, Clone, Args)]
pub(super) struct Arguments {
    /// Where to write it: a directory that does not exist yet, or an empty one
    dir: PathBuf,
    /// Replace nothing: serial numbers, addresses, network names and positions stay
    #[arg(long)]
    raw: bool,
}

pub(super) fn capture(options: &Options, arguments: &Arguments) -> Result<(), Failure> {
    if options.sysroot != Path::new("/") {
        return Err(Failure::NotCaptured("capture reads this machine, not a --sysroot".to_owned()));
    }
    let settings = options.settings()?;
    let captured = capture::capture(&settings, &arguments.dir, arguments.raw)
        .map_err(|error| Failure::NotCaptured(error.to_string()))?;
    print(report(&arguments.dir, &captured))?;
    Ok(())
}

/// What was taken, and what was replaced.
fn report(directory: &Path, captured: &Captured) -> String {
    let directory = directory.display();
    let mut lines =
        vec![format!("captured {} files, {} bytes, in {directory}", captured.files, captured.bytes)];
    match &captured.replaced {
        None => {
            lines.push("nothing was replaced: it holds what identifies this board and where it is".to_owned())
        }
        Some(replaced) if replaced.is_empty() => {
            lines.push("nothing was found that had to be replaced".to_owned())
        }
        Some(replaced) => {
            let kinds: Vec<_> = replaced.iter().map(|(count, name)| format!("{name} ({count})")).collect();
            lines.push(format!("replaced: {}", kinds.join(", ")));
        }
    }
    for (path, why) in &captured.unread {
        lines.push(format!("not read: {}: {why}", path.display()));
    }
    if captured.left_out > 0 {
        lines.push(format!("left out, because it would have become too large: {} reads", captured.left_out));
    }
    lines.push(format!("it answers: heartbeat-daemon --sysroot {directory} sample"));
    lines.push(
        "for a report, say which value is wrong, and what is right; look at the tree before you send it"
            .to_owned(),
    );
    lines.join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn says_what_was_taken_and_what_was_replaced() {
        let mut captured = Captured {
            files: 3,
            bytes: 70,
            unread: vec![("/dev/x".into(), "permission denied".to_owned())],
            replaced: Some(vec![(2, "MAC addresses"), (1, "network names")]),
            left_out: 0,
        };
        let said = report(Path::new("/tmp/tree"), &captured);
        assert!(
            said.contains("3 files, 70 bytes") && said.contains("MAC addresses (2), network names (1)"),
            "{said}"
        );
        assert!(said.contains("/dev/x: permission denied") && !said.contains("left out"), "{said}");
        captured.replaced = None;
        captured.left_out = 1;
        let said = report(Path::new("/tmp/tree"), &captured);
        assert!(said.contains("nothing was replaced") && said.contains("left out"), "{said}");
    }
}
