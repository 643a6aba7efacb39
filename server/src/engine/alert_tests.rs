//! The engine and what people are told.

use super::{
    tests::{CHANNEL, Rig, T0, document},
    *,
};
use crate::store::{database::Database, tests::both};

both!(what_people_were_told_last_is_so, silence_counts_anew_after_a_pause_of_the_engine,);

/// A device goes and comes back several times between two messages.
fn what_people_were_told_last_is_so(database: &Database) {
    let quick = "[expect]\noffline_after_s = 20\nback_after_s = 0\n[alerts]\npause_s = 600\n";
    let mut rig = Rig::new(database, &format!("{quick}{CHANNEL}"));
    let told = |rig: &mut Rig, name: &str, begun: UnixMs, beats: &dyn Fn(i64) -> bool| -> Vec<String> {
        let messages = rig.pass(begun, 2000, |rig, now| {
            let second = now.since(begun) / 1000;
            let number = u64::try_from(now.since(T0) / 5000).unwrap() + 1;
            if second % 5 == 0 && beats(second) {
                rig.commit(now, &[document(name, number, now)]);
            }
            if second % 5 == 0 && name != "pi1" {
                rig.commit(now, &[document("pi1", number, now)]);
            }
        });
        messages.into_iter().map(|message| message.subject).collect()
    };
    // Told that it has gone; then it comes and goes and comes, within ten minutes, and stays.
    let back = |second: i64| !(100..200).contains(&second) && !(300..400).contains(&second);
    assert_eq!(told(&mut rig, "pi1", T0, &back), ["pi1: offline", "pi1: back"]);
    // It comes and goes again, and stays away: people know that already.
    let gone = |second: i64| second < 100 || (200..300).contains(&second);
    let begun = T0.plus(3_600_000);
    assert_eq!(told(&mut rig, "pi2", begun, &gone), ["pi2: offline"]);
    assert_eq!(rig.device("pi2").alerts.len(), 1);
    let events: Vec<_> = rig.events("pi2").into_iter().filter(|kind| kind.starts_with("offline")).collect();
    assert_eq!(events, ["offline", "offline_over", "offline"], "the history has all of it");
}

/// A disk that hangs gives no error, and a machine that is suspended none either.
fn silence_counts_anew_after_a_pause_of_the_engine(database: &Database) {
    let mut rig = Rig::new(database, CHANNEL);
    let beat = |rig: &mut Rig, name: &str, now: UnixMs| {
        let number = u64::try_from(now.since(T0) / 1000).unwrap() + 1;
        rig.commit(now, &[document(name, number, now)]);
    };
    let told = rig.pass(T0, 100, |rig, now| {
        for name in ["back", "gone"] {
            beat(rig, name, now);
        }
    });
    assert_eq!(told, []);
    // Five minutes later. A device that was refused meanwhile comes back as late as the server told it.
    let begun = T0.plus(400_000);
    let told = rig.pass(begun, 300, |rig, now| {
        if now.since(begun) >= 65_000 {
            beat(rig, "back", now);
        }
    });
    let told: Vec<_> = told.iter().map(|message| message.subject.as_str()).collect();
    assert_eq!(told, ["gone: offline"]);
}

#[test]
fn an_engine_that_hangs_is_seen() {
    let directory = tempfile::tempdir().unwrap();
    let mut rig = Rig::new(&crate::store::tests::file(&directory), "");
    rig.engine.tick(T0.into()).unwrap();
    let fleet = rig.engine.fleet();
    let at = |ms: i64| read(&fleet).not_storing(Uptime(T0.0 + ms)).map(str::to_owned);
    assert_eq!(at(9_000), None);
    assert_eq!(at(11_000).as_deref(), Some("the database does not answer"));
    rig.commit(T0.plus(30_000), &[document("pi1", 1, T0)]);
    assert_eq!(at(31_000), None);
}
