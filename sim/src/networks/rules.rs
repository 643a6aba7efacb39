//! What becomes of packets on a link.

use std::{
    collections::HashMap,
    time::{Duration, Instant},
};

use super::packet::{Direction, Family, Packet};
use crate::random::Random;

/// What becomes of a packet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fate {
    /// It arrives.
    Passes,
    /// It is lost.
    Lost,
    /// It is lost, and its sender gets a reset.
    Reset,
}

/// Decides about each packet, in the order in which they are sent.
pub type Rule = Box<dyn FnMut(&Packet<'_>) -> Fate + Send>;

fn loses_if(mut is_lost: impl FnMut(&Packet<'_>) -> bool + Send + 'static) -> Rule {
    Box::new(move |packet| if is_lost(packet) { Fate::Lost } else { Fate::Passes })
}

/// Loses so many percent of the packets of each direction, at random.
pub fn loses(percent: u64, seed: u64) -> Rule {
    let mut random = Random::new(seed);
    loses_if(move |_| random.chance(percent))
}

/// Loses all packets of one family, as a network that announces it and leads nowhere.
pub fn hides(family: Family) -> Rule {
    loses_if(move |packet| packet.family() == family)
}

/// Loses packets of one family that are longer than so many bytes, and says nothing.
pub fn swallows_longer_than(family: Family, bytes: usize) -> Rule {
    loses_if(move |packet| packet.family() == family && packet.bytes.len() > bytes)
}

/// A router that translates addresses, and remembers each connection for some time after its last packet.
#[derive(Debug)]
pub struct Nat {
    remembers: Duration,
    resets: bool,
    /// Connections by the device's port, with the time of the last packet.
    mappings: HashMap<u16, Instant>,
}

impl Nat {
    /// Packets of a connection that was idle for longer than this are lost, or answered with a reset.
    pub fn forgets_after(remembers: Duration, resets: bool) -> Rule {
        let mut nat = Self { remembers, resets, mappings: HashMap::new() };
        Box::new(move |packet| nat.decide(packet, Instant::now()))
    }

    fn decide(&mut self, packet: &Packet<'_>, now: Instant) -> Fate {
        let Some(port) = packet.device_port() else { return Fate::Passes };
        let remembers = self.remembers;
        self.mappings.retain(|_, latest| now.saturating_duration_since(*latest) <= remembers);
        if packet.begins_connection() && packet.direction == Direction::Up
            || self.mappings.contains_key(&port)
        {
            self.mappings.insert(port, now);
            return Fate::Passes;
        }
        if self.resets { Fate::Reset } else { Fate::Lost }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn segment(port: u16, flags: u8) -> Vec<u8> {
        let mut bytes = vec![0x45, 0, 0, 40, 0, 0, 0x40, 0, 64, 6, 0, 0, 10, 9, 0, 2, 10, 9, 0, 1];
        bytes.extend(port.to_be_bytes());
        bytes.extend([0x01, 0xbb, 0, 0, 0, 7, 0, 0, 1, 0, 0x50, flags, 0, 0, 0, 0, 0, 0]);
        bytes
    }

    #[test]
    fn nat_forgets_what_was_idle_and_knows_new_connections() {
        let second = Duration::from_secs(1);
        for (resets, expected) in [(false, Fate::Lost), (true, Fate::Reset)] {
            let mut nat = Nat { remembers: second * 45, resets, mappings: HashMap::new() };
            let began = Instant::now();
            let mut at = |port, flags, secs| {
                let bytes = segment(port, flags);
                nat.decide(&Packet { direction: Direction::Up, bytes: &bytes }, began + second * secs)
            };
            assert_eq!(at(1, 0x02, 0), Fate::Passes);
            assert_eq!(at(1, 0x10, 45), Fate::Passes, "used in time");
            assert_eq!(at(2, 0x10, 46), expected, "never begun");
            assert_eq!(at(1, 0x10, 91), expected);
            assert_eq!(at(1, 0x10, 92), expected, "a lost packet does not bring it back");
            assert_eq!(at(1, 0x02, 93), Fate::Passes);
            assert_eq!(at(1, 0x10, 94), Fate::Passes);
        }
    }

    #[test]
    fn loss_is_as_frequent_as_asked_for() {
        let mut rule = loses(5, 0);
        let bytes = segment(1, 0x10);
        let packet = Packet { direction: Direction::Up, bytes: &bytes };
        let lost = (0..10_000).filter(|_| rule(&packet) == Fate::Lost).count();
        assert!((400..600).contains(&lost), "{lost} of 10000");
    }

    #[test]
    fn one_family_is_hit_and_the_other_is_not() {
        let bytes = segment(1, 0x10);
        let packet = Packet { direction: Direction::Up, bytes: &bytes };
        assert_eq!(hides(Family::V4)(&packet), Fate::Lost);
        assert_eq!(hides(Family::V6)(&packet), Fate::Passes);
        assert_eq!(swallows_longer_than(Family::V4, 39)(&packet), Fate::Lost);
        assert_eq!(swallows_longer_than(Family::V4, 40)(&packet), Fate::Passes);
        assert_eq!(swallows_longer_than(Family::V6, 0)(&packet), Fate::Passes);
    }
}
