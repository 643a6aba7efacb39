//! The list of devices: which, in what order, and the part of it that a page shows.

use std::{collections::BTreeSet, fmt::Write};

use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use serde::Deserialize;

pub(crate) use super::order::Order;
use super::{Counts, Device, Fleet, order::List};
use crate::{limits::PAGE_ROWS, presence::Presence};

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
    /// Of all devices, in the list or not.
    pub(crate) counts: Counts,
    /// Of all devices, in order.
    pub(crate) groups: Vec<&'a str>,
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
    /// The page of the list. A fleet of 100,000 takes some milliseconds, whichever page it is: its memory is gone through once.
    pub(crate) fn select<'a>(&self, fleet: &'a Fleet) -> Selection<'a> {
        let mut counts = Counts::default();
        let mut groups = BTreeSet::new();
        let mut list = List::new(self.order, self.descending);
        for device in fleet.devices().iter().filter(|device| !device.labels.removed) {
            counts.add(device);
            groups.extend(device.labels.group.as_deref());
            if self.matches(device) {
                list.push(device);
            }
        }
        let groups: Vec<&str> = groups.into_iter().collect();
        let total = list.len();
        let page = self.page.min(total.div_ceil(PAGE_ROWS).saturating_sub(1));
        let start = page * PAGE_ROWS;
        let end = start.saturating_add(PAGE_ROWS).min(total);
        let devices = list.part(&groups, start, end);
        Selection { counts, groups, total, page, devices }
    }

    /// All devices of the list, in no order.
    pub(crate) fn all<'a>(&'a self, fleet: &'a Fleet) -> impl Iterator<Item = &'a Device> {
        fleet.devices().iter().filter(|device| self.matches(device))
    }

    fn matches(&self, device: &Device) -> bool {
        let labels = &device.labels;
        if labels.removed
            || self.presence.is_some_and(|presence| device.presence != presence)
            || (self.unwell && !device.is_unwell())
            || self.group.as_ref().is_some_and(|group| labels.group.as_ref() != Some(group))
            || self.tag.as_ref().is_some_and(|tag| !labels.tags.contains(tag))
        {
            return false;
        }
        let Some(text) = &self.text else { return true };
        let texts = [Some(&*device.hardware_id), labels.name.as_deref(), labels.group.as_deref()];
        let mut texts = texts.into_iter().flatten().chain(labels.tags.iter().map(String::as_str));
        texts.any(|in_text| contains(in_text, text))
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

/// Whether `part`, which is in lower case, is in a text, without regard to case.
fn contains(text: &str, part: &str) -> bool {
    if !text.is_ascii() {
        return text.to_lowercase().contains(part);
    }
    // Nearly all text is, and then 100,000 devices are searched without a copy of each.
    let windows = (part.is_ascii() && !part.is_empty()).then(|| text.as_bytes().windows(part.len()));
    part.is_empty()
        || windows.is_some_and(|mut all| all.any(|window| window.eq_ignore_ascii_case(part.as_bytes())))
}

#[cfg(test)]
mod tests {
    use std::cmp::Ordering;

    use super::{super::order::COMPARED, *};
    use crate::{
        alerts::kind::Kind,
        model::{DeviceId, reading::Value},
        store::Labels,
        time::UnixMs,
    };

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

    /// The order as it is meant, told with the devices themselves.
    fn whole(fleet: &Fleet, order: Order, descending: bool) -> Vec<String> {
        fn last<T: Ord>(a: Option<T>, b: Option<T>, descending: bool) -> Ordering {
            match (a, b) {
                (Some(a), Some(b)) if descending => b.cmp(&a),
                (Some(a), Some(b)) => a.cmp(&b),
                (a, b) => b.is_some().cmp(&a.is_some()),
            }
        }
        let states = [Presence::Offline, Presence::Late, Presence::Online];
        let urgency = |device: &Device| {
            let is_well = device.presence == Presence::Online && device.alerts.is_empty();
            (states.iter().position(|state| *state == device.presence), is_well)
        };
        let mut whole: Vec<&Device> = fleet.devices().iter().collect();
        whole.sort_by(|a, b| {
            let ordered = match order {
                Order::State => last(Some(urgency(a)), Some(urgency(b)), descending),
                Order::Name => last(Some(a.title()), Some(b.title()), descending),
                Order::Group => last(a.labels.group.as_ref(), b.labels.group.as_ref(), descending),
                Order::Seen => last(a.seen_at, b.seen_at, descending),
                Order::Value(value) => {
                    last(a.reading.values.get(value), b.reading.values.get(value), descending)
                }
            };
            ordered.then_with(|| a.title().cmp(b.title())).then_with(|| a.id.cmp(&b.id))
        });
        whole.into_iter().map(|device| device.hardware_id.to_string()).collect()
    }

    #[test]
    fn pages_are_parts_of_the_whole_order() {
        let mut fleet = fleet(250);
        // Two that are equal, one that is longer by a byte that counts for nothing, two that begin alike.
        for (place, name) in [(11, "a"), (12, "a"), (13, "a\0"), (14, "a name of more than 16 bytes, 2")] {
            fleet.at_mut(place).unwrap().labels.name = Some(name.to_owned());
        }
        fleet.at_mut(15).unwrap().labels.name = Some("a name of more than 16 bytes, 1".to_owned());
        fleet.at_mut(16).unwrap().labels.group = None;
        fleet.at_mut(17).unwrap().alerts.push((Kind::Hot, UnixMs(0)));
        for (place, at) in [(18, 2), (19, 1), (20, -1), (21, i64::MAX - 1)] {
            fleet.at_mut(place).unwrap().seen_at = Some(UnixMs(at));
        }
        let temp = Order::Value(Value::Temp);
        for order in [Order::State, Order::Name, Order::Group, Order::Seen, temp] {
            for descending in [false, true] {
                let query = Query { order, descending, ..Query::default() };
                let paged: Vec<_> =
                    (0..3).flat_map(|page| names(&Query { page, ..query.clone() }, &fleet)).collect();
                assert_eq!(paged, whole(&fleet, order, descending), "{order:?} {descending}");
                if order == temp {
                    assert_eq!(paged.last().unwrap(), "pi0003", "what was not read comes last");
                }
            }
        }
    }

    #[test]
    fn no_page_of_a_large_fleet_compares_whole_titles() {
        let mut fleet = fleet(100_000);
        for place in 0..100_000 {
            let name = format!("a camera of the south field, {place:06}");
            fleet.at_mut(place).unwrap().labels.name = Some(name);
        }
        let temp = Order::Value(Value::Temp);
        for order in [Order::State, Order::Name, Order::Group, Order::Seen, temp] {
            for (page, descending) in [(0, false), (500, true), (999, false)] {
                COMPARED.set(0);
                let query = Query { order, descending, page, ..Query::default() };
                assert_eq!(query.select(&fleet).devices.len(), PAGE_ROWS);
                assert!(COMPARED.get() < 100, "{query:?}: {} comparisons", COMPARED.get());
            }
        }
    }

    #[test]
    fn text_is_found_without_regard_to_case_in_any_script() {
        for (text, part, found) in [
            ("Camera-7", "camera", true),
            ("Camera-7", "-7", true),
            ("Camera-7", "7-", false),
            ("cam", "camera", false),
            ("Größe", "größe", true),
            ("ÄRMEL", "ärm", true),
            ("camera", "ä", false),
            // The sign of the unit is not ASCII, its lower case is.
            ("300 \u{212a}", "k", true),
        ] {
            assert_eq!(contains(text, part), found, "{part:?} in {text:?}");
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
