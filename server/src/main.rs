//! The `heartbeat-server` program; see the library of the same name.

use std::process::ExitCode;

fn main() -> ExitCode {
    heartbeat_server::cli::main()
}
