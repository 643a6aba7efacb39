//! The engine while the calendar is set.

use super::{
    tests::{CHANNEL, Rig, T0, document},
    *,
};
use crate::{
    clock::Correction,
    store::{database::Database, tests::both},
};

both!(
    a_step_of_the_servers_clock_raises_no_alert,
    a_start_in_1970_shows_and_raises_what_is_so,
    an_offline_alert_lasts_since_the_device_was_heard_last,
);

fn a_step_of_the_servers_clock_raises_no_alert(database: &Database) {
    for (name, step) in [("forward", 86_400_000), ("back", -6 * 3_600_000)] {
        let mut rig = Rig::new(database, CHANNEL);
        let begun = T0.plus(if step > 0 { 0 } else { 10 * 86_400_000 });
        rig.restart(begun);
        let mut offset = 0;
        let mut messages = 0;
        for second in 0..300 {
            let up = begun.plus(second * 1000);
            if second == 100 {
                let step = Correction { ms: step, began: begun, set: up };
                offset = step.ms;
                rig.engine.calendar_set(Now { at: up.plus(offset), up: Uptime(up.0) }, step);
                let device = rig.device(name);
                let seen_at = device.seen_at.unwrap();
                assert_eq!(up.plus(offset).since(seen_at), 5000, "shown as it was");
            }
            let now = Now { at: up.plus(offset), up: Uptime(up.0) };
            if second % 5 == 0 && second != 100 {
                let number = u64::try_from(second).unwrap() / 5 + 1;
                rig.commit(now, &[document(name, number, now.at)]);
            }
            rig.engine.tick(now).unwrap();
            assert_eq!(rig.device(name).presence, Presence::Online, "{name}, {second} s");
            let silence = rig.device(name).silence(now).unwrap();
            assert!((0..10_000).contains(&silence), "{name}, {second} s: {silence} ms");
            messages += rig.messages.try_iter().filter(|message| message.subject.contains(name)).count();
        }
        assert_eq!(messages, 0, "{name}");
    }
}

fn a_start_in_1970_shows_and_raises_what_is_so(database: &Database) {
    let mut rig = Rig::new(database, CHANNEL);
    rig.commit(T0, &[document("pi1", 1, T0), document("pi2", 1, T0)]);
    drop(rig);
    let mut rig = Rig::begun(database, CHANNEL, UnixMs(0).into());
    rig.restart(UnixMs(20_000));
    let set = 120;
    let mut told = Vec::new();
    for second in 20..400i64 {
        let up = Uptime(second * 1000);
        let at = if second < set { UnixMs(up.0) } else { T0.plus(86_400_000 + up.0) };
        let now = Now { at, up };
        if second == set {
            let step = Correction { ms: T0.0 + 86_400_000, began: UnixMs(20_000), set: UnixMs(up.0) };
            rig.engine.calendar_set(now, step);
            assert_eq!(rig.device("pi2").seen_at, Some(T0), "what the database knew stays");
            assert_eq!(rig.device("pi1").seen_at, Some(now.at.plus(-5000)));
        }
        if second % 5 == 0 && second != set {
            rig.commit(
                now,
                &[document("pi1", u64::try_from(second).unwrap() + 1, T0.plus(86_400_000 + up.0))],
            );
        }
        rig.engine.tick(now).unwrap();
        for message in rig.messages.try_iter() {
            rig.engine.attempted(message.id, Attempt::Delivered);
            told.push((second, message.subject));
        }
        for device in ["pi1", "pi2"] {
            assert!(rig.device(device).silence(now).unwrap() >= 0);
        }
    }
    let subjects: Vec<_> = told.iter().map(|(_, subject)| subject.as_str()).collect();
    assert_eq!(subjects, ["pi2: offline"], "after 90 s without a heartbeat: {told:?}");
    let events = rig.reader().events(Some(rig.device("pi2").id), 9).unwrap();
    let offline = events.iter().find(|event| event.kind == "offline").unwrap();
    assert!(offline.detail.contains("last heard 2023-11-14"), "{}", offline.detail);
}

fn an_offline_alert_lasts_since_the_device_was_heard_last(database: &Database) {
    let mut rig = Rig::new(database, CHANNEL);
    rig.commit(T0.plus(50_000), &[document("pi1", 1, T0)]);
    rig.pass(T0.plus(50_000), 120, |_, _| ());
    assert_eq!(rig.device("pi1").alerts, [(Kind::Offline, T0.plus(50_000))]);
}
