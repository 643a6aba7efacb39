//! An emulated board: the other end of its serial line, its log, and the knobs of its sensors.

use std::{
    fs,
    io::{self, BufRead, BufReader, Read, Write},
    os::unix::net::UnixStream,
    path::{Path, PathBuf},
    process::{Child, Command, ExitStatus, Stdio},
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

use defmt_decoder::Table;
use serde_json::{Value, json};

/// For what must happen. Long, because a slow machine is no failure.
const PATIENCE: Duration = Duration::from_secs(60);

/// A program for a target of `embedded/`, as `embedded/check` has built it.
pub(crate) fn program(target: &str, name: &str) -> PathBuf {
    let path =
        Path::new(env!("CARGO_MANIFEST_DIR")).join("../target").join(target).join("release").join(name);
    assert!(path.exists(), "{} is not built: run embedded/check", path.display());
    path
}

/// QEMU with a program in a machine.
pub(crate) fn emulate(machine: &str, program: &Path) -> Command {
    let mut command = Command::new("qemu-system-arm");
    command.args(["-M", machine, "-display", "none", "-monitor", "none"]);
    command.args(["-semihosting-config", "enable=on,target=native", "-kernel"]).arg(program);
    command.stdin(Stdio::null()).stdout(Stdio::piped());
    command
}

/// A running firmware. Killed when dropped.
pub(crate) struct Board {
    child: Child,
    line: BufReader<UnixStream>,
    qmp: BufReader<UnixStream>,
    log: Option<JoinHandle<Vec<u8>>>,
    firmware: PathBuf,
    _files: tempfile::TempDir,
}

impl Board {
    /// Starts the firmware with `id` in its flash and a sensor that says `millidegrees`.
    pub(crate) fn start(id: &[u8], millidegrees: i64) -> Self {
        let files = tempfile::tempdir().expect("a directory");
        let path = |name: &str| files.path().join(name).to_str().expect("UTF-8").to_owned();
        fs::write(path("id"), id).expect("written");
        let firmware = program("thumbv7m-none-eabi", "heartbeat-firmware");
        let mut command = emulate("mps2-an385", &firmware);
        command.args(["-device", "tmp105,id=sensor,bus=i2c,address=0x48"]);
        command.args(["-device", &format!("loader,file={},addr=0x3fff0,force-raw=on", path("id"))]);
        // It begins when this end of the line is there and the sensor is set.
        command.args(["-S", "-chardev", &format!("socket,id=line,path={},server=on,wait=off", path("line"))]);
        command.args(["-serial", "chardev:line"]);
        command.args(["-qmp", &format!("unix:{},server=on,wait=off", path("qmp"))]);
        let mut child = command.spawn().expect("qemu-system-arm is installed");
        let mut output = child.stdout.take().expect("a pipe");
        let log = thread::spawn(move || {
            let mut bytes = Vec::new();
            // What came before an error is looked at all the same.
            let _ = output.read_to_end(&mut bytes);
            bytes
        });
        let [line, qmp] = ["line", "qmp"].map(|name| BufReader::new(connect(&path(name))));
        let mut board = Self { child, line, qmp, log: Some(log), firmware, _files: files };
        board.ask("qmp_capabilities", &json!({}));
        board.set_temperature(millidegrees);
        // A firmware that ends at once takes the answer with it.
        board.tell("cont", &json!({}));
        board
    }

    /// Turns the sensor's knob.
    pub(crate) fn set_temperature(&mut self, millidegrees: i64) {
        let arguments =
            json!({"path": "/machine/peripheral/sensor", "property": "temperature", "value": millidegrees});
        self.ask("qom-set", &arguments);
    }

    /// Tells QEMU to do something.
    fn tell(&mut self, command: &str, arguments: &Value) {
        let request = json!({"execute": command, "arguments": arguments, "id": command});
        writeln!(self.qmp.get_mut(), "{request}").expect("QEMU listens");
    }

    /// The same, and waits until it is done; events in between are skipped.
    fn ask(&mut self, command: &str, arguments: &Value) {
        self.tell(command, arguments);
        loop {
            let mut line = String::new();
            assert_ne!(self.qmp.read_line(&mut line).expect("QEMU answers"), 0);
            let answer: Value = serde_json::from_str(&line).expect("JSON");
            assert!(answer.get("error").is_none(), "{answer}");
            if answer["id"] == command {
                return;
            }
        }
    }

    /// The next heartbeat: its number and its document.
    pub(crate) fn heartbeat(&mut self) -> (u32, String) {
        loop {
            let mut line = String::new();
            assert_ne!(self.line.read_line(&mut line).expect("a line in time"), 0, "the firmware ended");
            // The end of one that was given up.
            if !line.trim().is_empty() {
                let (number, document) = line.trim().split_once(' ').expect("a number and a document");
                return (number.parse().expect("a number"), document.to_owned());
            }
        }
    }

    /// Says something on the line.
    pub(crate) fn say(&mut self, bytes: &[u8]) {
        self.line.get_mut().write_all(bytes).expect("the firmware listens");
    }

    /// Waits for the end. Returns the exit status, and the log as level and message.
    pub(crate) fn end(&mut self) -> (ExitStatus, Vec<String>) {
        let began = Instant::now();
        let status = loop {
            if let Some(status) = self.child.try_wait().expect("waited") {
                break status;
            }
            assert!(began.elapsed() < PATIENCE, "the firmware does not end");
            thread::sleep(Duration::from_millis(10));
        };
        let bytes = self.log.take().map(|log| log.join().expect("read")).unwrap_or_default();
        (status, decode(&fs::read(&self.firmware).expect("read"), &bytes))
    }
}

impl Drop for Board {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn connect(path: &str) -> UnixStream {
    let began = Instant::now();
    loop {
        match UnixStream::connect(path) {
            Ok(stream) => {
                stream.set_read_timeout(Some(PATIENCE)).expect("set");
                return stream;
            }
            Err(error) if began.elapsed() > PATIENCE => panic!("{path}: {error}"),
            Err(_) => thread::sleep(Duration::from_millis(10)),
        }
    }
}

/// The log, with the texts that are in the program and not in the device.
fn decode(program: &[u8], bytes: &[u8]) -> Vec<String> {
    let table = Table::parse(program).expect("an ELF").expect("with a log");
    let mut decoder = table.new_stream_decoder();
    decoder.received(bytes);
    let mut log = Vec::new();
    while let Ok(frame) = decoder.decode() {
        let level = frame.level().map_or("", |level| level.as_str());
        log.push(format!("{level} {}", frame.display_message()));
    }
    log
}

/// Runs a program to its end. Returns what it printed.
pub(crate) fn run(machine: &str, program: &Path) -> io::Result<(ExitStatus, Vec<u8>)> {
    let output = emulate(machine, program).output()?;
    Ok((output.status, output.stdout))
}
