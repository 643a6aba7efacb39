//! The command line.

use std::{
    io,
    io::Write,
    path::{Path, PathBuf},
    process::ExitCode,
    time::Instant,
};

use clap::{Parser, Subcommand};
use nix::unistd::Uid;

use crate::{
    board::Board,
    checks::{CHECKS, Check, Context, Options, service::Unit},
    daemon::Daemon,
    finding::Verdict,
    judging,
    output::Output,
    probe,
    profile::{PROFILES, Profile},
    program,
    report::{Entry, Report},
    run::{self, Run},
    witnesses::versions,
};

/// Where the packages and `install.sh` put the daemon.
const PROGRAMS: [&str; 2] = ["/usr/bin/heartbeat-daemon", "/usr/local/bin/heartbeat-daemon"];

/// Compares what the installed heartbeat-daemon reports with what others say, and tries the service.
#[derive(Debug, Parser)]
#[command(name = "heartbeat-hil", version)]
struct Cli {
    #[command(subcommand)]
    command: Option<Special>,
    /// The board that this must be: what it must have may not be skipped
    #[arg(long, value_name = "BOARD")]
    require: Option<String>,
    /// Run only this check, or those whose names begin so; may be given more than once
    #[arg(long, value_name = "CHECK")]
    only: Vec<String>,
    /// Write report.txt, report.json and the captured tree into this directory
    #[arg(long, value_name = "DIR")]
    output: Option<PathBuf>,
    /// Let the machine's clock jump by years for some seconds
    #[arg(long)]
    step_clock: bool,
    /// Compare each value once only; else one that does not agree is compared up to three times
    #[arg(long)]
    once: bool,
    /// The program that is judged; by default the one that the service runs
    #[arg(long, value_name = "FILE")]
    daemon: Option<PathBuf>,
    /// Read the machine's files below this directory; for tests
    #[arg(long, value_name = "DIR", hide = true)]
    sysroot: Option<PathBuf>,
}

#[derive(Debug, Subcommand)]
enum Special {
    /// List the checks and the boards
    List,
    /// Undo what a run that was killed has left
    #[command(name = run::UNDO)]
    Undo,
    /// Tell what a process in this place can do
    #[command(name = probe::COMMAND, hide = true)]
    Probe,
}

/// Runs the program: status 0 if nothing failed, 1 if something did, 2 for a wrong command line.
pub fn main() -> ExitCode {
    let cli = Cli::parse();
    let print = |text: &str| {
        // A reader that has gone away is no failure.
        let _ = io::stdout().write_all(text.as_bytes());
    };
    match cli.command {
        Some(Special::List) => {
            print(&list());
            return ExitCode::SUCCESS;
        }
        Some(Special::Undo) => {
            return match run::undo_after_run() {
                Ok(()) => ExitCode::SUCCESS,
                Err(reason) => {
                    say(&format!("error: {reason}"));
                    ExitCode::FAILURE
                }
            };
        }
        Some(Special::Probe) => {
            print(&(probe::lines().join("\n") + "\n"));
            return ExitCode::SUCCESS;
        }
        None => {}
    }
    match judge(&cli) {
        Ok(report) => {
            print(&report.text());
            let [passed, failed, _] = report.counts();
            if failed == 0 && passed > 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
        }
        Err(reason) => {
            say(&format!("error: {reason}"));
            ExitCode::from(2)
        }
    }
}

fn list() -> String {
    let checks = CHECKS.iter().map(|check| format!("{:<23}{}\n", check.name, check.about));
    let boards: Vec<_> = PROFILES.iter().map(|profile| profile.name).collect();
    format!("{}\nboards: {}\n", checks.collect::<String>(), boards.join(", "))
}

