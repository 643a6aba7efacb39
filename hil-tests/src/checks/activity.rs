//! What the streaming application does, shown by pidfiles as it leaves them.

use std::{fs, io, path::PathBuf, process};

use super::Context;
use crate::finding::{Evidence, Stop};

const STREAMING: &str = "/tmp/relay-ffmpeg-webcam.pid";
const RECORDING: &str = "/tmp/relay-ffmpeg-record-webcam.pid";
const TRACKING: &str = "/tmp/gps-tracker.pid";
const RECORDED: &str = "/tmp/heartbeat-hil-recording.mp4";
const MEBIBYTE: usize = 1 << 20;

/// The application's files, which this process makes in its place and takes away again.
struct Files(Vec<PathBuf>);

impl Files {
    fn write(&mut self, path: PathBuf, content: impl AsRef<[u8]>) -> io::Result<()> {
        // Never overwrites a file that another program has made meanwhile.
        let mut file = fs::File::create_new(&path)?;
        self.0.push(path);
        io::Write::write_all(&mut file, content.as_ref())
    }
}

impl Drop for Files {
    fn drop(&mut self) {
        for path in &self.0 {
            // What is gone already is what is wanted.
            let _ = fs::remove_file(path);
        }
    }
}

/// Streaming, tracking and a recording that grows, with this process as all three.
pub(super) fn activity(context: &Context, evidence: &mut Evidence) -> Result<(), Stop> {
    if !context.board.is_live() {
        return Err(Stop::skipped("the files are not those of the running machine"));
    }
    let place = |path| context.board.path(path);
    for path in [STREAMING, RECORDING, TRACKING, RECORDED] {
        if place(path).exists() {
            return Err(Stop::skipped(format_args!("the streaming application is in use: {path} is there")));
        }
    }
    let pid = process::id();
    let mut files = Files(Vec::new());
    let cannot = |error: io::Error| Stop::skipped(format_args!("/tmp: {error}"));
    files.write(place(STREAMING), format!("{pid}\n")).map_err(cannot)?;
    files.write(place(RECORDING), format!("{pid}:{RECORDED}\n")).map_err(cannot)?;
    files.write(place(TRACKING), format!("{pid}:user:example.org:1\n")).map_err(cannot)?;
    files.write(place(RECORDED), vec![0; MEBIBYTE]).map_err(cannot)?;
    let sample = context.daemon.sample()?;
    let mut flag = |name: &str| {
        let reported = sample.flag(&format!("/{name}"));
        evidence.holds(
            name,
            reported.unwrap_or(false),
            true,
            "a live process in the pidfile",
            reported == Some(true),
        );
    };
    flag("streaming_active");
    flag("tracking_active");
    flag("recording_active");
    let path = sample.text("/recording_file_path");
    evidence.text("recording_file_path", path, Some(RECORDED), "the pidfile");
    let size = |sample: &crate::document::Document| sample.number("/recording_file_size_mb");
    evidence.number("recording_file_size_mb", size(&sample), [1.0; 2], 0.0, "a file of 1 MiB");
    fs::write(place(RECORDED), vec![0; 3 * MEBIBYTE]).map_err(cannot)?;
    let sample = context.daemon.sample()?;
    evidence.number(
        "recording_file_size_mb",
        size(&sample),
        [3.0; 2],
        0.0,
        "the file after it grew to 3 MiB",
    );
    drop(files);
    let sample = context.daemon.sample()?;
    let ended =
        sample.flag("/streaming_active") == Some(false) && sample.flag("/recording_active") == Some(false);
    evidence.holds("streaming and recording end", ended, true, "the end of the pidfiles", ended);
    Ok(())
}
