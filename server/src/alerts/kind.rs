//! What can be wrong with a device.

/// A kind of alert.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum Kind {
    Offline,
    Hot,
    UnderVoltage,
    Disk,
    ReadOnly,
    Recording,
    Clock,
    /// The version of the application has changed. Told once, and never lasts.
    Version,
}

impl Kind {
    /// All that last.
    pub(crate) const LASTING: [Self; 7] = [
        Self::Offline,
        Self::Hot,
        Self::UnderVoltage,
        Self::Disk,
        Self::ReadOnly,
        Self::Recording,
        Self::Clock,
    ];

    /// The word in the database, in the API and in messages for programs.
    pub(crate) fn word(self) -> &'static str {
        match self {
            Self::Offline => "offline",
            Self::Hot => "hot",
            Self::UnderVoltage => "under_voltage",
            Self::Disk => "disk_full",
            Self::ReadOnly => "read_only",
            Self::Recording => "not_recording",
            Self::Clock => "clock",
            Self::Version => "version",
        }
    }

    /// The kind with this word.
    pub(crate) fn from_word(word: &str) -> Option<Self> {
        Self::LASTING.into_iter().chain([Self::Version]).find(|kind| kind.word() == word)
    }

    /// For people, after the name of a device and "is" or "has".
    pub(crate) fn label(self) -> &'static str {
        match self {
            Self::Offline => "offline",
            Self::Hot => "hot",
            Self::UnderVoltage => "under-voltage",
            Self::Disk => "disk nearly full",
            Self::ReadOnly => "filesystem read-only",
            Self::Recording => "not recording",
            Self::Clock => "clock wrong",
            Self::Version => "version changed",
        }
    }

    /// For people, when it is over.
    pub(crate) fn over(self) -> &'static str {
        match self {
            Self::Offline => "back",
            Self::Hot => "cool again",
            Self::UnderVoltage => "supply good again",
            Self::Disk => "disk has room again",
            Self::ReadOnly => "filesystem writable again",
            Self::Recording => "recording again",
            Self::Clock => "clock right again",
            Self::Version => "version changed",
        }
    }
}
