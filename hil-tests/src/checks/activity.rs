//! What the streaming application does, shown by pidfiles as it leaves them.

use std::{
    fs, io,
    path::{Path, PathBuf},
    process,
};

use super::{Context, service::Unit};
use crate::{
    document::Document,
    finding::{Evidence, Stop},
    witnesses::application::{Application, RECORDING, STREAMING, TRACKING},
};

/// The recording.
const RECORDED: &str = "heartbeat-hil-recording.mp4";
const MEBIBYTE: usize = 1 << 20;
/// The size of a recording that grows is printed with two digits.
const SIZE_TOLERANCE: f64 = 0.01;

/// Where this process plays the application. What it makes there it takes away again.
struct Stage {
    folder: PathBuf,
    files: Vec<PathBuf>,
    is_private: bool,
}

impl Stage {
    /// The application's own `/tmp`, which every daemon on this machine looks at.
    fn real(folder: PathBuf) -> Self {
        Self { folder, files: Vec::new(), is_private: false }
    }

    /// A folder of its own that stands for the application's `/tmp`, within the real one, which the daemon must see. A service that
    /// runs does not look into it, so that the owner's server is told nothing of it.
    fn private() -> io::Result<Self> {
        let folder = Path::new("/tmp").join(format!("heartbeat-hil-application-{}", process::id()));
        fs::create_dir(&folder)?;
        Ok(Self { folder, files: Vec::new(), is_private: true })
    }

    /// Writes a file that is not there yet, even if another program makes it at this moment.
    fn write(&mut self, name: &str, content: impl AsRef<[u8]>) -> io::Result<()> {
        let path = self.folder.join(name);
        let mut file = fs::File::create_new(&path)?;
        self.files.push(path);
        io::Write::write_all(&mut file, content.as_ref())
    }

    fn sample(&self, context: &Context) -> Result<Document, Stop> {
        if self.is_private { context.daemon.sample_beside(&self.folder) } else { context.daemon.sample() }
    }

    /// Takes the files away.
    fn clear(&mut self) {
        for path in self.files.drain(..) {
            // What is gone already is what is wanted.
            let _ = fs::remove_file(path);
        }
    }
}

impl Drop for Stage {
    fn drop(&mut self) {
        self.clear();
        if self.is_private {
            // As above.
            let _ = fs::remove_dir(&self.folder);
        }
    }
}

/// What the real application does, if it is in use; then streaming, tracking and a recording that grows, with this process as all
/// three.
pub(super) fn activity(context: &Context, evidence: &mut Evidence) -> Result<(), Stop> {
    if !context.board.is_live() {
        return Err(Stop::skipped("the files are not those of the running machine"));
    }
    let settings = context.settings()?;
    let tmp = PathBuf::from(settings.get("app_tmp").and_then(toml::Value::as_str).unwrap_or("/tmp"));
    let is_in_use = real_application(context, evidence, &tmp)?;
    let service_looks = context.unit.as_ref().is_ok_and(Unit::is_active);
    let cannot = |error: io::Error| Stop::skipped(format_args!("/tmp: {error}"));
    let stage = if is_in_use || service_looks { Stage::private().map_err(cannot)? } else { Stage::real(tmp) };
    play(context, evidence, stage)
}

/// Streaming, tracking and a recording that grows.
fn play(context: &Context, evidence: &mut Evidence, mut stage: Stage) -> Result<(), Stop> {
    let place = stage.folder.display().to_string();
    let cannot = |error: io::Error| Stop::skipped(format_args!("{place}: {error}"));
    flags(evidence, &stage.sample(context)?, false, "no pidfile");
    let pid = process::id();
    stage.write(STREAMING, format!("{pid}\n")).map_err(cannot)?;
    stage.write(RECORDING, format!("{pid}:/tmp/{RECORDED}\n")).map_err(cannot)?;
    stage.write(TRACKING, format!("{pid}:user:example.org:1\n")).map_err(cannot)?;
    stage.write(RECORDED, vec![0; MEBIBYTE]).map_err(cannot)?;
    let begun = stage.sample(context)?;
    flags(evidence, &begun, true, "a live process in the pidfile");
    let path = begun.text("/recording_file_path");
    evidence.text("recording_file_path", path, Some(&format!("/tmp/{RECORDED}")), "the pidfile");
    evidence.number("recording_file_size_mb", size(&begun), [1.0; 2], 0.0, "a file of 1 MiB");
    fs::write(stage.folder.join(RECORDED), vec![0; 3 * MEBIBYTE]).map_err(cannot)?;
    let grown = size(&stage.sample(context)?);
    evidence.number("recording_file_size_mb", grown, [3.0; 2], 0.0, "the file after it grew to 3 MiB");
    stage.clear();
    flags(evidence, &stage.sample(context)?, false, "the end of the pidfiles");
    Ok(())
}

/// What the application does now, beside a sample as the service would make it. Returns whether there are files of it.
fn real_application(context: &Context, evidence: &mut Evidence, tmp: &Path) -> Result<bool, Stop> {
    let is_there = [STREAMING, RECORDING, TRACKING, RECORDED].iter().any(|name| tmp.join(name).exists());
    let look = || Application::look(tmp, Path::new("/proc"));
    let before = look();
    if !before.is_in_use() {
        evidence.silent("the streaming application is not in use");
        return Ok(is_there);
    }
    let path = before.records.as_ref().map(PathBuf::from);
    let here = path.map(|path| path.strip_prefix("/tmp").map_or(path.clone(), |below| tmp.join(below)));
    let mebibytes = || {
        let bytes = here.as_ref().and_then(|path| fs::metadata(path).ok())?.len();
        u32::try_from(bytes / 1024).ok().map(|kibibytes| f64::from(kibibytes) / 1024.0)
    };
    let size_before = mebibytes();
    let sample = context.daemon.sample()?;
    let after = look();
    if before != after {
        evidence.silent("the streaming application has just begun or ended something");
        return Ok(true);
    }
    let witness = "the application's pidfiles";
    for (name, does) in [
        ("streaming_active", before.streams),
        ("tracking_active", before.tracks),
        ("recording_active", before.records.is_some()),
    ] {
        flag(evidence, &sample, name, does, witness);
    }
    let path = sample.text("/recording_file_path");
    evidence.text("recording_file_path", path, before.records.as_deref(), witness);
    if let (Some(before), Some(after)) = (size_before, mebibytes()) {
        evidence.number("recording_file_size_mb", size(&sample), [before, after], SIZE_TOLERANCE, "the file");
    }
    Ok(true)
}

fn flags(evidence: &mut Evidence, sample: &Document, expected: bool, witness: &str) {
    for name in ["streaming_active", "tracking_active", "recording_active"] {
        flag(evidence, sample, name, expected, witness);
    }
}

fn flag(evidence: &mut Evidence, sample: &Document, name: &str, expected: bool, witness: &str) {
    let reported = sample.flag(&format!("/{name}"));
    let shown = reported.map_or_else(|| "null".to_owned(), |flag| flag.to_string());
    evidence.holds(name, shown, expected, witness, reported == Some(expected));
}

fn size(sample: &Document) -> Option<f64> {
    sample.number("/recording_file_size_mb")
}
