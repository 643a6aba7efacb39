//! What `ip -json` prints.

use serde_json::Value;

/// The interface of the preferred default route, from `ip -json route show default`, which lists the lowest metric first.
/// `Some(None)` if there is none; a route that discards has no interface.
pub fn default_interface(json: &str) -> Option<Option<String>> {
    // Without IPv6 `ip -6` prints nothing.
    if json.trim().is_empty() {
        return Some(None);
    }
    let routes: Value = serde_json::from_str(json).ok()?;
    let interface = |route: &Value| {
        let ways = route.get("nexthops").and_then(Value::as_array);
        let of = |way: &Value| way.get("dev").and_then(Value::as_str).map(str::to_owned);
        of(route).or_else(|| ways.and_then(|ways| ways.iter().find_map(of))).filter(|name| name != "lo")
    };
    Some(routes.as_array()?.iter().find_map(interface))
}

/// An interface, from `ip -json address`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Link {
    /// Its name.
    pub name: String,
    /// Packets can pass.
    pub is_up: bool,
    /// All of its addresses.
    pub addresses: Vec<String>,
    /// It has one by which it can be reached for long: none of its link alone, and of IPv6 none that is tentative, deprecated
    /// or temporary.
    pub has_lasting_address: bool,
}

/// The interfaces of `ip -json address`.
pub fn links(json: &str) -> Option<Vec<Link>> {
    let links: Value = serde_json::from_str(json).ok()?;
    let link = |link: &Value| {
        let text = |key| link.get(key).and_then(Value::as_str);
        let infos = || link.get("addr_info").and_then(Value::as_array).into_iter().flatten();
        let passes = |info: &&Value| {
            ["tentative", "deprecated", "temporary", "dadfailed"]
                .iter()
                .any(|flag| info.get(flag).and_then(Value::as_bool) == Some(true))
        };
        let lasts = |info: &Value| {
            let scope = info.get("scope").and_then(Value::as_str);
            matches!(scope, Some("global" | "site")) && !passes(&info)
        };
        let local = |info: &Value| info.get("local")?.as_str().map(str::to_owned);
        Some(Link {
            name: text("ifname")?.to_owned(),
            is_up: text("operstate") == Some("UP"),
            addresses: infos().filter_map(local).collect(),
            has_lasting_address: infos().any(lasts),
        })
    };
    Some(links.as_array()?.iter().filter_map(link).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_route_is_the_preferred_one() {
        let routes = include_str!("../../tests/captures/ip-route.json");
        assert_eq!(default_interface(routes), Some(Some("eth0".to_owned())));
        assert_eq!(default_interface("[]"), Some(None));
        assert_eq!(default_interface(""), Some(None));
        assert_eq!(default_interface("Object \"rout\" is unknown"), None);
    }

    #[test]
    fn a_route_that_discards_is_none_and_one_with_several_ways_names_the_first() {
        let discards = r#"{"type":"unreachable","dst":"default","flags":[]}"#;
        let ways = r#"{"dst":"default","nexthops":[{"gateway":"192.0.2.1","dev":"wlan0"},{"dev":"eth0"}]}"#;
        assert_eq!(default_interface(&format!("[{discards}]")), Some(None));
        assert_eq!(default_interface(&format!("[{discards},{ways}]")), Some(Some("wlan0".to_owned())));
        assert_eq!(default_interface(r#"[{"dst":"default","dev":"lo"}]"#), Some(None));
    }

    #[test]
    fn lists_the_interfaces_with_their_addresses() {
        let links = links(include_str!("../../tests/captures/ip-address.json")).expect("interfaces");
        let names: Vec<_> = links.iter().map(|link| link.name.as_str()).collect();
        assert_eq!(names, ["lo", "eth0", "wlan0", "hwsim0"]);
        let wired = &links[1];
        assert!(
            wired.is_up && wired.has_lasting_address && wired.addresses.contains(&"192.0.2.2".to_owned())
        );
        assert!(!links[0].has_lasting_address && !links[3].is_up && links[3].addresses.is_empty());
    }

    #[test]
    fn an_address_that_passes_is_none_that_lasts() {
        for flag in ["tentative", "deprecated", "temporary", "dadfailed"] {
            let json = format!(
                r#"[{{"ifname":"eth0","operstate":"UP","addr_info":[
                    {{"local":"2001:db8::1","scope":"global","{flag}":true}},
                    {{"local":"fe80::1","scope":"link"}}]}}]"#
            );
            let links = links(&json).expect("interfaces");
            assert!(!links[0].has_lasting_address, "{flag}");
            assert_eq!(links[0].addresses, ["2001:db8::1", "fe80::1"]);
        }
    }
}
