//! Tests of gpsd's reports.

use super::*;
use heartbeat_core::units::{Degrees, Heading, Metres, MetresPerSecond};
use proptest::prelude::*;

fn at(secs: u64) -> Instant {
    Instant::from_millis(secs * 1_000)
}

fn poll(line: &str) -> Poll {
    Poll::parse(line).expect("an answer")
}

fn best(line: &str) -> Option<Position> {
    Receivers::default().best(&poll(line), at(0))
}

#[test]
fn reads_a_fix_in_three_dimensions() {
    let position = best(
        r#"{"class":"POLL","time":"2026-11-01T12:00:00.000Z","active":1,"tpv":[{"class":"TPV","device":"/dev/ttyACM0",
        "mode":3,"time":"2026-11-01T11:59:59.000Z","lat":52.123456789,"lon":-0.0000045,"altMSL":34.21,"speed":1.054,
        "track":359.94}],"gst":[],"sky":[{"class":"SKY","uSat":9,"satellites":[]}]}"#,
    )
    .expect("a position");
    assert_eq!(position.fix, Fix::ThreeD);
    assert_eq!(position.latitude, Some(Degrees::from_raw(521_234_568)));
    assert_eq!(position.longitude, Some(Degrees::from_raw(-45)));
    assert_eq!(position.altitude_m, Some(Metres::from_raw(342)));
    assert_eq!(position.speed_mps, Some(MetresPerSecond::from_raw(105)));
    assert_eq!(position.heading, Some(Heading::from_raw(3599)));
    assert_eq!(position.satellites, Some(9));
}

#[test]
fn has_no_position_without_a_fix_and_none_at_all_without_a_receiver() {
    let without_fix = best(r#"{"class":"POLL","active":1,"tpv":[{"mode":1,"lat":1.0}],"sky":[{"uSat":0}]}"#);
    assert_eq!(without_fix, Some(position(Fix::None, [None; 5], Some(0))));
    let silent = best(r#"{"class":"POLL","active":1,"tpv":[],"sky":[]}"#);
    assert_eq!(silent, Some(position(Fix::None, [None; 5], None)));
    assert_eq!(best(r#"{"class":"POLL","active":0,"tpv":[],"sky":[]}"#), None);
    for bad in ["", "{}", "[]", r#"{"class":"TPV","mode":3}"#, r#"{"class":"POLL""#] {
        assert_eq!(Poll::parse(bad), Err(SensorError::Invalid), "{bad}");
    }
}

#[test]
fn of_several_receivers_the_one_that_knows_most_counts() {
    let of = |first: (i64, u64), second: (i64, u64)| {
        best(&format!(
            r#"{{"class":"POLL","active":2,"tpv":[{{"device":"a","mode":{},"lat":1.0,"lon":1.0}},
            {{"device":"b","mode":{},"lat":2.0,"lon":2.0}}],"sky":[{{"device":"b","uSat":{}}},
            {{"device":"a","uSat":{}}}]}}"#,
            first.0, second.0, second.1, first.1
        ))
        .map(|position| (position.fix, position.satellites))
    };
    assert_eq!(of((1, 3), (3, 5)), Some((Fix::ThreeD, Some(5))));
    assert_eq!(of((2, 7), (3, 5)), Some((Fix::ThreeD, Some(5))));
    assert_eq!(of((3, 7), (3, 5)), Some((Fix::ThreeD, Some(7))));
    assert_eq!(of((1, 0), (1, 4)), Some((Fix::None, Some(4))));
}

fn silent(clock: &str, receiver: &str) -> Poll {
    poll(&format!(
        r#"{{"class":"POLL","time":"{clock}","active":1,"tpv":[{{"device":"a","mode":3,"time":"{receiver}","lat":1.0,
        "lon":1.0}}],"sky":[{{"device":"a","uSat":5}}]}}"#
    ))
}

