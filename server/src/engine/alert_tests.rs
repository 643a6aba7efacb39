//! The engine and what people are told.

use super::{
    tests::{CHANNEL, Rig, T0, document},
    *,
};
use crate::store::{database::Database, tests::both};

both!(what_people_were_told_last_is_so,);

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
