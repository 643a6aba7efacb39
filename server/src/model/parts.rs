//! The parts of a document that are objects of their own.

use std::collections::BTreeMap;

use serde::{Deserialize, Deserializer, Serialize};

use crate::model::reading::scaled;

/// `disk`.
#[derive(Debug, Deserialize)]
pub(crate) struct Disk {
    pub(crate) percent: f64,
    pub(crate) used_gb: f64,
    pub(crate) total_gb: f64,
}

/// `connection`.
#[derive(Debug, Deserialize)]
pub(crate) struct Connection {
    #[serde(deserialize_with = "present")]
    pub(crate) default_interface: Option<String>,
    #[serde(deserialize_with = "present")]
    pub(crate) ethernet: Option<Ethernet>,
    #[serde(deserialize_with = "present")]
    pub(crate) wifi: Option<Wifi>,
    #[serde(rename = "4g", deserialize_with = "present")]
    pub(crate) mobile: Option<Mobile>,
    #[serde(deserialize_with = "present")]
    pub(crate) gps: Option<Gps>,
}

/// `connection.ethernet`.
#[derive(Debug, Deserialize)]
pub(crate) struct Ethernet {
    pub(crate) interface: String,
    pub(crate) ip: Option<String>,
}

/// `connection.wifi`.
#[derive(Debug, Deserialize)]
pub(crate) struct Wifi {
    pub(crate) interface: String,
    pub(crate) ip: Option<String>,
    pub(crate) mode: Option<String>,
    pub(crate) ssid: Option<String>,
    pub(crate) signal_dbm: Option<i32>,
    pub(crate) signal_percent: Option<u8>,
    pub(crate) clients: Option<u32>,
}

/// `connection.4g`.
#[derive(Debug, Deserialize)]
pub(crate) struct Mobile {
    pub(crate) interface: Option<String>,
    pub(crate) ip: Option<String>,
    pub(crate) state: Option<String>,
    pub(crate) operator: Option<String>,
    pub(crate) technology: Option<String>,
    pub(crate) signal_percent: Option<u8>,
}

/// `connection.gps`.
#[derive(Debug, Deserialize)]
pub(crate) struct Gps {
    pub(crate) fix: String,
    pub(crate) latitude: Option<f64>,
    pub(crate) longitude: Option<f64>,
    pub(crate) altitude_m: Option<f64>,
    pub(crate) speed_mps: Option<f64>,
    pub(crate) heading: Option<f64>,
    pub(crate) satellites: Option<u32>,
}

/// `diagnostics`; every key of it is optional here, because agents may add to it.
#[derive(Debug, Deserialize)]
pub(crate) struct Diagnostics {
    pub(crate) throttled: Option<u32>,
    pub(crate) ups: Option<Ups>,
    pub(crate) load: Option<f64>,
    pub(crate) swap: Option<f64>,
    pub(crate) root_read_only: Option<bool>,
    pub(crate) clock_synchronized: Option<bool>,
    /// The keys whose source is there and fails, each with one word for the reason.
    pub(crate) unread: Option<BTreeMap<String, String>>,
}

impl Diagnostics {
    /// Whether the root filesystem cannot be written. An agent that says what it could not read says nothing while all is well.
    pub(super) fn read_only(&self) -> Option<bool> {
        let was_read = |unread: &BTreeMap<String, String>| !unread.contains_key("diagnostics.root_read_only");
        self.root_read_only.or_else(|| self.unread.as_ref().is_some_and(was_read).then_some(false))
    }
}

/// `board`.
#[derive(Debug, Deserialize, Serialize)]
pub(crate) struct Board {
    pub(crate) model: Option<String>,
    pub(crate) os: Option<String>,
    pub(crate) wear: Option<Wear>,
}

/// `board.wear`.
#[derive(Debug, Deserialize, Serialize)]
pub(crate) struct Wear {
    /// Percent.
    pub(crate) life_used: Option<u8>,
    pub(crate) pre_eol: Option<String>,
}

/// `diagnostics.ups`.
#[derive(Debug, Deserialize)]
pub(crate) struct Ups {
    pub(crate) voltage: Option<f64>,
    pub(crate) percent: Option<f64>,
}

impl Gps {
    /// Latitude and longitude in hundred-thousandths of a degree, if there is a fix.
    pub(super) fn position(&self) -> Option<(i32, i32)> {
        if self.fix == "none" {
            return None;
        }
        Some((scaled(self.latitude?, 1e5)?, scaled(self.longitude?, 1e5)?))
    }
}

/// A key that must be there and may be `null`. Without this, serde takes a missing one for `null`.
pub(super) fn present<'de, D: Deserializer<'de>, T: Deserialize<'de>>(
    input: D,
) -> Result<Option<T>, D::Error> {
    Option::deserialize(input)
}