#[test]
fn the_position_of_a_receiver_that_fell_silent_is_none() {
    let mut receivers = Receivers::default();
    let mut fix = |clock: &str, receiver: &str, secs| {
        let position = receivers.best(&silent(clock, receiver), at(secs)).expect("a receiver");
        assert_eq!(position.satellites.is_some(), position.fix != Fix::None);
        position.fix
    };
    assert_eq!(fix("2026-11-26T01:33:10.5Z", "2026-11-26T01:32:10.0Z", 0), Fix::None, "a minute old");
    // This machine's clock is an hour ahead: the receiver's own shows that it goes on.
    assert_eq!(fix("2026-11-26T02:32:16.0Z", "2026-11-26T01:32:15.0Z", 5), Fix::ThreeD);
    assert_eq!(fix("2026-11-26T02:32:30.0Z", "2026-11-26T01:32:15.0Z", 19), Fix::ThreeD);
    assert_eq!(fix("2026-11-26T02:32:31.0Z", "2026-11-26T01:32:15.0Z", 20), Fix::None, "three intervals");
    // It is behind: only the receiver's own clock tells.
    let mut receivers = Receivers::default();
    let behind = silent("1970-01-01T00:00:09Z", "2026-11-26T01:32:15.0Z");
    assert_eq!(receivers.best(&behind, at(0)).map(|position| position.fix), Some(Fix::ThreeD));
    assert_eq!(receivers.best(&behind, at(14)).map(|position| position.fix), Some(Fix::ThreeD));
    assert_eq!(receivers.best(&behind, at(15)).map(|position| position.fix), Some(Fix::None));
}

/// A receiver that sends GGA only: gpsd does not know the date, and gives no time.
#[test]
fn a_receiver_without_a_clock_is_silent_when_its_report_stands_still() {
    let report = |latitude: f64| {
        poll(&format!(
            r#"{{"class":"POLL","time":"2026-11-26T01:33:10Z","active":1,"tpv":[{{"device":"a","mode":3,
            "lat":{latitude},"lon":11.0}}],"sky":[]}}"#
        ))
    };
    let mut receivers = Receivers::default();
    let mut fix = |latitude, secs| receivers.best(&report(latitude), at(secs)).map(|position| position.fix);
    assert_eq!(fix(48.000_01, 0), Some(Fix::ThreeD));
    assert_eq!(fix(48.000_01, 14), Some(Fix::ThreeD));
    assert_eq!(fix(48.000_01, 15), Some(Fix::None));
    assert_eq!(fix(48.000_02, 20), Some(Fix::ThreeD), "it goes on");
    assert_eq!(fix(48.000_02, 3_620), Some(Fix::None));
}

/// The receiver of a SIM5360 since November 2019 (openvehicles/Open-Vehicle-Monitoring-System-3, issue 284).
#[test]
fn a_receiver_whose_weeks_have_rolled_over_has_a_fix() {
    let fix = |receiver: &str| {
        let poll = silent("2019-11-06T20:28:30.0Z", receiver);
        Receivers::default().best(&poll, at(0)).map(|position| position.fix)
    };
    assert_eq!(fix("2000-03-22T20:28:27.0Z"), Some(Fix::ThreeD));
    assert_eq!(fix("1980-08-06T20:28:27.0Z"), Some(Fix::ThreeD), "twice");
    assert_eq!(fix("2000-03-22T20:28:07.0Z"), Some(Fix::None), "silent besides");
    assert_eq!(fix("2000-03-22T20:28:37.0Z"), Some(Fix::ThreeD), "this machine's clock is behind");
    assert_eq!(fix("2000-03-22T20:28:57.0Z"), Some(Fix::None), "by too much to tell");
}

