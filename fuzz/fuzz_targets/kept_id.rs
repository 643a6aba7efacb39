#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| heartbeat_daemon::fuzzing::kept_id(bytes));
