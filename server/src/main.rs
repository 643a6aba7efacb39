//! The `heartbeat-server` program; see the library of the same name.

use std::process::ExitCode;

/// In the packaged programs, which are linked with musl: its own allocator makes threads wait for each other.
#[cfg(target_env = "musl")]
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    heartbeat_server::cli::main()
}
