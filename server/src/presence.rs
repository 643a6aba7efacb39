//! Online, late, offline: from the time of the last live heartbeat, and from nothing else.

use crate::{config::Expect, time::UnixMs};

/// Whether a device is heard.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum Presence {
    Online,
    /// Some heartbeats are missing.
    Late,
    Offline,
}

impl Presence {
    /// The state at `now` of a device that was heard at `seen_at`.
    pub(crate) fn at(now: UnixMs, seen_at: Option<UnixMs>, expect: &Expect) -> Self {
        let Some(seen_at) = seen_at else { return Self::Offline };
        match now.since(seen_at) {
            age if age <= expect.late_after_ms => Self::Online,
            age if age <= expect.offline_after_ms => Self::Late,
            _ => Self::Offline,
        }
    }

    /// The word on pages, in addresses and in the API.
    pub(crate) fn word(self) -> &'static str {
        match self {
            Self::Online => "online",
            Self::Late => "late",
            Self::Offline => "offline",
        }
    }

    /// The state with this word.
    pub(crate) fn from_word(word: &str) -> Option<Self> {
        [Self::Online, Self::Late, Self::Offline].into_iter().find(|presence| presence.word() == word)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_device_is_late_after_three_missed_and_offline_after_90_seconds() {
        let config: crate::config::Config = toml::from_str("").unwrap();
        let expectations = config.expectations();
        let at =
            |age: i64| Presence::at(UnixMs(1_000_000 + age), Some(UnixMs(1_000_000)), expectations.of(None));
        assert_eq!(at(0), Presence::Online);
        assert_eq!(at(15_100), Presence::Online, "the fourth may be on its way");
        assert_eq!(at(17_501), Presence::Late);
        assert_eq!(at(90_000), Presence::Late);
        assert_eq!(at(90_001), Presence::Offline);
        assert_eq!(at(-5000), Presence::Online, "the server's clock was set back");
        assert_eq!(Presence::at(UnixMs(0), None, expectations.of(None)), Presence::Offline);
    }
}
