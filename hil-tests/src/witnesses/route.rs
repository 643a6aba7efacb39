//! What `ip -json` prints.

use serde_json::Value;

/// The interface of the preferred default route, from `ip -json route show default`, which lists the lowest metric first.
pub fn default_interface(json: &str) -> Option<Option<String>> {
    let routes: Value = serde_json::from_str(json).ok()?;
    let first = routes.as_array()?.first();
    Some(first.and_then(|route| route.get("dev")).and_then(Value::as_str).map(str::to_owned))
}

/// The addresses of an interface, from `ip -json address`. `None` when there is no such interface.
pub fn addresses(json: &str, interface: &str) -> Option<Vec<String>> {
    let links: Value = serde_json::from_str(json).ok()?;
    let link = links
        .as_array()?
        .iter()
        .find(|link| link.get("ifname").and_then(Value::as_str) == Some(interface))?;
    let addresses = link.get("addr_info").and_then(Value::as_array).into_iter().flatten();
    Some(addresses.filter_map(|address| address.get("local")?.as_str()).map(str::to_owned).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_route_is_the_preferred_one() {
        let routes = include_str!("../../tests/captures/ip-route.json");
        assert_eq!(default_interface(routes), Some(Some("eth0".to_owned())));
        assert_eq!(default_interface("[]"), Some(None));
        assert_eq!(default_interface("Object \"rout\" is unknown"), None);
    }

    #[test]
    fn lists_the_addresses_of_one_interface() {
        let links = include_str!("../../tests/captures/ip-address.json");
        assert_eq!(
            addresses(links, "lo").expect("there is a loopback").first().map(String::as_str),
            Some("127.0.0.1")
        );
        assert!(addresses(links, "eth0").expect("there is one").contains(&"192.0.2.2".to_owned()));
        assert_eq!(addresses(links, "eth1"), None);
    }
}
