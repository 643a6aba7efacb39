//! A device, a link, and a network in which a server with a name can be.

use std::{
    io,
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
};

use super::{
    name_server::{NameServer, Zone},
    namespace::Namespace,
    wire::Wire,
};

/// A device's network and a server's, with a link between them.
#[derive(Debug)]
pub struct Site {
    /// Where the device is.
    pub device: Namespace,
    /// Where servers are.
    pub server: Namespace,
    /// The only way from one to the other.
    pub wire: Wire,
    /// The device's name server, on the other side of the link.
    pub names: NameServer,
}

impl Site {
    /// The name of the server.
    pub const NAME: &str = "server.test";
    /// Its address, and that of the name server.
    pub const SERVER: Ipv4Addr = Ipv4Addr::new(10, 9, 0, 1);
    /// Its address of IPv6. The name does not lead there unless it is told to.
    pub const SERVER_V6: Ipv6Addr = Ipv6Addr::new(0xfd00, 9, 0, 0, 0, 0, 0, 1);

    /// A link without delay and loss; the name leads to [`Site::SERVER`].
    ///
    /// # Errors
    ///
    /// When this user may not make networks, or when iproute2 is not installed.
    pub fn new() -> io::Result<Self> {
        let (device, server) = (Namespace::with_loopback()?, Namespace::with_loopback()?);
        let wire = Wire::between(&device, &server)?;
        for (namespace, last) in [(&device, 2), (&server, 1)] {
            namespace.ip(&["addr", "add", &format!("10.9.0.{last}/24"), "dev", "wire0"])?;
            namespace.ip(&["addr", "add", &format!("fd00:9::{last}/64"), "dev", "wire0", "nodad"])?;
            namespace.ip(&["link", "set", "wire0", "up"])?;
        }
        // To wherever a name leads.
        device.ip(&["route", "add", "default", "via", &Self::SERVER.to_string()])?;
        device.ip(&["-6", "route", "add", "default", "via", &Self::SERVER_V6.to_string()])?;
        device.file("resolv.conf", format!("nameserver {}\n", Self::SERVER))?;
        let zone = Zone::of(Self::NAME, &[Self::SERVER.into()]);
        let names = NameServer::listen(&server, Self::SERVER.into(), zone)?;
        Ok(Self { device, server, wire, names })
    }

    /// Gives the server's side one more address.
    ///
    /// # Errors
    ///
    /// When it has it already.
    pub fn add_address(&self, ip: IpAddr) -> io::Result<()> {
        match ip {
            IpAddr::V4(ip) => self.server.ip(&["addr", "add", &format!("{ip}/32"), "dev", "wire0"]),
            IpAddr::V6(ip) => self.server.ip(&["addr", "add", &format!("{ip}/128"), "dev", "wire0", "nodad"]),
        }
    }
}