fn judge(cli: &Cli) -> Result<Report, String> {
    let profile = match &cli.require {
        None => None,
        Some(name) => Some(Profile::named(name).ok_or_else(|| {
            let known: Vec<_> = PROFILES.iter().map(|profile| profile.name).collect();
            format!("--require: expected one of {}, found {name}", known.join(", "))
        })?),
    };
    let chosen = chosen(&cli.only)?;
    let began = Instant::now();
    // Before any thread starts. Dropped last, when nothing is tried any more.
    let mut run = Run::begin(cli.sysroot.is_none())?;
    let output = cli.output.as_deref().map(Output::new).transpose()?;
    let board = Board::new(cli.sysroot.as_deref().unwrap_or(Path::new("/")));
    let unit =
        if board.is_live() { Unit::find() } else { Err("the files are not those of this machine".into()) };
    if chosen.iter().any(Check::changes_service)
        && unit.is_ok()
        && Uid::effective().is_root()
        && let Err(error) = run.watch()
    {
        say(&format!("note: if this run is killed, run heartbeat-hil {}: {error}", run::UNDO));
    }
    let mut daemon = Daemon::new(&judged(cli.daemon.as_deref(), unit.as_ref().ok()), cli.sysroot.as_deref())?;
    if let Some(pid) = unit.as_ref().ok().and_then(Unit::pid)
        && let Err(error) = daemon.adopt(pid)
    {
        say(&format!("note: the settings of the running service cannot be read: {error}"));
    }
    let mut report = Report {
        version: env!("CARGO_PKG_VERSION"),
        board: board.identity(),
        required: profile.map(|profile| profile.name.to_owned()),
        daemon: daemon.version(),
        settings: daemon.settings_from.clone(),
        tree: None,
        date: program::ask("date", &["-u", "+%Y-%m-%d %H:%M:%S UTC"]).ok().map(|date| date.trim().to_owned()),
        seconds: 0.0,
        witnesses: if board.is_live() { versions::all() } else { Vec::new() },
        checks: Vec::new(),
        not_compared: Vec::new(),
    };
    if let Some(profile) = profile {
        let fits = profile.fits(report.board.model.as_deref());
        let model = report.board.model.as_deref().unwrap_or("unknown");
        let wrong = format!("the board is not {}: {model}", profile.name);
        let about = format!("the board is {}", profile.name);
        let end = if fits { Verdict::Passed } else { Verdict::Failed(wrong) };
        report.checks.push(Entry::new("board", &about, end.into()));
    }
    let options = Options {
        may_step_clock: cli.step_clock,
        is_emulated: profile.is_some_and(Profile::is_emulated),
        repeats: !cli.once,
    };
    let context = Context::new(board, daemon, unit, options);
    for check in &chosen {
        let entry = judging::run(check, &context, profile);
        tell(&entry);
        report.checks.push(entry);
    }
    // Without a sample the check of the document says why.
    if cli.only.is_empty()
        && let Ok(sample) = context.daemon.sample()
    {
        report.not_compared = judging::not_compared(&sample, &report.checks);
    }
    report.seconds = judging::tenths(began.elapsed());
    if let Some(output) = output {
        let tree = output.tree();
        report.tree = Some(capture(&context.daemon, &tree));
        for (name, content) in [("report.txt", report.text()), ("report.json", report.json())] {
            output.write(name, &content)?;
        }
        output.hand_over(&tree)?;
    }
    Ok(report)
}

/// The program that was named, else the one that the service runs, else the one that is installed.
fn judged(named: Option<&Path>, unit: Option<&Unit>) -> PathBuf {
    if let Some(path) = named {
        return path.to_owned();
    }
    if let Some((program, _)) = unit.and_then(Unit::program) {
        return program;
    }
    let installed = PROGRAMS.iter().find(|path| Path::new(path).exists());
    PathBuf::from(installed.unwrap_or(&PROGRAMS[0]))
}

/// The checks whose names begin with one of those that were asked for.
fn chosen(only: &[String]) -> Result<Vec<Check>, String> {
    for name in only {
        if !CHECKS.iter().any(|check| check.name.starts_with(name.as_str())) {
            return Err(format!("--only: there is no check {name}; `heartbeat-hil list` shows them"));
        }
    }
    let wanted =
        |check: &&Check| only.is_empty() || only.iter().any(|name| check.name.starts_with(name.as_str()));
    Ok(CHECKS.iter().filter(wanted).copied().collect())
}

/// Tells how a check ended.
fn tell(entry: &Entry) {
    let word = match &entry.verdict {
        Verdict::Passed => "passed",
        Verdict::Failed(_) => "FAILED",
        Verdict::Skipped(_) => "skipped",
    };
    say(&format!("{:<23}{word:<8}{:.1} s", entry.name, entry.seconds));
}

/// Captures the board's files, if the daemon has a command for that.
fn capture(daemon: &Daemon, folder: &Path) -> String {
    if !daemon.has_command("capture") {
        return "none: this heartbeat-daemon has no command capture".to_owned();
    }
    let mut command = daemon.command("capture");
    command.arg(folder);
    match program::answer(command, program::DEADLINE) {
        Ok(_) => folder.display().to_string(),
        Err(error) => format!("none: {error}"),
    }
}

/// Tells the progress, apart from the report.
fn say(text: &str) {
    // Nowhere to report that a report failed.
    let _ = writeln!(io::stderr(), "{text}");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_line_is_consistent() {
        <Cli as clap::CommandFactory>::command().debug_assert();
    }

    #[test]
    fn a_check_that_is_not_known_is_refused() {
        assert!(chosen(&["wifi".to_owned(), "wi-fi".to_owned()]).is_err());
        let names = |only: &str| -> Vec<_> {
            chosen(&[only.to_owned()]).expect("known").iter().map(|check| check.name).collect()
        };
        assert_eq!(names("memory"), ["memory"]);
        assert_eq!(names("service.").len(), CHECKS.iter().filter(|check| check.name.contains('.')).count());
        assert_eq!(chosen(&[]).expect("all").len(), CHECKS.len());
    }

    #[test]
    fn the_list_names_every_check_and_board() {
        let list = list();
        assert!(CHECKS.iter().all(|check| list.contains(check.name)));
        assert!(list.contains("boards: pi-zero, pi3"));
        assert!(list.lines().all(|line| line.chars().count() <= 100), "{list}");
    }
}
