//! The WiFi client or hotspot, beside `iw`.

use super::Context;
use crate::{
    document::Document,
    finding::{Evidence, Stop},
    program,
    witnesses::wireless::{self, Interface},
};

/// A signal moves between two looks, in dBm; its percentage by the same number.
const SIGNAL_TOLERANCE: f64 = 8.0;

/// The WiFi client or hotspot.
pub(super) fn wifi(context: &Context, evidence: &mut Evidence) -> Result<(), Stop> {
    let sample = context.daemon.sample()?;
    let text = program::ask("iw", &["dev"])?;
    let interfaces = wireless::interfaces(&text);
    // The kernel tells the name of a client's network only for its link.
    let mut in_use = Vec::new();
    for mut interface in interfaces {
        let mut link = String::new();
        if interface.kind == "managed" {
            link = program::ask("iw", &["dev", &interface.name, "link"])?;
            interface.ssid = wireless::linked_ssid(&link);
        }
        if interface.ssid.is_some() {
            in_use.push((interface, link));
        }
    }
    let reported = sample.text("/connection/wifi/interface");
    if in_use.is_empty() && reported.is_none() {
        return Err(Stop::skipped("no wireless interface is in use"));
    }
    let used = in_use.iter().find(|(interface, _)| reported == Some(interface.name.as_str()));
    let Some((interface, link)) = used else {
        let said = in_use.first().map(|(interface, _)| interface.name.as_str());
        evidence.text("wifi.interface", reported, said, "iw dev");
        return Ok(());
    };
    evidence.text("wifi.interface", reported, Some(&interface.name), "iw dev");
    compare(&sample, interface, link, evidence)
}

fn compare(
    sample: &Document,
    interface: &Interface,
    link: &str,
    evidence: &mut Evidence,
) -> Result<(), Stop> {
    let mode = match interface.kind.as_str() {
        "managed" => "client",
        "AP" => "hotspot",
        kind => return Err(Stop::skipped(format_args!("{} is of the kind {kind}", interface.name))),
    };
    evidence.text("wifi.mode", sample.text("/connection/wifi/mode"), Some(mode), "iw dev");
    evidence.text("wifi.ssid", sample.text("/connection/wifi/ssid"), interface.ssid.as_deref(), "iw");
    if mode == "hotspot" {
        let dump = program::ask("iw", &["dev", &interface.name, "station", "dump"])?;
        let said = u32::try_from(wireless::stations(&dump)).map_or(f64::INFINITY, f64::from);
        let reported = sample.number("/connection/wifi/clients");
        evidence.number("wifi.clients", reported, [said; 2], 0.0, "iw station dump");
        return Ok(());
    }
    // A driver that says 0 dBm knows no level.
    let Some(signal) = wireless::signal_dbm(link).filter(|dbm| *dbm < 0.0) else {
        evidence.silent(format_args!("wifi.signal_dbm: iw tells no signal of {}", interface.name));
        return Ok(());
    };
    let reported = |key: &str| sample.number(&format!("/connection/wifi/{key}"));
    evidence.number("wifi.signal_dbm", reported("signal_dbm"), [signal; 2], SIGNAL_TOLERANCE, "iw link");
    let percent = wireless::percent_of(signal);
    let witness = "iw link, in percent as NetworkManager counts";
    evidence.number(
        "wifi.signal_percent",
        reported("signal_percent"),
        [percent; 2],
        SIGNAL_TOLERANCE,
        witness,
    );
    Ok(())
}
