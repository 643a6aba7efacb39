//! The modem, beside `mmcli`.

use super::Context;
use crate::{
    document::Document,
    finding::{Evidence, Stop},
    program,
    witnesses::modem::{self, Modem},
};

/// A modem's signal moves between two looks, by so many percent.
const QUALITY_TOLERANCE: f64 = 10.0;

/// The modems that ModemManager knows.
fn modems() -> Result<Vec<Modem>, Stop> {
    let list = program::ask("mmcli", &["-L", "-J"])?;
    let paths = modem::paths(&list).ok_or_else(|| Stop::skipped("mmcli -L printed something else"))?;
    let mut modems = Vec::new();
    for path in &paths {
        modems.extend(modem::modem(&program::ask("mmcli", &["-m", path, "-J"])?));
    }
    Ok(modems)
}

/// The one that is nearest to a connection, the first of equal ones.
fn in_use(modems: &[Modem]) -> Option<&Modem> {
    modems.iter().rev().max_by_key(|modem| modem.progress())
}

/// The modem.
pub(super) fn cellular(context: &Context, evidence: &mut Evidence) -> Result<(), Stop> {
    let before = modems()?;
    let sample = context.daemon.sample()?;
    let text = |key: &str| sample.text(&format!("/connection/4g/{key}"));
    let Some(modem) = in_use(&before) else {
        return match text("state") {
            None => Err(Stop::skipped("ModemManager knows no modem")),
            Some(state) => {
                Err(Stop::failed(format_args!("4g.state is {state}, but ModemManager knows no modem")))
            }
        };
    };
    let is_of_manager =
        |name: &str| before.iter().any(|modem| modem.interfaces.iter().any(|other| other == name));
    if let (None, Some(name)) = (text("state"), text("interface"))
        && !is_of_manager(name)
    {
        // A stick that is a router does not let ModemManager see its modem.
        return Err(Stop::skipped(format_args!("4g.interface is {name}, which ModemManager does not know")));
    }
    evidence.text("4g.state", text("state"), modem.state.as_deref(), "mmcli");
    evidence.text("4g.operator", text("operator"), modem.operator.as_deref(), "mmcli");
    evidence.text("4g.technology", text("technology"), modem.technology.as_deref(), "mmcli");
    compare_interface(text("interface"), modem, evidence);
    compare_signal(&sample, modem, in_use(&modems()?), evidence);
    Ok(())
}

/// One of the modem's interfaces; `network` compares its address. Over a serial line it is PPP, which ModemManager does not name.
fn compare_interface(reported: Option<&str>, modem: &Modem, evidence: &mut Evidence) {
    let witness = "the ports of mmcli";
    match reported {
        Some(name) if name.starts_with("ppp") => {
            evidence.silent("4g.interface: ModemManager does not name that of PPP");
        }
        _ if modem.interfaces.is_empty() => evidence.text("4g.interface", reported, None, witness),
        _ => {
            // A channel on an interface is named after it.
            let is_one = |name: &str| modem.interfaces.iter().any(|own| name.starts_with(own.as_str()));
            let expected = modem.interfaces.join(" or ");
            let agrees = reported.is_some_and(is_one);
            evidence.holds("4g.interface", reported.unwrap_or("null"), expected, witness, agrees);
        }
    }
}

fn compare_signal(sample: &Document, before: &Modem, after: Option<&Modem>, evidence: &mut Evidence) {
    let reported = sample.number("/connection/4g/signal_percent");
    let percent =
        |modem: &Modem| modem.signal_percent.as_ref().and_then(|percent| percent.parse::<f64>().ok());
    match (percent(before), after.and_then(percent)) {
        (Some(before), Some(after)) => {
            evidence.number("4g.signal_percent", reported, [before, after], QUALITY_TOLERANCE, "mmcli");
        }
        (None, None) => {
            let shown = reported.map_or_else(|| "null".to_owned(), |percent| percent.to_string());
            evidence.holds("4g.signal_percent", shown, "null", "mmcli: not recent", reported.is_none());
        }
        // It was measured, or became old, in between.
        _ => evidence.silent("4g.signal_percent: mmcli knew a recent signal at one of two looks"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_modem_nearest_to_a_connection_is_in_use() {
        let modem = |state: &str, interface: &str| Modem {
            state: Some(state.to_owned()),
            operator: None,
            technology: None,
            signal_percent: None,
            interfaces: vec![interface.to_owned()],
        };
        let modems = [
            modem("failed", "wwan0"),
            modem("registered", "wwan1"),
            modem("registered", "wwan2"),
            modem("searching", "wwan3"),
        ];
        assert_eq!(in_use(&modems).map(|modem| modem.interfaces.join("")), Some("wwan1".to_owned()));
        assert_eq!(in_use(&[]), None);
    }
}