/// The kernel gives the lowest number that is free, and the old one is while gpsd still has it open (`cdc_acm`'s `acm_minors`).
#[test]
fn a_receiver_that_comes_back_as_another_device_has_a_fix_at_once() {
    let of = |devices: &str| {
        poll(&format!(r#"{{"class":"POLL","time":"2026-11-26T02:00:00Z","active":1,"tpv":[{devices}]}}"#))
    };
    let tpv = |device: &str, time: &str| {
        format!(r#"{{"device":"{device}","mode":3,"time":"2026-11-26T{time}Z","lat":1.0,"lon":1.0}}"#)
    };
    let mut receivers = Receivers::default();
    let mut fix = |devices: &str, secs| receivers.best(&of(devices), at(secs)).map(|position| position.fix);
    let old = tpv("/dev/ttyACM0", "02:00:00");
    assert_eq!(fix(&old, 0), Some(Fix::ThreeD));
    assert_eq!(fix(&old, 20), Some(Fix::None), "it was pulled out");
    assert_eq!(fix(&format!("{old},{}", tpv("/dev/ttyACM1", "02:00:00")), 25), Some(Fix::ThreeD));
    assert_eq!(fix(&tpv("/dev/ttyACM1", "02:00:00"), 30), Some(Fix::ThreeD));
}

#[test]
fn a_receiver_that_is_silent_leaves_the_other_alone() {
    let position = best(
        r#"{"class":"POLL","time":"2026-11-26T01:33:10.5Z","active":2,"tpv":[
        {"device":"a","mode":3,"time":"2026-11-26T01:00:00Z","lat":1.0,"lon":1.0},
        {"device":"b","mode":2,"time":"2026-11-26T01:33:10Z","lat":2.0,"lon":2.0}],"sky":[]}"#,
    );
    assert_eq!(position.map(|position| position.fix), Some(Fix::TwoD));
}

#[test]
fn a_fix_that_is_made_up_or_has_no_place_is_none() {
    let fix = |rest: &str| {
        let line = format!(
            r#"{{"class":"POLL","active":1,"tpv":[{{"mode":3{rest}}}],"sky":[{{"uSat":0,"satellites":[]}}]}}"#
        );
        best(&line).map(|position| (position.fix, position.satellites))
    };
    let place = r#","lat":52.5,"lon":13.4"#;
    assert_eq!(fix(place), Some((Fix::ThreeD, None)), "no satellites cannot have made it");
    assert_eq!(fix(&format!(r#"{place},"status":2"#)), Some((Fix::ThreeD, None)));
    let none = Some((Fix::None, Some(0)));
    assert_eq!(fix(&format!(r#"{place},"status":8"#)), none);
    for rest in ["", r#","lat":52.5"#, r#","lon":13.4"#, r#","lat":0.0,"lon":-0.0"#] {
        assert_eq!(fix(rest), none, "{rest}");
    }
    assert_eq!(fix(r#","lat":0.0,"lon":13.4"#), Some((Fix::ThreeD, None)), "on the equator");
}

#[test]
fn reads_the_answers_of_older_versions() {
    // gpsd_json(5) of gpsd 3.9: no uSat; alt for altMSL.
    let old = best(
        r#"{"class":"POLL","time":"2010-06-04T10:31:00.289Z","active":1,"tpv":[{"class":"TPV","device":"/dev/ttyUSB0",
        "time":"2010-09-08T13:33:06.095Z","ept":0.005,"lat":40.035093060,"lon":-75.519748733,"alt":12.5,"track":99.4319,
        "speed":0.123,"mode":3}],"sky":[{"class":"SKY","device":"/dev/ttyUSB0","hdop":9.20,"satellites":[
        {"PRN":16,"el":55,"az":42,"ss":36,"used":true},{"PRN":19,"el":25,"az":177,"ss":0,"used":false},
        {"PRN":7,"el":13,"az":295,"ss":0,"used":true}]}]}"#,
    )
    .expect("a position");
    assert_eq!((old.fix, old.satellites), (Fix::ThreeD, Some(2)));
    assert_eq!(old.altitude_m, Some(Metres::from_raw(125)));
    // The manual of gpsd 2.95: other names, a time that is a number.
    let older = best(
        r#"{"class":"POLL","timestamp":1270517274.846,"active":1,"fixes":[{"class":"TPV","tag":"MID41",
        "device":"/dev/ttyUSB0","time":1270517264.240,"lat":40.035093060,"lon":-75.519748733,"mode":2}],
        "skyviews":[{"class":"SKY","device":"/dev/ttyUSB0","satellites":[{"PRN":16,"used":true}]}]}"#,
    )
    .expect("a position");
    assert_eq!((older.fix, older.satellites), (Fix::TwoD, Some(1)));
}

#[test]
fn the_stand_in_of_a_position_is_another_place_with_the_same_fix() {
    let original = silent("2026-11-26T01:33:10.5Z", "2026-11-26T01:33:10Z");
    let mut names = StandIns::new(std::path::Path::new("/tmp"));
    let rewritten = Poll::rewrite(&original.to_line(), &mut names);
    let rewritten = poll(&String::from_utf8_lossy(&rewritten));
    assert_eq!((rewritten.tpv[0].lat, rewritten.tpv[0].lon), (Some(51.4778), Some(-0.0014)));
    assert_eq!((rewritten.tpv[0].mode, rewritten.tpv[0].time.clone()), (3, original.tpv[0].time.clone()));
    assert_eq!(Poll::rewrite(b"lat 52.5", &mut names), b"", "of what cannot be read nothing is given away");
}

proptest! {
    #[test]
    fn any_text_is_survived(text: String, json in "\\{\"(class|tpv|active)\":[\\[\\{\"0-9a-zN.,:\\}\\]-]{0,40}\\}") {
        for text in [text, json] {
            if let Ok(poll) = Poll::parse(&text) {
                let _ = Receivers::default().best(&poll, at(0));
                prop_assert_eq!(Poll::parse(&String::from_utf8_lossy(&poll.to_line())), Ok(poll));
            }
        }
    }
}
