//! Details of wireless interfaces from the kernel's nl80211 (`linux/nl80211.h`), or in a captured tree in the words of
//! [`iw`].

use heartbeat_core::SensorError;

use super::{
    Source, iw,
    netlink::{NLM_F_DUMP, Netlink, attribute, u32_of},
    network::interfaces::{Interfaces, Kind},
    proc_wireless,
    radio::{Details, Seen, Station},
    scan,
    sysroot::{Answer, Sysroot},
};

const NL80211_CMD_GET_INTERFACE: u8 = 5;
const NL80211_CMD_GET_STATION: u8 = 17;
const NL80211_CMD_GET_SCAN: u8 = 32;
const NL80211_ATTR_IFINDEX: u16 = 3;
const NL80211_ATTR_IFTYPE: u16 = 5;
const NL80211_ATTR_STA_INFO: u16 = 21;
const NL80211_ATTR_SSID: u16 = 52;
const NL80211_STA_INFO_SIGNAL: u16 = 7;
/// `struct nl80211_sta_flag_update`: which flags are known, and which of them are set.
const NL80211_STA_INFO_STA_FLAGS: u16 = 17;
const NL80211_STA_FLAG_AUTHORIZED: u32 = 1;
const NL80211_STA_FLAG_TDLS_PEER: u32 = 6;
/// Longest answer in a captured tree: a thousand stations of a hotspot.
const CAPTURED_MAX: u64 = 1024 * 1024;

impl Seen {
    /// Takes over what one answer about the interface says.
    pub(crate) fn take_interface(&mut self, reply: &[u8]) {
        self.kind = attribute(reply, NL80211_ATTR_IFTYPE).and_then(u32_of);
        self.ssid = attribute(reply, NL80211_ATTR_SSID).unwrap_or_default().to_vec();
    }

    /// Takes over one station: the access point of a client, or a client of a hotspot.
    pub(crate) fn take_station(&mut self, reply: &[u8]) {
        let info = attribute(reply, NL80211_ATTR_STA_INFO);
        let flags = info.and_then(|info| attribute(info, NL80211_STA_INFO_STA_FLAGS));
        let words = flags.and_then(|flags| flags.split_at_checked(4));
        let words = words.and_then(|(known, set)| u32_of(known).zip(u32_of(set)));
        // What is not known of a station does not count against it.
        let says = |flag: u32, expected: u32| {
            words.is_some_and(|(known, set)| (known >> flag) & 1 == 1 && (set >> flag) & 1 == expected)
        };
        if says(NL80211_STA_FLAG_AUTHORIZED, 0) {
            return;
        }
        let signal = match info.and_then(|info| attribute(info, NL80211_STA_INFO_SIGNAL)) {
            Some(&[level]) => Some(level.cast_signed()),
            _ => None,
        };
        let is_direct = says(NL80211_STA_FLAG_TDLS_PEER, 1);
        self.stations.get_or_insert_default().push(Station { signal, is_direct });
    }
}

/// Asks a radio; the kernel's, or a fake.
trait Radio: Send {
    /// Hands the answer about one interface to `take`.
    fn interface(&mut self, index: u32, take: &mut dyn FnMut(&[u8])) -> Result<(), SensorError>;
    /// Hands the answers about its stations to `take`.
    fn stations(&mut self, index: u32, take: &mut dyn FnMut(&[u8])) -> Result<(), SensorError>;
    /// Hands the answers about the networks that it has received to `take`. Does not look for new ones.
    fn networks(&mut self, index: u32, take: &mut dyn FnMut(&[u8])) -> Result<(), SensorError>;
}

/// The running kernel's.
#[derive(Debug, Default)]
struct KernelRadio {
    open: Option<(Netlink, u16)>,
}

impl KernelRadio {
    fn request(
        &mut self,
        command: u8,
        flags: u16,
        index: u32,
        take: &mut dyn FnMut(&[u8]),
    ) -> Result<(), SensorError> {
        let (mut netlink, family) = match self.open.take() {
            Some(open) => open,
            None => {
                let mut netlink = Netlink::generic()?;
                let family = netlink.family("nl80211")?;
                (netlink, family)
            }
        };
        netlink.generic_request(
            family,
            flags,
            command,
            &[(NL80211_ATTR_IFINDEX, &index.to_ne_bytes())],
            take,
        )?;
        // Kept only while it answers: the family's number changes when its module is loaded again.
        self.open = Some((netlink, family));
        Ok(())
    }
}

