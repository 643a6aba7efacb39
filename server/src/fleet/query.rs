//! The list of devices: which, in what order, and the part of it that a page shows.

use std::{cmp::Ordering, fmt::Write};

use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use serde::Deserialize;

use super::{Device, Fleet};
use crate::presence::Presence;
use crate::{limits::PAGE_ROWS, model::reading::Value};

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

    fn from_word(word: &str) -> Option<Self> {
        let values = Value::ALL.into_iter().map(Self::Value);
        [Self::State, Self::Name, Self::Group, Self::Seen]
            .into_iter()
            .chain(values)
            .find(|order| order.word() == word)
    }
}

/// The query string of the list. A value that cannot be understood counts as not given.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct QueryKeys {
    state: String,
    group: String,
    tag: String,
    text: String,
    sort: String,
    down: String,
    page: String,
}

impl QueryKeys {
    /// Names of the keys.
    pub(crate) const NAMES: [&'static str; 7] = ["state", "group", "tag", "text", "sort", "down", "page"];
}

#[cfg(test)]
thread_local! {
    /// Comparisons of two devices.
    static COMPARED: std::cell::Cell<u64> = const { std::cell::Cell::new(0) };
}

/// Which devices, in what order.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Query {
    pub(crate) presence: Option<Presence>,
    /// With something wrong other than being offline.
    pub(crate) unwell: bool,
    pub(crate) group: Option<String>,
    pub(crate) tag: Option<String>,
    /// In the name, the hardware id, the group or a tag; without regard to case.
    pub(crate) text: Option<String>,
    pub(crate) order: Order,
    pub(crate) descending: bool,
    /// From 0.
    pub(crate) page: usize,
}

impl From<QueryKeys> for Query {
    fn from(keys: QueryKeys) -> Self {
        let given = |text: String| Some(text.trim().to_owned()).filter(|text| !text.is_empty());
        Self {
            presence: Presence::from_word(&keys.state),
            unwell: keys.state == "unwell",
            group: given(keys.group),
            tag: given(keys.tag),
            text: given(keys.text).map(|text| text.to_lowercase()),
            order: Order::from_word(&keys.sort).unwrap_or_default(),
            descending: keys.down == "1",
            page: keys.page.parse::<usize>().unwrap_or(1).clamp(1, 100_000) - 1,
        }
    }
}

/// The part of a list that a page shows.
#[derive(Debug)]
pub(crate) struct Selection<'a> {
    /// Devices of the whole list.
    pub(crate) total: usize,
    /// The page, from 0; the last one if there are fewer than were asked for.
    pub(crate) page: usize,
    pub(crate) devices: Vec<&'a Device>,
}

impl Selection<'_> {
    /// How many pages there are, at least one.
    pub(crate) fn pages(&self) -> usize {
        self.total.div_ceil(PAGE_ROWS).max(1)
    }
}

