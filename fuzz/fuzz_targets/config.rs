#![no_main]

use heartbeat_daemon::config::{Layers, Settings};

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    let mut layers = Layers::default();
    if layers.add_text("fuzz.toml".as_ref(), &String::from_utf8_lossy(bytes)).is_ok() {
        let _ = Settings::new(&layers);
    }
});
