//! The engine and devices that are removed, forgotten, or say what their board is.

use serde_json::json;

use super::{
    tests::{Rig, T0, document},
    *,
};
use crate::store::{Step, database::Database, tests::both};

both!(
    a_removed_device_is_refused_until_it_is_restored,
    a_removed_device_is_forgotten_and_stays_refused,
    a_restored_device_is_not_purged,
    a_token_that_is_added_is_in_effect_and_nothing_else_is_read,
    a_board_is_shown_until_it_is_said_again,
);

fn a_removed_device_is_refused_until_it_is_restored(database: &Database) {
    let mut rig = Rig::new(database, "");
    rig.commit(T0, &[document("pi1", 1, T0)]);
    let mut other = database.open().unwrap();
    other.set_labels("pi1", &crate::store::Labels { removed: true, ..Default::default() }).unwrap();
    rig.engine.tick(T0.plus(1000).into()).unwrap();
    assert_eq!(rig.commit(T0.plus(5000), &[document("pi1", 2, T0)]), [Verdict::Removed]);
    rig.restart(T0.plus(5500));
    assert_eq!(
        rig.commit(T0.plus(6000), &[document("pi1", 2, T0)]),
        [Verdict::Removed],
        "deleted stays deleted"
    );
    other.set_labels("pi1", &crate::store::Labels::default()).unwrap();
    rig.engine.tick(T0.plus(7000).into()).unwrap();
    assert_eq!(rig.commit(T0.plus(8000), &[document("pi1", 2, T0)]), [Verdict::Stored]);
}

fn a_removed_device_is_forgotten_and_stays_refused(database: &Database) {
    let mut rig = Rig::new(database, "");
    for number in 1..=30u64 {
        let now = T0.plus(number.cast_signed() * 5000);
        let mut beat = document("pi1", number, now);
        beat["board"] = json!({"model": "m", "os": null, "wear": null});
        rig.commit(now, &[beat, document("pi2", number, now)]);
    }
    let now = T0.plus(300_000);
    let mut other = database.open().unwrap();
    assert!(!other.purge_device("pi1").unwrap(), "it is not removed");
    other.set_labels("pi1", &crate::store::Labels { removed: true, ..Default::default() }).unwrap();
    assert!(other.purge_device("pi1").unwrap());
    rig.engine.tick(now.into()).unwrap();
    let mut steps = 0;
    while rig.engine.is_purging() {
        rig.engine.purge().unwrap();
        steps += 1;
        assert!(steps < 10);
    }
    let device = rig.device("pi1");
    assert_eq!((device.seen_at, device.board.clone(), &*device.document), (None, None, ""));
    assert_eq!([rig.stored("pi1", Step::Beat), rig.stored("pi1", Step::Minute)], [0, 0]);
    assert!(rig.reader().events(Some(device.id), 9).unwrap().is_empty());
    assert!(rig.reader().boots(device.id, 9).unwrap().is_empty());
    assert_eq!(rig.stored("pi2", Step::Beat), 30, "the others keep theirs");
    assert_eq!(rig.commit(now.plus(1), &[document("pi1", 31, now)]), [Verdict::Removed]);
    // Restored, it begins anew: its numbers are not taken for repetitions.
    other.set_labels("pi1", &crate::store::Labels::default()).unwrap();
    rig.engine.tick(now.plus(1000).into()).unwrap();
    let again = document("pi1", 30, now);
    assert_eq!(rig.commit(now.plus(2000), std::slice::from_ref(&again)), [Verdict::Stored]);
    rig.restart(now.plus(3000));
    assert_eq!(rig.commit(now.plus(4000), &[again]), [Verdict::Repeated]);
    assert_eq!(rig.stored("pi1", Step::Beat), 1);
}

fn a_restored_device_is_not_purged(database: &Database) {
    let mut rig = Rig::new(database, "");
    rig.commit(T0, &[document("pi1", 1, T0), document("pi2", 1, T0)]);
    let mut other = database.open().unwrap();
    let removed = crate::store::Labels { removed: true, ..Default::default() };
    for id in ["pi1", "pi2"] {
        other.set_labels(id, &removed).unwrap();
        assert!(other.purge_device(id).unwrap());
    }
    // Second thoughts, before the engine has begun; other labels of a removed device cancel nothing.
    other.set_labels("pi1", &crate::store::Labels::default()).unwrap();
    other.set_labels("pi2", &removed).unwrap();
    rig.engine.tick(T0.plus(1000).into()).unwrap();
    assert_eq!(rig.commit(T0.plus(5000), &[document("pi1", 2, T0)]), [Verdict::Stored]);
    while rig.engine.is_purging() {
        rig.engine.purge().unwrap();
    }
    assert_eq!([rig.stored("pi1", Step::Beat), rig.stored("pi2", Step::Beat)], [2, 0]);
    assert_eq!(rig.commit(T0.plus(6000), &[document("pi1", 2, T0)]), [Verdict::Repeated]);
}

fn a_token_that_is_added_is_in_effect_and_nothing_else_is_read(database: &Database) {
    let mut rig = Rig::new(database, "");
    rig.commit(T0, &[document("pi1", 1, T0)]);
    let mut other = database.open().unwrap();
    let token = |secret: &str| crate::store::TokenRow {
        id: 0,
        hash: crate::access::secret::hash(secret),
        purpose: crate::store::TokenUse::Devices,
        group: None,
        created_at: T0,
        expires_at: None,
    };
    let taken = |rig: &Rig, secret: &str| rig.engine.tokens.some_device(Some(secret), true, T0).is_ok();
    let shown = |rig: &Rig| read(&rig.engine.fleet).revision;
    let (before, first) = (shown(&rig), other.add_token(&token("first")).unwrap());
    rig.engine.reload().unwrap();
    other.add_token(&token("second")).unwrap();
    rig.engine.reload().unwrap();
    assert!(taken(&rig, "first") && taken(&rig, "second") && !taken(&rig, "third"));
    assert_eq!(shown(&rig), before, "labels were read again");
    // A change of another kind together with it.
    other.revoke_token(first).unwrap();
    other.add_token(&token("third")).unwrap();
    rig.engine.reload().unwrap();
    assert!(!taken(&rig, "first") && taken(&rig, "second") && taken(&rig, "third"));
}

fn a_board_is_shown_until_it_is_said_again(database: &Database) {
    let mut rig = Rig::new(database, "");
    let mut first = document("pi1", 1, T0);
    first["board"] = json!({"model": "one", "os": null, "wear": null});
    rig.commit(T0, &[first]);
    rig.commit(T0.plus(5000), &[document("pi1", 2, T0.plus(5000))]);
    let model = |rig: &Rig| rig.device("pi1").board.unwrap().contains("\"one\"");
    assert!(model(&rig));
    rig.restart(T0.plus(6000));
    assert!(model(&rig), "it comes once an hour only");
}
