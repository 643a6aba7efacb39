//! Where heartbeats go: a host, a port, and the name that a certificate must prove.

use std::net::IpAddr;

use rustls::pki_types::ServerName;

use crate::config::Endpoint;

/// A host by its address or by its name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Host {
    /// Needs no lookup.
    Address(IpAddr),
    /// Is looked up.
    Name(String),
}

/// The server as the configuration names it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Target {
    pub(super) host: Host,
    pub(super) port: u16,
    pub(super) secured: bool,
    /// What the certificate must be for; `None` if no certificate can be for this host.
    pub(super) proves: Option<ServerName<'static>>,
}

impl Target {
    /// The server of this URL.
    pub(super) fn new(endpoint: &Endpoint) -> Self {
        let uri = endpoint.uri();
        let host = uri.host().unwrap_or_default();
        let host = host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host);
        let secured = endpoint.is_https();
        Self {
            host: host.parse().map_or_else(|_| Host::Name(host.to_owned()), Host::Address),
            port: uri.port_u16().unwrap_or(if secured { 443 } else { 80 }),
            secured,
            proves: ServerName::try_from(host.to_owned()).ok(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hosts_and_ports_are_understood() {
        let target = |url| Target::new(&Endpoint::parse(url).expect(url));
        let address = |text: &str| Host::Address(text.parse().expect("an address"));
        assert_eq!(target("http://192.0.2.1/x").host, address("192.0.2.1"));
        assert_eq!(target("https://[2001:db8::1]:8443/x").host, address("2001:db8::1"));
        assert_eq!(target("https://a.example/x").host, Host::Name("a.example".to_owned()));
        assert_eq!(target("https://a.example/x").port, 443);
        assert_eq!(target("http://a.example/x").port, 80);
        assert_eq!(target("https://[2001:db8::1]:8443/x").port, 8443);
        let proves = target("https://a.example/").proves.expect("a name");
        assert_eq!(proves.to_str(), "a.example");
    }
}
