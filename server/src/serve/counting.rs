//! How many connections there are, in all and from each address.

use std::{
    collections::HashMap,
    net::IpAddr,
    sync::{Arc, Mutex, PoisonError},
};

use crate::{access::network::network, limits::CONNECTIONS_PER_ADDRESS};

#[derive(Debug, Default)]
struct Counts {
    all: usize,
    by_address: HashMap<IpAddr, usize>,
}

/// The connections of the server.
#[derive(Debug, Clone)]
pub(super) struct Connections {
    most: usize,
    counts: Arc<Mutex<Counts>>,
}

/// The place of one connection, free again when this is dropped.
#[derive(Debug)]
pub(super) struct Place {
    address: IpAddr,
    counts: Arc<Mutex<Counts>>,
}

impl Connections {
    pub(super) fn new(most: usize) -> Self {
        Self { most, counts: Arc::default() }
    }

    /// A place for a connection from `address`; `None`: there is none. While half of all are free an address may have
    /// any number: a proxy, or a site behind one address.
    pub(super) fn enter(&self, address: IpAddr) -> Option<Place> {
        let local = address.to_canonical().is_loopback();
        let address = network(address);
        let mut counts = self.counts.lock().unwrap_or_else(PoisonError::into_inner);
        let all = counts.all;
        let mine = counts.by_address.entry(address).or_default();
        let greedy = all * 2 > self.most && *mine >= CONNECTIONS_PER_ADDRESS && !local;
        if all >= self.most || greedy {
            // Addresses that have no place are not kept.
            if *mine == 0 {
                counts.by_address.remove(&address);
            }
            return None;
        }
        *mine += 1;
        counts.all += 1;
        Some(Place { address, counts: Arc::clone(&self.counts) })
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut counts = self.counts.lock().unwrap_or_else(PoisonError::into_inner);
        counts.all -= 1;
        if let Some(mine) = counts.by_address.get_mut(&self.address) {
            *mine -= 1;
            if *mine == 0 {
                counts.by_address.remove(&self.address);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_address_cannot_take_all_places() {
        let connections = Connections::new(2000);
        let (greedy, other) = ("192.0.2.1".parse().unwrap(), "192.0.2.2".parse().unwrap());
        let places: Vec<_> = std::iter::from_fn(|| connections.enter(greedy)).collect();
        assert_eq!(places.len(), 1001);
        let others: Vec<_> = std::iter::from_fn(|| connections.enter(other)).collect();
        assert_eq!(others.len(), CONNECTIONS_PER_ADDRESS);
        drop(places);
        assert!(connections.enter(greedy).is_some());
    }

    #[test]
    fn a_host_with_many_ipv6_addresses_is_one_client() {
        let connections = Connections::new(2000);
        let mut host = 0u16;
        let places: Vec<_> = std::iter::from_fn(|| {
            host += 1;
            connections.enter(format!("2001:db8::{host:x}").parse().unwrap())
        })
        .collect();
        assert_eq!(places.len(), 1001);
        let local = "::ffff:127.0.0.1".parse().unwrap();
        let local: Vec<_> = std::iter::from_fn(|| connections.enter(local)).collect();
        assert_eq!(local.len(), 999, "this machine may have the rest");
    }

    #[test]
    fn no_more_than_all_and_places_come_back() {
        let connections = Connections::new(10);
        let local = "127.0.0.1".parse().unwrap();
        let places: Vec<_> = std::iter::from_fn(|| connections.enter(local)).collect();
        assert_eq!(places.len(), 10);
        drop(places);
        assert_eq!(connections.counts.lock().unwrap().all, 0);
        assert!(connections.counts.lock().unwrap().by_address.is_empty());
    }
}
