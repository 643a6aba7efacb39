//! How often a login may be tried from one address: five times at once, then once in 30 s.

use std::{
    collections::HashMap,
    net::IpAddr,
    time::{Duration, Instant},
};

use super::network::network;
use crate::limits::{LOGIN_ADDRESSES_MAX, LOGIN_BURST, LOGIN_EVERY};

/// Tries of all addresses. Time is an argument.
#[derive(Debug, Default)]
pub(crate) struct Throttle {
    /// When all tries of an address are forgotten.
    until: HashMap<IpAddr, Instant>,
}

impl Throttle {
    /// Counts a try; `false`: it must not be made.
    pub(crate) fn allow(&mut self, address: IpAddr, now: Instant) -> bool {
        let address = network(address);
        if self.until.len() >= LOGIN_ADDRESSES_MAX {
            self.until.retain(|_, until| *until > now);
        }
        if self.until.len() >= LOGIN_ADDRESSES_MAX && !self.until.contains_key(&address) {
            // To refuse new addresses instead would let one client with many of them lock out everybody.
            let first = self.until.iter().min_by_key(|(_, until)| **until).map(|(address, _)| *address);
            first.map(|address| self.until.remove(&address));
        }
        let until = self.until.get(&address).copied().unwrap_or(now).max(now) + LOGIN_EVERY;
        let allowed = until.duration_since(now) <= LOGIN_EVERY * LOGIN_BURST;
        if allowed {
            self.until.insert(address, until);
        }
        allowed
    }

    /// A login that succeeded is no guess.
    pub(crate) fn succeeded(&mut self, address: IpAddr) {
        self.until.remove(&network(address));
    }

    /// What a refused client is told to wait.
    pub(crate) fn pause() -> Duration {
        LOGIN_EVERY
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn five_at_once_then_one_in_thirty_seconds() {
        let mut throttle = Throttle::default();
        let (address, start) = ("192.0.2.1".parse().unwrap(), Instant::now());
        let mut allowed = 0;
        for second in 0..=120 {
            for _ in 0..10 {
                allowed += u32::from(throttle.allow(address, start + Duration::from_secs(second)));
            }
        }
        assert_eq!(allowed, LOGIN_BURST + 4);
        assert!(throttle.allow("192.0.2.2".parse().unwrap(), start), "another address is not concerned");
    }

    #[test]
    fn many_addresses_lock_nobody_out_and_cost_no_memory() {
        let mut throttle = Throttle::default();
        let now = Instant::now();
        let address = |n: usize| IpAddr::V4(u32::try_from(n).unwrap().into());
        let guesser = "192.0.2.1".parse().unwrap();
        while throttle.allow(guesser, now) {}
        for n in 0..2 * LOGIN_ADDRESSES_MAX {
            assert!(throttle.allow(address(n), now), "{n}");
        }
        assert_eq!(throttle.until.len(), LOGIN_ADDRESSES_MAX);
        assert!(!throttle.allow(guesser, now), "who has tried most is forgotten last");
    }

    #[test]
    fn the_addresses_of_one_network_count_together() {
        let mut throttle = Throttle::default();
        let now = Instant::now();
        let tries = (0..10u16).filter(|n| throttle.allow(format!("2001:db8::{n:x}").parse().unwrap(), now));
        assert_eq!(tries.count(), 5);
    }
}
