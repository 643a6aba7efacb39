//! How the device is connected.

use crate::{
    limits::{INTERFACE_MAX, MODEM_WORD_MAX, OPERATOR_MAX, SSID_MAX},
    text::Text,
    units::{Dbm, Degrees, Heading, Metres, MetresPerSecond, SignalPercent},
};

/// An IP address as JSON text.
pub type Ip = core::net::IpAddr;

/// All connections of the device; `None` for each kind that it does not have.
#[derive(Debug, Clone)]
pub struct Connection<'a> {
    /// Interface of the preferred default route.
    pub default_interface: Option<&'a Text<INTERFACE_MAX>>,
    /// The wired connection.
    pub ethernet: Option<&'a Ethernet>,
    /// The wireless connection.
    pub wifi: Option<&'a Wifi>,
    /// The mobile connection.
    pub cellular: Option<&'a Cellular>,
    /// The satellite receiver.
    pub gps: Option<&'a Position>,
}

/// A wired interface that is up.
#[derive(Debug, Clone, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Ethernet {
    /// Name of the interface.
    pub interface: Text<INTERFACE_MAX>,
    /// Its address.
    #[cfg_attr(feature = "defmt", defmt(Debug2Format))]
    pub ip: Option<Ip>,
}

/// A wireless interface that is up.
#[derive(Debug, Clone, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Wifi {
    /// Name of the interface.
    pub interface: Text<INTERFACE_MAX>,
    /// Its address.
    #[cfg_attr(feature = "defmt", defmt(Debug2Format))]
    pub ip: Option<Ip>,
    /// Whether it joins a network or offers one.
    pub mode: Option<WifiMode>,
    /// Name of the network.
    pub ssid: Option<Text<SSID_MAX>>,
    /// Strength of the access point's signal; only as a client.
    pub signal_dbm: Option<Dbm>,
    /// The same as a share.
    pub signal_percent: Option<SignalPercent>,
    /// Number of stations; only as a hotspot.
    pub clients: Option<u16>,
}

/// Role of a wireless interface.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub enum WifiMode {
    /// It joins a network.
    Client,
    /// It offers a network.
    Hotspot,
}

/// A mobile interface.
#[derive(Debug, Clone, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Cellular {
    /// Name of the network interface, once there is one.
    pub interface: Option<Text<INTERFACE_MAX>>,
    /// Its address.
    #[cfg_attr(feature = "defmt", defmt(Debug2Format))]
    pub ip: Option<Ip>,
    /// State of the modem, in ModemManager's words.
    pub state: Option<Text<MODEM_WORD_MAX>>,
    /// Name of the network's operator.
    pub operator: Option<Text<OPERATOR_MAX>>,
    /// Access technology, in ModemManager's words (`lte`, `umts`, ...).
    pub technology: Option<Text<MODEM_WORD_MAX>>,
    /// Strength of the signal.
    pub signal_percent: Option<SignalPercent>,
}

/// What the satellite receiver knows.
#[derive(Debug, Clone, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Position {
    /// Kind of fix.
    pub fix: Fix,
    /// North positive.
    pub latitude: Option<Degrees>,
    /// East positive.
    pub longitude: Option<Degrees>,
    /// Height above mean sea level.
    pub altitude_m: Option<Metres>,
    /// Speed over ground.
    pub speed_mps: Option<MetresPerSecond>,
    /// Course over ground.
    pub heading: Option<Heading>,
    /// Satellites in use.
    pub satellites: Option<u8>,
}

/// Kind of a satellite fix.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub enum Fix {
    /// No position.
    None,
    /// Latitude and longitude.
    TwoD,
    /// Latitude, longitude and height.
    ThreeD,
}
