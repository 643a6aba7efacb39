//! What the service reports of the streaming application, for which this process stands: in a folder within `/tmp`, where the
//! application itself and the owner's service do not look.

use std::{
    fs, io,
    path::{Path, PathBuf},
    process,
};

use super::trial::{Plan, Trial};
use crate::{
    checks::Context,
    document::Document,
    finding::{Evidence, Stop},
    undo::{self, Change},
};

const RECORDED: &str = "heartbeat-hil-recording.mp4";
const MEBIBYTE: usize = 1 << 20;

/// The folder. It goes when this is dropped.
struct Stage(Change, PathBuf);

impl Stage {
    fn make() -> io::Result<Self> {
        let folder = Path::new("/tmp").join(format!("heartbeat-hil-application-{}", process::id()));
        let change = Change::Folder(folder.clone());
        undo::note(change.clone())?;
        if let Err(error) = fs::create_dir(&folder) {
            // It may be somebody else's.
            undo::forget(&change);
            return Err(error);
        }
        Ok(Self(change, folder))
    }

    fn write(&self, name: &str, content: impl AsRef<[u8]>) -> Result<(), Stop> {
        let path = self.1.join(name);
        fs::write(&path, content).map_err(|error| Stop::skipped(format_args!("{}: {error}", path.display())))
    }

    fn remove(&self, name: &str) -> Result<(), Stop> {
        fs::remove_file(self.1.join(name)).map_err(Stop::skipped)
    }
}

impl Drop for Stage {
    fn drop(&mut self) {
        // Noted as long as it has not been done.
        if self.0.undo().is_ok() {
            undo::forget(&self.0);
        }
    }
}

/// The pidfiles as the application names them, and the keys of the document that tell of them.
const PIDFILES: [(&str, &str); 3] = [
    ("streaming_active", "relay-ffmpeg-webcam.pid"),
    ("recording_active", "relay-ffmpeg-record-webcam.pid"),
    ("tracking_active", "gps-tracker.pid"),
];

/// Streaming, tracking and a recording that grows begin and end in the service's heartbeats.
pub(crate) fn activity(context: &Context, evidence: &mut Evidence) -> Result<(), Stop> {
    let stage = Stage::make().map_err(|error| Stop::skipped(format_args!("/tmp: {error}")))?;
    let trial = Trial::begin(context, Plan { application: Some(stage.1.clone()), ..Plan::default() })?;
    let heartbeat = || trial.fresh_beat(context);
    flags(evidence, &heartbeat()?, false, "no pidfile");
    let pid = process::id();
    let contents =
        [format!("{pid}\n"), format!("{pid}:/tmp/{RECORDED}\n"), format!("{pid}:user:example.org:1\n")];
    stage.write(RECORDED, vec![0; MEBIBYTE])?;
    for ((_, name), content) in PIDFILES.iter().zip(contents) {
        stage.write(name, content)?;
    }
    let begun = heartbeat()?;
    flags(evidence, &begun, true, "a live process in the pidfile");
    let path = begun.text("/recording_file_path");
    evidence.text("recording_file_path", path, Some(&format!("/tmp/{RECORDED}")), "the pidfile");
    let size = |document: &Document| document.number("/recording_file_size_mb");
    evidence.number("recording_file_size_mb", size(&begun), [1.0; 2], 0.0, "a file of 1 MiB");
    stage.write(RECORDED, vec![0; 3 * MEBIBYTE])?;
    let grown = size(&heartbeat()?);
    evidence.number("recording_file_size_mb", grown, [3.0; 2], 0.0, "the file after it grew to 3 MiB");
    for (_, name) in PIDFILES {
        stage.remove(name)?;
    }
    flags(evidence, &heartbeat()?, false, "the end of the pidfiles");
    Ok(())
}

fn flags(evidence: &mut Evidence, document: &Document, expected: bool, witness: &str) {
    for (key, _) in PIDFILES {
        let reported = document.flag(&format!("/{key}"));
        let shown = reported.map_or_else(|| "null".to_owned(), |flag| flag.to_string());
        evidence.holds(key, shown, expected, witness, reported == Some(expected));
    }
}
