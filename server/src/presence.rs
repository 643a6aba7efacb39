//! Online, late, offline: from the time of the last live heartbeat, and from nothing else.

use crate::config::Expect;

/// Whether a device is heard.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum Presence {
    Online,
    /// Some heartbeats are missing.
    Late,
    Offline,
}

impl Presence {
    /// The state of a device after a silence of so many milliseconds. `None`: it was never heard.
    pub(crate) fn after(silence_ms: Option<i64>, expect: &Expect) -> Self {
        match silence_ms {
            Some(age) if age <= expect.late_after_ms => Self::Online,
            Some(age) if age <= expect.offline_after_ms => Self::Late,
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
        let at = |age: i64| Presence::after(Some(age), expectations.of(None));
        assert_eq!(at(0), Presence::Online);
        assert_eq!(at(15_100), Presence::Online, "the fourth may be on its way");
        assert_eq!(at(17_501), Presence::Late);
        assert_eq!(at(90_000), Presence::Late);
        assert_eq!(at(90_001), Presence::Offline);
        assert_eq!(Presence::after(None, expectations.of(None)), Presence::Offline);
    }
}
