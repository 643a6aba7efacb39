//! Ranges of numbers and lengths of texts of a document.

use crate::{
    model::document::{Document, DocumentError},
    text::is_plain,
};

impl Document {
    /// Checks what types alone do not say.
    ///
    /// # Errors
    /// The name of the first key that is out of bounds.
    pub(super) fn check(&self) -> Result<(), DocumentError> {
        let disk = self.disk.as_ref();
        let wifi = self.connection.wifi.as_ref();
        let mobile = self.connection.mobile.as_ref();
        let gps = self.connection.gps.as_ref();
        let diagnostics = self.diagnostics.as_ref();
        let board = self.board.as_ref();
        let wear = board.and_then(|board| board.wear.as_ref());
        let ups = diagnostics.and_then(|diagnostics| diagnostics.ups.as_ref());
        let most = f64::MAX;
        let numbers = [
            ("cpu", self.cpu, 0.0, 100.0),
            ("mem", self.mem, 0.0, 100.0),
            ("temp", self.temp, -40.0, 125.0),
            ("power", self.power, -1000.0, 1000.0),
            ("fan_rpm", self.fan_rpm.map(f64::from), 0.0, 100_000.0),
            ("disk.percent", disk.map(|disk| disk.percent), 0.0, 100.0),
            ("disk.used_gb", disk.map(|disk| disk.used_gb), 0.0, most),
            ("disk.total_gb", disk.map(|disk| disk.total_gb), 0.0, most),
            ("connection.wifi.signal_dbm", wifi.and_then(|w| w.signal_dbm.map(f64::from)), -120.0, -1.0),
            (
                "connection.wifi.signal_percent",
                wifi.and_then(|w| w.signal_percent.map(f64::from)),
                0.0,
                100.0,
            ),
            (
                "connection.4g.signal_percent",
                mobile.and_then(|m| m.signal_percent.map(f64::from)),
                0.0,
                100.0,
            ),
            ("connection.gps.latitude", gps.and_then(|gps| gps.latitude), -90.0, 90.0),
            ("connection.gps.longitude", gps.and_then(|gps| gps.longitude), -180.0, 180.0),
            ("connection.gps.altitude_m", gps.and_then(|gps| gps.altitude_m), -1000.0, 100_000.0),
            ("connection.gps.speed_mps", gps.and_then(|gps| gps.speed_mps), 0.0, 1000.0),
            ("connection.gps.heading", gps.and_then(|gps| gps.heading), 0.0, 360.0),
            ("timestamp", self.timestamp, 0.0, most),
            ("recording_file_size_mb", self.recording_file_size_mb, 0.0, most),
            ("diagnostics.load", diagnostics.and_then(|d| d.load), 0.0, 100_000.0),
            ("diagnostics.swap", diagnostics.and_then(|d| d.swap), 0.0, 100.0),
            ("board.wear.life_used", wear.and_then(|wear| wear.life_used.map(f64::from)), 0.0, 100.0),
            ("diagnostics.ups.voltage", ups.and_then(|ups| ups.voltage), 0.0, 100.0),
            ("diagnostics.ups.percent", ups.and_then(|ups| ups.percent), 0.0, 100.0),
        ];
        for (key, number, least, most) in numbers {
            if number.is_some_and(|number| !(least..=most).contains(&number)) {
                return Err(DocumentError::NotVersion1(format!("{key} is out of range")));
            }
        }
        let texts = [
            ("hardwareid", Some(&self.hardwareid), 64),
            ("app_version", self.app_version.as_ref(), 64),
            ("recording_file_path", self.recording_file_path.as_ref(), 256),
            ("connection.default_interface", self.connection.default_interface.as_ref(), 32),
            ("board.model", board.and_then(|board| board.model.as_ref()), 64),
            ("board.os", board.and_then(|board| board.os.as_ref()), 128),
            ("board.wear.pre_eol", wear.and_then(|wear| wear.pre_eol.as_ref()), 16),
            ("connection.wifi.ssid", wifi.and_then(|wifi| wifi.ssid.as_ref()), 192),
        ];
        for (key, text, longest) in texts {
            if text.is_some_and(|text| text.chars().count() > longest) {
                return Err(DocumentError::NotVersion1(format!("{key} is longer than {longest} characters")));
            }
        }
        if self.hardwareid.trim().is_empty() {
            return Err(DocumentError::NotVersion1("hardwareid is empty".to_owned()));
        }
        // No operator could type it, and it would forge lines of logs.
        if !self.hardwareid.chars().all(is_plain) {
            return Err(DocumentError::NotVersion1("hardwareid has a control character".to_owned()));
        }
        if self.seq == Some(0) {
            return Err(DocumentError::NotVersion1("seq begins at 1".to_owned()));
        }
        if self.replayed == Some(false) {
            return Err(DocumentError::NotVersion1("replayed is true where it is present".to_owned()));
        }
        Ok(())
    }
}
