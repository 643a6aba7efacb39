use std::string::ToString;

use super::*;
use crate::units::{Celsius, Watts};

#[test]
fn sensor_errors_have_messages() {
    let said = [SensorError::Absent, SensorError::Denied, SensorError::Io, SensorError::Invalid]
        .map(|error| error.to_string());
    assert_eq!(said, ["not present", "permission denied", "reading failed", "not a valid reading"]);
}

#[test]
fn ranges_include_their_ends() {
    let celsius = |raw| Celsius::from_raw(raw).plausible().is_some();
    assert!(celsius(-400) && celsius(1_250) && !celsius(-401) && !celsius(1_251));
    let watts = |raw| Watts::from_raw(raw).plausible().is_some();
    assert!(watts(-100_000) && watts(100_000) && !watts(-100_001) && !watts(100_001));
    let metres = |raw| Metres::from_raw(raw).plausible().is_some();
    assert!(metres(-10_000) && metres(1_000_000) && !metres(-10_001) && !metres(1_000_001));
    assert_eq!(SignalPercent(101).plausible(), None);
    assert_eq!(Memory { total: 1, available: 2 }.plausible(), None);
    assert_eq!(Memory { total: 0, available: 0 }.plausible(), None);
    assert_eq!(DiskSpace { total: 1, used: 2, available: 0 }.plausible(), None);
    assert_eq!(DiskSpace { total: 0, used: 0, available: 0 }.plausible(), None);
    let full = DiskSpace { total: 1, used: 1, available: 0 };
    assert_eq!(full.plausible(), Some(full), "a full disk is plausible");
    assert_eq!(Text::<8>::new("").plausible(), None);
}

#[test]
fn a_level_that_no_receiver_measures_takes_its_percentage_along() {
    for (level, expected) in [(-128, false), (-121, false), (-120, true), (-1, true), (0, false), (60, false)]
    {
        let wifi = Wifi {
            interface: "wlan0".into(),
            ip: None,
            mode: None,
            ssid: None,
            signal_dbm: Some(Dbm(level)),
            signal_percent: Some(SignalPercent(69)),
            clients: None,
        };
        let wifi = wifi.plausible().expect("an interface");
        assert_eq!(wifi.signal_dbm.is_some(), expected, "{level}");
        assert_eq!(wifi.signal_percent.is_some(), expected, "{level}");
    }
    let percent_alone = |percent| {
        let wifi = Wifi {
            interface: "wlan0".into(),
            ip: None,
            mode: None,
            ssid: None,
            signal_dbm: None,
            signal_percent: Some(SignalPercent(percent)),
            clients: None,
        };
        wifi.plausible().and_then(|wifi| wifi.signal_percent)
    };
    assert_eq!((percent_alone(100), percent_alone(101)), (Some(SignalPercent(100)), None));
}

#[test]
fn an_implausible_part_of_the_system_is_an_error_of_its_own() {
    let system = |load, swap| {
        let system = System {
            load: Ok(Load::from_raw(load)),
            swap: Ok(Percent::from_raw(swap)),
            root_read_only: Ok(true),
        };
        let plausible = system.plausible().expect("its other parts");
        assert_eq!(plausible.root_read_only, Ok(true));
        (plausible.load.map(Load::raw), plausible.swap.map(Percent::raw))
    };
    let invalid = Err(SensorError::Invalid);
    assert_eq!(system(10_000_000, 1_000), (Ok(10_000_000), Ok(1_000)));
    assert_eq!(system(10_000_001, 0), (invalid, Ok(0)));
    assert_eq!(system(-1, -1), (invalid, invalid));
    assert_eq!(system(0, 1_001), (Ok(0), invalid));
}

#[test]
fn heading_of_a_full_turn_is_north() {
    let heading = |raw| Heading::from_raw(raw).plausible().map(Heading::raw);
    assert_eq!([0, 3_599, 3_600, 3_601, -1].map(heading), [Some(0), Some(3_599), Some(0), None, None]);
}

#[test]
fn positions_include_the_poles_and_the_date_line() {
    for (latitude, longitude, expected) in [
        (900_000_000, 1_800_000_000, true),
        (-900_000_000, -1_800_000_000, true),
        (-900_000_001, 0, false),
        (0, -1_800_000_001, false),
    ] {
        let position = Position {
            fix: Fix::TwoD,
            latitude: Some(Degrees::from_raw(latitude)),
            longitude: Some(Degrees::from_raw(longitude)),
            altitude_m: None,
            speed_mps: None,
            heading: None,
            satellites: None,
        };
        let plausible = position.plausible().and_then(|position| position.latitude);
        assert_eq!(plausible.is_some(), expected, "{latitude}, {longitude}");
    }
}

#[test]
fn without_a_place_there_is_no_fix() {
    let position = |latitude, longitude| Position {
        fix: Fix::ThreeD,
        latitude,
        longitude,
        altitude_m: Some(Metres::from_raw(400)),
        speed_mps: Some(MetresPerSecond::from_raw(100)),
        heading: Some(Heading::from_raw(90)),
        satellites: Some(7),
    };
    let none =
        Position { fix: Fix::None, altitude_m: None, speed_mps: None, heading: None, ..position(None, None) };
    let [north, east] = [915_000_000, 110_000_000].map(|raw| Some(Degrees::from_raw(raw)));
    for (latitude, longitude) in [(north, east), (None, None), (east, None), (None, east)] {
        assert_eq!(position(latitude, longitude).plausible(), Some(none.clone()));
    }
    let whole = position(east, east);
    assert_eq!(whole.clone().plausible(), Some(whole));
}