impl Radio for KernelRadio {
    fn interface(&mut self, index: u32, take: &mut dyn FnMut(&[u8])) -> Result<(), SensorError> {
        self.request(NL80211_CMD_GET_INTERFACE, 0, index, take)
    }

    fn stations(&mut self, index: u32, take: &mut dyn FnMut(&[u8])) -> Result<(), SensorError> {
        self.request(NL80211_CMD_GET_STATION, NLM_F_DUMP, index, take)
    }

    fn networks(&mut self, index: u32, take: &mut dyn FnMut(&[u8])) -> Result<(), SensorError> {
        self.request(NL80211_CMD_GET_SCAN, NLM_F_DUMP, index, take)
    }
}

/// All wireless interfaces.
pub(crate) struct Nl80211 {
    interfaces: Interfaces,
    /// `None` in a captured tree.
    radio: Option<Box<dyn Radio>>,
}

impl Nl80211 {
    /// Asks the kernel's radios, or a captured tree.
    pub(crate) fn new(root: &Sysroot) -> Self {
        let radio = root.is_live().then(|| Box::new(KernelRadio::default()) as _);
        Self { interfaces: Interfaces::default(), radio }
    }
}

impl Source for Nl80211 {
    type Reading = Vec<Details>;

    fn place(&self) -> String {
        "nl80211".to_owned()
    }

    /// The details of every wireless interface that gives some: one radio that answers is an answer.
    fn read(&mut self, root: &Sysroot) -> Result<Vec<Details>, SensorError> {
        let mut all = Vec::new();
        let mut trouble = SensorError::Absent;
        let interfaces = self.interfaces.list(root)?.iter();
        for interface in interfaces.filter(|interface| interface.kind == Kind::Wifi) {
            let name = &interface.name;
            let seen = match &mut self.radio {
                Some(radio) => ask(radio.as_mut(), root, name),
                None => captured(root, name),
            };
            match seen {
                Ok(seen) => {
                    let mut details = Details::new(name, &seen);
                    if details.lacks_level() {
                        // The kernel asks the driver for the one station that it knows to be the access point
                        // (`cfg80211_wireless_stats` in net/wireless/wext-compat.c).
                        details.signal = proc_wireless::level(root, name);
                    }
                    all.push(details);
                }
                Err(error) if trouble == SensorError::Absent => trouble = error,
                Err(_) => {}
            }
        }
        if all.is_empty() { Err(trouble) } else { Ok(all) }
    }
}

/// What a tree has of an interface.
fn captured(root: &Sysroot, name: &str) -> Result<Seen, SensorError> {
    let text = |question: &str| match root.captured_answer(format!("/iw/{name}/{question}"), CAPTURED_MAX) {
        Ok(Answer::Text(text)) => Ok(text),
        Ok(Answer::Complaint(_)) => Err(SensorError::Io),
        Err(error) => Err(error),
    };
    // Without a list of stations the rest is still right.
    Ok(iw::parse(&text("info")?, text("stations").ok().as_deref()))
}

fn ask(radio: &mut dyn Radio, root: &Sysroot, name: &str) -> Result<Seen, SensorError> {
    let index = root.read_integer(format!("/sys/class/net/{name}/ifindex"))?;
    let index = u32::try_from(index).map_err(|_| SensorError::Invalid)?;
    let mut seen = Seen::default();
    let said = radio.interface(index, &mut |reply| seen.take_interface(reply));
    let listed = said.and_then(|()| {
        seen.stations = Some(Vec::new());
        radio.stations(index, &mut |reply| seen.take_station(reply))
    });
    if listed.is_err() {
        // Nor are some of them all.
        seen.stations = None;
    }
    if said.is_ok() && seen.lacks_ssid() {
        // Without an answer the rest is still right.
        let _ = radio.networks(index, &mut |reply| {
            if let Some(ssid) = scan::associated_ssid(reply) {
                seen.ssid = ssid.to_vec();
            }
        });
    }
    let note = |question: &str, said: Result<(), SensorError>, text: fn(&str, &Seen) -> String, rewrite| {
        let answer = said.map(|()| Answer::Text(text(name, &seen).into_bytes()));
        root.note_answer(format!("/iw/{name}/{question}"), rewrite, answer.as_ref().map_err(|error| *error));
    };
    note("info", said, iw::info, Some(iw::rewrite_info));
    note("stations", listed, iw::stations, None);
    said.map(|()| seen)
}

#[cfg(test)]
mod tests;