impl Query {
    /// The page of the list. A fleet of 100,000 takes some milliseconds: only what is shown is put in order.
    pub(crate) fn select<'a>(&self, fleet: &'a Fleet) -> Selection<'a> {
        let found: Vec<&Device> = fleet.devices().iter().filter(|device| self.matches(device)).collect();
        let total = found.len();
        let page = self.page.min(total.div_ceil(PAGE_ROWS).saturating_sub(1));
        let end = (page * PAGE_ROWS).saturating_add(PAGE_ROWS).min(total);
        let mut found = if end < total { self.first(found, end) } else { found };
        found.sort_unstable_by(|a, b| self.compare(a, b));
        Selection { total, page, devices: found.split_off(page * PAGE_ROWS) }
    }

    /// The first `count` of a list, in no order. Each device is compared, as a rule once, with the last of those that lead so
    /// far: the memory of a large fleet is gone through once, and in order.
    fn first<'a>(&self, found: Vec<&'a Device>, count: usize) -> Vec<&'a Device> {
        let room = count.saturating_mul(4);
        let mut leading: Vec<&Device> = Vec::with_capacity(room.min(found.len()));
        let mut last: Option<&Device> = None;
        for device in found {
            if last.is_some_and(|last| self.compare(device, last) != Ordering::Less) {
                continue;
            }
            leading.push(device);
            if leading.len() >= room {
                self.cut(&mut leading, count);
                last = leading.last().copied();
            }
        }
        self.cut(&mut leading, count);
        leading
    }

    /// Leaves the first `count` of a longer list, the last of them at the end.
    fn cut(&self, list: &mut Vec<&Device>, count: usize) {
        if count < list.len() {
            list.select_nth_unstable_by(count.saturating_sub(1), |a, b| self.compare(a, b));
            list.truncate(count);
        }
    }

    /// All devices of the list, in no order.
    pub(crate) fn all<'a>(&'a self, fleet: &'a Fleet) -> impl Iterator<Item = &'a Device> {
        fleet.devices().iter().filter(|device| self.matches(device))
    }

    fn matches(&self, device: &Device) -> bool {
        let labels = &device.labels;
        if labels.removed
            || self.presence.is_some_and(|presence| device.presence != presence)
            || (self.unwell && !unwell(device))
            || self.group.as_ref().is_some_and(|group| labels.group.as_ref() != Some(group))
            || self.tag.as_ref().is_some_and(|tag| !labels.tags.contains(tag))
        {
            return false;
        }
        let Some(text) = &self.text else { return true };
        let texts = [Some(&*device.hardware_id), labels.name.as_deref(), labels.group.as_deref()];
        let mut texts = texts.into_iter().flatten().chain(labels.tags.iter().map(String::as_str));
        texts.any(|in_text| in_text.to_lowercase().contains(text))
    }

    fn compare(&self, a: &Device, b: &Device) -> Ordering {
        #[cfg(test)]
        COMPARED.set(COMPARED.get() + 1);
        let turned = |ordering: Ordering| if self.descending { ordering.reverse() } else { ordering };
        let order = match self.order {
            Order::State => turned(urgency(a).cmp(&urgency(b))),
            Order::Name => turned(a.title().cmp(b.title())),
            Order::Group => last(a.labels.group.as_ref(), b.labels.group.as_ref(), turned),
            Order::Seen => last(a.seen_at, b.seen_at, turned),
            Order::Value(value) => last(a.reading.values.get(value), b.reading.values.get(value), turned),
        };
        order.then_with(|| a.title().cmp(b.title())).then_with(|| a.id.cmp(&b.id))
    }

    /// The query string of this list with one thing changed, beginning with `?`; relative to any path.
    pub(crate) fn address(&self, change: impl FnOnce(&mut Self)) -> String {
        let mut query = self.clone();
        change(&mut query);
        let mut text = String::from("?");
        let state = if query.unwell { Some("unwell") } else { query.presence.map(Presence::word) };
        let keys = [
            ("state", state),
            ("group", query.group.as_deref()),
            ("tag", query.tag.as_deref()),
            ("text", query.text.as_deref()),
            ("sort", Some(query.order.word()).filter(|_| query.order != Order::State)),
            ("down", Some("1").filter(|_| query.descending)),
        ];
        for (key, value) in keys {
            if let Some(value) = value {
                let _ = write!(text, "{key}={}&", utf8_percent_encode(value, NON_ALPHANUMERIC));
            }
        }
        if query.page > 0 {
            let _ = write!(text, "page={}&", query.page + 1);
        }
        // A lone `?` stays: as an address it means "without a query".
        if text.ends_with('&') {
            text.pop();
        }
        text
    }
}

/// Whether something is wrong with a device other than being offline.
pub(crate) fn unwell(device: &Device) -> bool {
    device.alerts.iter().any(|(kind, _)| *kind != crate::alerts::kind::Kind::Offline)
}

/// The smaller, the more it needs attention.
fn urgency(device: &Device) -> u8 {
    match (device.presence, unwell(device)) {
        (Presence::Offline, _) => 0,
        (Presence::Late, _) => 1,
        (Presence::Online, true) => 2,
        (Presence::Online, false) => 3,
    }
}

