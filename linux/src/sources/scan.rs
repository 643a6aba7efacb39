//! The list of networks that a radio has received (`NL80211_CMD_GET_SCAN`), for the name of the one that it is associated with.

use super::netlink::{attribute, u32_of};

const NL80211_ATTR_BSS: u16 = 47;
const NL80211_BSS_INFORMATION_ELEMENTS: u16 = 6;
const NL80211_BSS_STATUS: u16 = 9;
const NL80211_BSS_BEACON_IES: u16 = 11;
const NL80211_BSS_STATUS_ASSOCIATED: u32 = 1;
/// The element with a network's name (IEEE 802.11-2020, table 9-92).
const ELEMENT_SSID: u8 = 0;

/// The name of the network of one answer, if the interface is associated with it; `None` if it is not, or if the name is
/// hidden.
pub(crate) fn associated_ssid(reply: &[u8]) -> Option<&[u8]> {
    let network = attribute(reply, NL80211_ATTR_BSS)?;
    if attribute(network, NL80211_BSS_STATUS).and_then(u32_of)? != NL80211_BSS_STATUS_ASSOCIATED {
        return None;
    }
    // The beacon of a hidden network has an empty name, or zeros in its place; the answer to a probe has the name.
    [NL80211_BSS_INFORMATION_ELEMENTS, NL80211_BSS_BEACON_IES]
        .into_iter()
        .filter_map(|kind| element(attribute(network, kind)?, ELEMENT_SSID))
        .find(|name| name.iter().any(|byte| *byte != 0))
}

/// The first element of this kind in a frame: a byte for its kind, one for its length, and its content (IEEE 802.11-2020,
/// 9.4.2.1).
fn element(mut frame: &[u8], wanted: u8) -> Option<&[u8]> {
    while let [kind, length, rest @ ..] = frame {
        let (content, next) = rest.split_at_checked(usize::from(*length))?;
        if *kind == wanted {
            return Some(content);
        }
        frame = next;
    }
    None
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use proptest::prelude::*;

    fn attr(kind: u16, value: &[u8]) -> Vec<u8> {
        let len = u16::try_from(value.len() + 4).expect("short");
        let mut bytes = [&len.to_ne_bytes()[..], &kind.to_ne_bytes(), value].concat();
        bytes.resize(bytes.len().next_multiple_of(4), 0);
        bytes
    }

    /// An answer about a network with this status, and a name in the answer to a probe and in the beacon.
    pub(in super::super) fn network(status: u32, answer: &[u8], beacon: &[u8]) -> Vec<u8> {
        // The rates, then the name.
        let elements = |name: &[u8]| {
            let length = u8::try_from(name.len()).expect("short");
            [&[1, 2, 0x82, 0x84, ELEMENT_SSID, length], name].concat()
        };
        let members = [
            attr(NL80211_BSS_STATUS, &status.to_ne_bytes()),
            attr(NL80211_BSS_INFORMATION_ELEMENTS, &elements(answer)),
            attr(NL80211_BSS_BEACON_IES, &elements(beacon)),
        ];
        attr(NL80211_ATTR_BSS, &members.concat())
    }

    #[test]
    fn the_name_is_that_of_the_associated_network() {
        assert_eq!(associated_ssid(&network(1, b"home", b"")), Some(&b"home"[..]));
        assert_eq!(associated_ssid(&network(0, b"authenticated", b"")), None);
        let without_status =
            attr(NL80211_ATTR_BSS, &attr(NL80211_BSS_INFORMATION_ELEMENTS, &[ELEMENT_SSID, 1, b'x']));
        assert_eq!(associated_ssid(&without_status), None, "it was received, no more");
    }

    #[test]
    fn a_hidden_name_is_taken_from_the_other_frame() {
        assert_eq!(associated_ssid(&network(1, &[0; 6], b"beacon")), Some(&b"beacon"[..]));
        assert_eq!(associated_ssid(&network(1, b"answer", &[0; 6])), Some(&b"answer"[..]));
        assert_eq!(associated_ssid(&network(1, &[0; 6], b"")), None);
    }

    #[test]
    fn an_element_that_was_cut_is_none() {
        assert_eq!(element(&[0, 5, b'x'], ELEMENT_SSID), None);
        assert_eq!(element(&[1, 0, 0, 1, b'x'], ELEMENT_SSID), Some(&b"x"[..]));
    }

    proptest! {
        #[test]
        fn any_bytes_are_survived(bytes: Vec<u8>) {
            let _ = (associated_ssid(&bytes), element(&bytes, ELEMENT_SSID));
            let _ = associated_ssid(&attr(NL80211_ATTR_BSS, &bytes));
        }
    }
}
