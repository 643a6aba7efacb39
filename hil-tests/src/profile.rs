//! What a board must have: the checks that must not be skipped on it.

/// A board.
#[derive(Debug, Clone, Copy)]
pub struct Profile {
    /// Its name on the command line.
    pub name: &'static str,
    /// What its model must contain.
    model: &'static str,
    /// The checks that must run besides those of [`EVERYWHERE`].
    checks: &'static [&'static str],
}

/// What every machine has that runs the service.
const EVERYWHERE: &[&str] = &[
    "document",
    "memory",
    "disk",
    "network",
    "activity",
    "uptime",
    "clock",
    "service.state",
    "service.sandbox",
    "service.configuration",
    "service.delivery",
    "service.values",
    "service.activity",
    "service.kill",
    "service.freeze",
    "service.outage",
    "service.budget",
    "service.restored",
];

/// What every Raspberry Pi has besides. An emulated processor is as busy as its host, so that `cpu` may be skipped there.
const PI: &[&str] = &["cpu", "identity", "temperature", "throttled"];
/// The Pi 5's PMIC measures its rails.
const PI5: &[&str] = &["cpu", "identity", "temperature", "throttled", "power"];
/// A mainline kernel under QEMU has no firmware that answers.
const EMULATED_PI: &[&str] = &["identity", "temperature"];
/// What `hil-tests/emulated-board` gives its guest; its clock may be set.
const EMULATED_BOARD: &[&str] = &["power", "supply", "wifi", "4g", "gps", "service.clock-step"];

/// The boards that are known.
pub const PROFILES: &[Profile] = &[
    Profile { name: "pi-zero", model: "Raspberry Pi Zero", checks: PI },
    Profile { name: "pi3", model: "Raspberry Pi 3", checks: PI },
    Profile { name: "pi4", model: "Raspberry Pi 4", checks: PI },
    Profile { name: "pi5", model: "Raspberry Pi 5", checks: PI5 },
    Profile { name: "emulated-pi", model: "Raspberry Pi", checks: EMULATED_PI },
    Profile { name: "emulated-board", model: "Emulated board", checks: EMULATED_BOARD },
];

/// The firmware of a Pi must have been asked by its own program, too.
const WITNESSES: &[(&str, &str)] = &[("temperature", "vcgencmd"), ("throttled", "vcgencmd")];

impl Profile {
    /// The board of this name.
    pub fn named(name: &str) -> Option<&'static Self> {
        PROFILES.iter().find(|profile| profile.name == name)
    }

    /// Whether a machine that calls itself `model` may be this board.
    pub fn fits(&self, model: Option<&str>) -> bool {
        model.unwrap_or_default().contains(self.model)
    }

    /// Whether it is a board under QEMU.
    pub fn is_emulated(&self) -> bool {
        self.name.starts_with("emulated-")
    }

    /// The witness that must have been heard by a check.
    pub fn witness_of(&self, check: &str) -> Option<&'static str> {
        let witness = WITNESSES.iter().find(|(of, _)| *of == check).map(|(_, witness)| *witness);
        witness.filter(|_| !self.is_emulated())
    }

    /// Whether the check must not be skipped.
    pub fn requires(&self, check: &str) -> bool {
        EVERYWHERE.contains(&check) || self.checks.contains(&check)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::checks::CHECKS;

    #[test]
    fn requires_only_checks_that_exist() {
        let known = |name: &&str| CHECKS.iter().any(|check| check.name == *name);
        for profile in PROFILES {
            assert!(EVERYWHERE.iter().chain(profile.checks).all(known), "{}", profile.name);
        }
        assert!(WITNESSES.iter().all(|(check, _)| known(check)));
    }

    #[test]
    fn another_board_does_not_fit() {
        let pi4 = Profile::named("pi4").expect("known");
        assert!(pi4.fits(Some("Raspberry Pi 4 Model B Rev 1.4")));
        assert!(!pi4.fits(Some("Raspberry Pi 5 Model B Rev 1.0")) && !pi4.fits(None));
        assert!(pi4.requires("throttled") && !pi4.requires("power") && pi4.requires("service.kill"));
        assert!(Profile::named("pi6").is_none());
        assert_eq!(pi4.witness_of("temperature"), Some("vcgencmd"));
        let emulated = Profile::named("emulated-pi").expect("known");
        assert_eq!((pi4.witness_of("memory"), emulated.witness_of("temperature")), (None, None));
        let emulated = |name| Profile::named(name).expect("known").is_emulated();
        assert!(emulated("emulated-pi") && emulated("emulated-board") && !emulated("pi4"));
    }
}
