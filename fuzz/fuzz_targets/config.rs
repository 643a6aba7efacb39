#![no_main]

use heartbeat_daemon::config::{Entry, Layers};

/// What is in use according to a file; `None` if that is refused.
fn in_use(text: &str) -> Option<Vec<Entry>> {
    let mut layers = Layers::default();
    layers.add_text("fuzz.toml".as_ref(), text).ok()?;
    layers.in_use().ok()
}

// What is printed sets the same.
libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    if let Some(entries) = in_use(&String::from_utf8_lossy(bytes)) {
        let printed: String = entries.iter().map(|entry| format!("{entry}\n")).collect();
        let again = in_use(&printed).expect("the settings in use can be used");
        assert!(
            entries
                .iter()
                .map(|entry| (&entry.key, &entry.value))
                .eq(again.iter().map(|entry| (&entry.key, &entry.value)))
        );
    }
});
