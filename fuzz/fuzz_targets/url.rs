#![no_main]

use heartbeat_daemon::config::Endpoint;

libfuzzer_sys::fuzz_target!(|text: &str| {
    if let Ok(endpoint) = Endpoint::parse(text) {
        assert!(Endpoint::parse(&endpoint.with_params(b"{}")).is_ok());
    }
});
