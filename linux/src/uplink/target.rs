//! Where heartbeats go: a host and a port to connect to, which may be a proxy's, and the name that a certificate must
//! prove, which is always the server's.

use std::net::IpAddr;

use rustls::pki_types::ServerName;

use super::tunnel::TunnelTarget;
use crate::config::{Endpoint, Proxy};

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
    /// What a proxy at this host is asked for; `None` if the host is the server.
    pub(super) tunnel: Option<TunnelTarget>,
}

impl Target {
    /// The server of this URL, or the proxy on the way to it.
    pub(super) fn new(endpoint: &Endpoint, proxy: Option<&Proxy>) -> Self {
        let uri = endpoint.uri();
        let host = uri.host().unwrap_or_default();
        let host = host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host);
        let secured = endpoint.is_https();
        let port = uri.port_u16().unwrap_or(if secured { 443 } else { 80 });
        let (near, near_port) = proxy.map_or((host, port), |proxy| (proxy.host.as_str(), proxy.port));
        Self {
            host: near.parse().map_or_else(|_| Host::Name(near.to_owned()), Host::Address),
            port: near_port,
            secured,
            tunnel: proxy.map(|proxy| TunnelTarget::new(proxy, host, port)),
            proves: ServerName::try_from(host.to_owned()).ok(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hosts_and_ports_are_understood() {
        let target = |url| Target::new(&Endpoint::parse(url).expect(url), None);
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

    #[test]
    fn proxy_is_connected_to_and_the_server_proves_itself() {
        let proxy = Proxy::parse("socks5://proxy.example:1080").expect("a proxy");
        let endpoint = Endpoint::parse("https://a.example/").expect("a URL");
        let target = Target::new(&endpoint, Some(&proxy));
        assert_eq!((target.host, target.port), (Host::Name("proxy.example".to_owned()), 1080));
        assert_eq!(target.proves.expect("a name").to_str(), "a.example");
        assert_eq!(target.tunnel, Some(TunnelTarget::new(&proxy, "a.example", 443)));
    }
}
