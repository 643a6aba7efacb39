//! The server's own program once more, so that the tests of this package can start it as a process.

use std::process::ExitCode;

fn main() -> ExitCode {
    heartbeat_server::cli::main()
}
