//! The order of a list, and the part of it that a page shows, in a time that does not depend on which part that is.
//!
//! To sort a fleet of 100,000 takes too long for a page: each comparison looks at two devices, which lie anywhere in memory.
//! So what decides is copied out of each device once, side by side (`Key`), the page is cut out of these keys, and only
//! the page is sorted.

use std::{cmp::Ordering, collections::HashMap};

use super::Device;
use crate::{model::reading::Value, presence::Presence};

/// Bytes of a title that are compared as a number.
const BEGINNING: usize = 16;

#[cfg(test)]
thread_local! {
    /// Comparisons for which the keys were not enough.
    pub(super) static COMPARED: std::cell::Cell<u64> = const { std::cell::Cell::new(0) };
}

/// What a list is ordered by.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) enum Order {
    /// What needs attention first: offline, late, unwell, the others.
    #[default]
    State,
    Name,
    Group,
    Seen,
    Value(Value),
}

impl Order {
    /// The word in addresses.
    pub(crate) fn word(self) -> &'static str {
        match self {
            Self::State => "state",
            Self::Name => "name",
            Self::Group => "group",
            Self::Seen => "seen",
            Self::Value(value) => value.name(),
        }
    }

    /// The order with this word.
    pub(super) fn from_word(word: &str) -> Option<Self> {
        let values = Value::ALL.into_iter().map(Self::Value);
        [Self::State, Self::Name, Self::Group, Self::Seen]
            .into_iter()
            .chain(values)
            .find(|order| order.word() == word)
    }
}

/// Where a device stands in a list. What is missing comes last either way; devices that are equal are in the order of
/// their titles.
struct Key<'a> {
    /// The smaller, the earlier.
    rank: i64,
    /// The beginning of the title, which tells nearly all titles apart.
    beginning: u128,
    title: &'a str,
    device: &'a Device,
}

/// A list that is to be put in order.
pub(super) struct List<'a> {
    order: Order,
    descending: bool,
    keys: Vec<Key<'a>>,
    /// What all titles begin with, as in "camera of the south field, 17".
    common: Option<&'a [u8]>,
    /// The longest title, bytes.
    longest: usize,
}

impl<'a> List<'a> {
    /// An empty list.
    pub(super) fn new(order: Order, descending: bool) -> Self {
        Self { order, descending, keys: Vec::new(), common: None, longest: 0 }
    }

    /// Adds a device.
    pub(super) fn push(&mut self, device: &'a Device) {
        let title = device.title();
        let rank = match self.order {
            Order::State => Some(urgency(device)),
            // All groups must be known first.
            Order::Name | Order::Group => Some(0),
            Order::Seen => device.seen_at.map(|at| at.0),
            Order::Value(value) => device.reading.values.get(value).map(i64::from),
        };
        self.keys.push(Key { rank: self.turned(rank), beginning: 0, title, device });
        self.longest = self.longest.max(title.len());
        let common = self.common.unwrap_or(title.as_bytes());
        let same = common.iter().zip(title.as_bytes()).take_while(|(a, b)| a == b).count();
        self.common = common.get(..same);
    }

    /// How many devices there are.
    pub(super) fn len(&self) -> usize {
        self.keys.len()
    }

    /// The devices from `start` to `end`, exclusive. `groups`: all that there are, in order.
    pub(super) fn part(mut self, groups: &[&str], start: usize, end: usize) -> Vec<&'a Device> {
        let titles_turned = self.descending && self.order == Order::Name;
        let common = if self.longest > BEGINNING { self.common.map_or(0, <[u8]>::len) } else { 0 };
        for key in &mut self.keys {
            let beginning = beginning(key.title.as_bytes().get(common..).unwrap_or_default());
            key.beginning = if titles_turned { !beginning } else { beginning };
        }
        if self.order == Order::Group {
            let places: HashMap<&str, i64> = groups.iter().copied().zip(0..).collect();
            let place = |device: &Device| places.get(device.labels.group.as_deref()?).copied();
            let ranks: Vec<i64> = self.keys.iter().map(|key| self.turned(place(key.device))).collect();
            self.keys.iter_mut().zip(ranks).for_each(|(key, rank)| key.rank = rank);
        }
        let compare = |a: &Key<'_>, b: &Key<'_>| compare(a, b, titles_turned);
        let mut keys = self.keys;
        if end < keys.len() {
            keys.select_nth_unstable_by(end, compare);
            keys.truncate(end);
        }
        if (1..keys.len()).contains(&start) {
            keys.select_nth_unstable_by(start, compare);
        }
        let mut part = keys.split_off(start.min(keys.len()));
        part.sort_unstable_by(compare);
        part.into_iter().map(|key| key.device).collect()
    }

    fn turned(&self, rank: Option<i64>) -> i64 {
        rank.map_or(i64::MAX, |rank| if self.descending { !rank } else { rank })
    }
}

fn compare(a: &Key<'_>, b: &Key<'_>, titles_turned: bool) -> Ordering {
    (a.rank, a.beginning).cmp(&(b.rank, b.beginning)).then_with(|| {
        #[cfg(test)]
        COMPARED.set(COMPARED.get() + 1);
        let titles = a.title.cmp(b.title);
        let titles = if titles_turned { titles.reverse() } else { titles };
        titles.then_with(|| a.device.id.cmp(&b.device.id))
    })
}

/// The first 16 bytes as a number: such numbers are in the order of what they were made from, or equal.
fn beginning(bytes: &[u8]) -> u128 {
    let mut first = [0; BEGINNING];
    for (byte, from) in first.iter_mut().zip(bytes) {
        *byte = *from;
    }
    u128::from_be_bytes(first)
}

/// The smaller, the more it needs attention.
fn urgency(device: &Device) -> i64 {
    match (device.presence, device.is_unwell()) {
        (Presence::Offline, _) => 0,
        (Presence::Late, _) => 1,
        (Presence::Online, true) => 2,
        (Presence::Online, false) => 3,
    }
}
