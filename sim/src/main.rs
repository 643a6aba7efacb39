//! The `heartbeat-sim` program.

fn main() -> std::process::ExitCode {
    heartbeat_sim::cli::main()
}
