//! The program `heartbeat-hil`.

use std::process::ExitCode;

fn main() -> ExitCode {
    heartbeat_hil::cli::main()
}
