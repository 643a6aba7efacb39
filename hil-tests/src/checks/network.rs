//! Interfaces, addresses and the default route, beside `ip -json`.

use super::{Context, heard};
use crate::{
    board::Board,
    document::Document,
    finding::{Evidence, Stop},
    program,
    witnesses::route::{self, Link},
};

/// Drivers of USB devices with a network of their own behind them: phones, modems and other computers among them, which the kernel
/// does not tell from adapters.
const BEHIND_USB: [&str; 4] = ["rndis_host", "ipheth", "cdc_", "qmi_wwan"];

/// Interfaces, addresses and the default route.
pub(super) fn network(context: &Context, evidence: &mut Evidence) -> Result<(), Stop> {
    let sample = context.daemon.sample()?;
    let mut ask = |family: &str| {
        let routes = program::ask("ip", &[family, "-json", "route", "show", "default"]);
        heard(evidence, "ip route", routes, route::default_interface)
    };
    if let (Some(four), Some(six)) = (ask("-4"), ask("-6")) {
        let reported = sample.text("/connection/default_interface");
        let said = four.or(six);
        evidence.text("default_interface", reported, said.as_deref(), "ip route, of IPv4 before IPv6");
    }
    let text = program::ask("ip", &["-json", "address"])?;
    let links = route::links(&text).ok_or_else(|| Stop::skipped("ip address printed something else"))?;
    for kind in ["ethernet", "wifi", "4g"] {
        reported_interface(&sample, kind, &links, evidence);
    }
    for (kind, is_of_kind) in
        [("ethernet", is_wired as fn(&Board, &str) -> bool), ("wifi", |board, name| is_wireless(board, name))]
    {
        let in_use =
            |link: &&Link| link.is_up && link.has_lasting_address && is_of_kind(&context.board, &link.name);
        let reported = sample.text(&format!("/connection/{kind}/interface"));
        match reported {
            // What is missing: an interface that is in use, and not told.
            None => {
                if let Some(link) = links.iter().find(in_use) {
                    evidence.text(&format!("{kind}.interface"), None, Some(&link.name), "ip address");
                }
            }
            Some(name) => {
                let is_radio = is_wireless(&context.board, name);
                let (expected, agrees) =
                    if kind == "wifi" { ("a radio", is_radio) } else { ("no radio", !is_radio) };
                let witness = format!("/sys/class/net/{name}/phy80211");
                evidence.holds(&format!("{kind}.interface"), name, expected, &witness, agrees);
            }
        }
    }
    evidence.some_witness("ip does not tell of routes, and no interface is in use")
}

/// The address of an interface that is reported.
fn reported_interface(sample: &Document, kind: &str, links: &[Link], evidence: &mut Evidence) {
    let member = |key: &str| sample.text(&format!("/connection/{kind}/{key}"));
    let Some(interface) = member("interface") else { return };
    let Some(link) = links.iter().find(|link| link.name == interface) else {
        evidence.text(&format!("{kind}.interface"), Some(interface), None, "ip address");
        return;
    };
    let ip = member("ip");
    let all = if link.addresses.is_empty() { "none".to_owned() } else { link.addresses.join(" ") };
    evidence.holds(
        &format!("{kind}.ip"),
        ip.unwrap_or("null"),
        all,
        &format!("ip address, for {interface}"),
        ip.map_or(!link.has_lasting_address, |ip| link.addresses.iter().any(|address| address == ip)),
    );
}

/// Whether an interface is a radio.
fn is_wireless(board: &Board, name: &str) -> bool {
    board.has(&format!("/sys/class/net/{name}/phy80211"))
        || board.has(&format!("/sys/class/net/{name}/wireless"))
}

/// Whether an interface has wired hardware of its own, and is nothing else for sure: Ethernet (`ARPHRD_ETHER` of linux/if_arp.h)
/// without a mark of its driver, and not behind USB.
fn is_wired(board: &Board, name: &str) -> bool {
    let folder = format!("/sys/class/net/{name}");
    let uevent = board.read(&format!("{folder}/uevent")).unwrap_or_default();
    let driver = board.target(&format!("{folder}/device/driver")).unwrap_or_default();
    board.has(&format!("{folder}/device"))
        && !is_wireless(board, name)
        && !name.starts_with("wwan")
        && board.integer(&format!("{folder}/type")) == Some(1.0)
        && !uevent.contains("DEVTYPE=")
        && !BEHIND_USB.iter().any(|known| driver.contains(known))
}

#[cfg(test)]
mod tests {
    use std::{fs, os::unix::fs::symlink};

    use super::*;

    #[test]
    fn tells_wired_hardware_from_everything_else() {
        let dir = tempfile::tempdir().expect("a directory");
        let interface = |name: &str, uevent: &str, driver: Option<&str>| {
            let folder = dir.path().join("sys/class/net").join(name);
            fs::create_dir_all(&folder).expect("created");
            fs::write(folder.join("type"), "1\n").expect("written");
            fs::write(folder.join("uevent"), uevent).expect("written");
            if let Some(driver) = driver {
                fs::create_dir_all(folder.join("device")).expect("created");
                symlink(format!("../drivers/{driver}"), folder.join("device/driver")).expect("a link");
            }
            folder
        };
        interface("eth0", "INTERFACE=eth0\n", Some("bcmgenet"));
        interface("br0", "DEVTYPE=bridge\n", None);
        interface("usb0", "INTERFACE=usb0\n", Some("cdc_ether"));
        interface("dummy0", "INTERFACE=dummy0\n", None);
        let radio = interface("wlan0", "DEVTYPE=wlan\n", Some("brcmfmac"));
        fs::create_dir(radio.join("phy80211")).expect("created");
        let board = Board::new(dir.path());
        let wired = ["eth0", "br0", "usb0", "dummy0", "wlan0"].map(|name| is_wired(&board, name));
        assert_eq!(wired, [true, false, false, false, false]);
        assert!(is_wireless(&board, "wlan0") && !is_wireless(&board, "eth0"));
    }
}
