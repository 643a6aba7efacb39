//! Interfaces, WiFi, modem and position.

use super::{Context, heard};
use crate::{
    document::Document,
    finding::{Evidence, Stop},
    program,
    witnesses::{
        gpsd,
        modem::{self, Modem},
        route,
        wireless::{self, Interface},
    },
};

/// Addresses and the default route, beside `ip -json`.
pub(super) fn network(context: &Context, evidence: &mut Evidence) -> Result<(), Stop> {
    let sample = context.daemon.sample()?;
    let routes = program::ask("ip", &["-json", "route", "show", "default"]);
    if let Some(said) = heard(evidence, "ip route", routes, route::default_interface) {
        let reported = sample.text("/connection/default_interface");
        // A default route of IPv6 alone is not in this table.
        if said.is_some() || reported.is_none() {
            evidence.text("default_interface", reported, said.as_deref(), "ip route");
        }
    }
    let links = program::ask("ip", &["-json", "address"])?;
    for kind in ["ethernet", "wifi", "4g"] {
        let member = |key: &str| sample.text(&format!("/connection/{kind}/{key}"));
        let Some(interface) = member("interface") else { continue };
        let Some(addresses) = route::addresses(&links, interface) else {
            evidence.text(&format!("{kind}.interface"), Some(interface), None, "ip address");
            continue;
        };
        let ip = member("ip");
        let global = addresses.iter().any(|address| !address.starts_with("fe80:"));
        evidence.holds(
            &format!("{kind}.ip"),
            ip.unwrap_or("null"),
            if addresses.is_empty() { "none".to_owned() } else { addresses.join(" ") },
            &format!("ip address, for {interface}"),
            ip.map_or(!global, |ip| addresses.iter().any(|address| address == ip)),
        );
    }
    evidence.some_witness("this machine has neither a route nor an interface that is reported")
}

/// A signal moves between two looks, in dBm.
const SIGNAL_TOLERANCE: f64 = 8.0;
/// A modem's signal moves between two looks, by so many percent.
const QUALITY_TOLERANCE: f64 = 10.0;

/// The WiFi client or hotspot, beside `iw`.
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
    compare_wifi(&sample, interface, link, evidence)
}

fn compare_wifi(
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
    if let Some(signal) = wireless::signal_dbm(link) {
        let reported = sample.number("/connection/wifi/signal_dbm");
        evidence.number("wifi.signal_dbm", reported, [signal; 2], SIGNAL_TOLERANCE, "iw link");
    }
    if mode == "hotspot" {
        let dump = program::ask("iw", &["dev", &interface.name, "station", "dump"])?;
        let said = u32::try_from(wireless::stations(&dump)).map_or(f64::INFINITY, f64::from);
        let reported = sample.number("/connection/wifi/clients");
        evidence.number("wifi.clients", reported, [said; 2], 0.0, "iw station dump");
    }
    Ok(())
}

/// The modem in use, else the first, as ModemManager lists them.
fn modem_in_use() -> Result<Option<Modem>, Stop> {
    let list = program::ask("mmcli", &["-L", "-J"])?;
    let paths = modem::paths(&list).ok_or_else(|| Stop::skipped("mmcli -L printed something else"))?;
    let mut modems = Vec::new();
    for path in &paths {
        modems.extend(modem::modem(&program::ask("mmcli", &["-m", path, "-J"])?));
    }
    let used = modems.iter().position(|modem| modem.state.as_deref() == Some("connected")).unwrap_or(0);
    Ok(modems.into_iter().nth(used))
}

/// The modem, beside `mmcli`.
pub(super) fn cellular(context: &Context, evidence: &mut Evidence) -> Result<(), Stop> {
    let before = modem_in_use()?;
    let sample = context.daemon.sample()?;
    let Some(Modem { state, operator, technology, signal_percent }) = before else {
        return match sample.text("/connection/4g/state") {
            None => Err(Stop::skipped("ModemManager knows no modem")),
            Some(state) => {
                Err(Stop::failed(format_args!("4g.state is {state}, but ModemManager knows no modem")))
            }
        };
    };
    let text = |key: &str| sample.text(&format!("/connection/4g/{key}"));
    evidence.text("4g.state", text("state"), state.as_deref(), "mmcli");
    evidence.text("4g.operator", text("operator"), operator.as_deref(), "mmcli");
    evidence.text("4g.technology", text("technology"), technology.as_deref(), "mmcli");
    let reported = sample.number("/connection/4g/signal_percent");
    let percent = |signal: Option<String>| signal.and_then(|percent| percent.parse::<f64>().ok());
    let after = modem_in_use()?.and_then(|modem| modem.signal_percent);
    match (percent(signal_percent), percent(after)) {
        (Some(before), Some(after)) => {
            evidence.number("4g.signal_percent", reported, [before, after], QUALITY_TOLERANCE, "mmcli");
        }
        (None, None) => {
            let shown = reported.map_or_else(|| "null".to_owned(), |percent| percent.to_string());
            evidence.holds("4g.signal_percent", shown, "null", "mmcli: not recent", reported.is_none());
        }
        // It was measured, or became old, in between.
        _ => evidence.silent("mmcli knew a recent signal at one of two looks"),
    }
    Ok(())
}

/// A moving board is elsewhere at the second look: about a kilometre, in degrees.
const PLACE_TOLERANCE: f64 = 0.01;

/// The position, beside `gpspipe`.
pub(super) fn position(context: &Context, evidence: &mut Evidence) -> Result<(), Stop> {
    // It ends after so many reports or seconds. By number, because not every system has the name localhost.
    let said = program::ask("gpspipe", &["-w", "-n", "12", "-x", "10", "127.0.0.1"])?;
    let Some(position) = gpsd::position(&said) else {
        return Err(Stop::skipped("gpsd reports no position: no receiver"));
    };
    let sample = context.daemon.sample()?;
    let number = |key: &str| sample.number(&format!("/connection/gps/{key}"));
    evidence.text("gps.fix", sample.text("/connection/gps/fix"), Some(position.fix), "gpspipe");
    for (key, said, tolerance) in [
        ("latitude", position.latitude, PLACE_TOLERANCE),
        ("longitude", position.longitude, PLACE_TOLERANCE),
        ("altitude_m", position.altitude_m, 100.0),
    ] {
        let name = format!("gps.{key}");
        match said {
            Some(said) => evidence.number(&name, number(key), [said; 2], tolerance, "gpspipe"),
            None => evidence.holds(&name, number(key).is_some(), false, "gpspipe", number(key).is_none()),
        }
    }
    Ok(())
}