/// Orders by a value that may be missing; what is missing comes last either way.
fn last<T: Ord>(a: Option<T>, b: Option<T>, turned: impl Fn(Ordering) -> Ordering) -> Ordering {
    match (a, b) {
        (Some(a), Some(b)) => turned(a.cmp(&b)),
        (Some(_), None) => Ordering::Less,
        (None, Some(_)) => Ordering::Greater,
        (None, None) => Ordering::Equal,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{alerts::kind::Kind, model::DeviceId, store::Labels, time::UnixMs};

    fn fleet(devices: i64) -> Fleet {
        let mut fleet = Fleet::default();
        for number in 0..devices {
            let labels = Labels {
                group: Some(if number % 2 == 0 { "north" } else { "south" }.to_owned()),
                tags: if number % 10 == 0 { vec!["roof".to_owned()] } else { Vec::new() },
                ..Labels::default()
            };
            let mut device = Device::new(DeviceId(number), &format!("pi{number:04}"), labels, UnixMs(0));
            device.presence = if number == 7 { Presence::Offline } else { Presence::Online };
            device
                .reading
                .values
                .set(Value::Temp, (number != 3).then(|| i32::try_from(number * 37 % 101).unwrap()));
            fleet.add(device);
        }
        fleet
    }

    fn names(query: &Query, fleet: &Fleet) -> Vec<String> {
        query.select(fleet).devices.iter().map(|device| device.hardware_id.to_string()).collect()
    }

    #[test]
    fn what_needs_attention_comes_first() {
        let mut fleet = fleet(12);
        fleet.at_mut(5).unwrap().alerts.push((Kind::Hot, UnixMs(0)));
        let names = names(&Query::default(), &fleet);
        assert_eq!(names[..3], ["pi0007", "pi0005", "pi0000"]);
    }

    #[test]
    fn filters_meet() {
        let fleet = fleet(40);
        let query = Query {
            group: Some("north".to_owned()),
            tag: Some("roof".to_owned()),
            text: Some("pi002".to_owned()),
            ..Query::default()
        };
        assert_eq!(names(&query, &fleet), ["pi0020"]);
        assert_eq!(
            names(&Query { presence: Some(Presence::Offline), ..Query::default() }, &fleet),
            ["pi0007"]
        );
    }

    #[test]
    fn pages_are_parts_of_the_whole_order() {
        let fleet = fleet(250);
        for descending in [false, true] {
            let query = Query { order: Order::Value(Value::Temp), descending, ..Query::default() };
            let mut whole: Vec<&Device> = fleet.devices().iter().collect();
            whole.sort_by(|a, b| query.compare(a, b));
            let whole: Vec<_> = whole.iter().map(|device| device.hardware_id.to_string()).collect();
            let paged: Vec<_> =
                (0..3).flat_map(|page| names(&Query { page, ..query.clone() }, &fleet)).collect();
            assert_eq!(paged, whole);
            assert_eq!(whole.last().unwrap(), "pi0003", "what was not read comes last");
        }
    }

    #[test]
    fn a_page_of_a_large_fleet_compares_each_device_about_once() {
        let fleet = fleet(100_000);
        for (query, most) in [
            (Query::default(), 2),
            (Query { order: Order::Name, descending: true, ..Query::default() }, 6),
            (Query { order: Order::Value(Value::Temp), ..Query::default() }, 3),
        ] {
            COMPARED.set(0);
            assert_eq!(query.select(&fleet).devices.len(), PAGE_ROWS);
            let each = COMPARED.get() / 100_000;
            assert!(each < most, "{query:?}: {each} comparisons of each device");
        }
    }

    #[test]
    fn a_page_beyond_the_last_is_the_last() {
        let fleet = fleet(101);
        let query = Query { page: 77, ..Query::default() };
        let selection = query.select(&fleet);
        assert_eq!((selection.page, selection.pages(), selection.devices.len()), (1, 2, 1));
    }

    #[test]
    fn an_address_leads_back_to_its_query() {
        let query = Query {
            presence: Some(Presence::Late),
            group: Some("a&b=c".to_owned()),
            text: Some("ü \"x\"".to_owned()),
            order: Order::Value(Value::Temp),
            descending: true,
            page: 2,
            ..Query::default()
        };
        let uri: axum::http::Uri = format!("/{}", query.address(|_| ())).parse().unwrap();
        let keys = axum::extract::Query::<QueryKeys>::try_from_uri(&uri).unwrap();
        assert_eq!(Query::from(keys.0), query);
        assert_eq!(Query::default().address(|_| ()), "?");
    }
}
