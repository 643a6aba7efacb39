//! The engine and heartbeats that come late.

use serde_json::json;

use super::{
    tests::{Rig, T0, document},
    *,
};
use crate::{
    store::{Read, Retained, Step, database::Database, tests::both},
    time::{DAY_MS, HOUR_MS},
};

both!(late_heartbeats_of_days_ago_bend_nothing_of_today,);

/// A device that was without network and then switched off for three days.
fn late_heartbeats_of_days_ago_bend_nothing_of_today(database: &Database) {
    let mut rig = Rig::new(database, "");
    let begun = T0.plus(-3 * DAY_MS);
    rig.commit(T0, &[document("pi1", 1000, T0)]);
    let late = |number: i64| {
        let mut late = document("pi1", number.cast_unsigned(), begun.plus(number * 5000));
        late["replayed"] = true.into();
        late["temp"] = json!(90);
        late
    };
    let batch: Vec<_> = (1..=100).map(late).collect();
    assert_eq!(rig.commit(T0.plus(5), &batch), vec![Verdict::Stored; 100]);
    assert_eq!(rig.commit(T0.plus(6), &batch[..3]), [Verdict::Repeated; 3]);
    rig.engine.tick(T0.plus(HOUR_MS).into()).unwrap();
    let id = rig.device("pi1").id;
    let beats = |reader: &mut dyn Read, step, from: UnixMs| -> i64 {
        let points = reader.history(id, step, from, from.plus(2 * HOUR_MS), 10_000).unwrap();
        points.iter().map(|point| point.beats).sum()
    };
    for step in [Step::Minute, Step::Hour] {
        assert_eq!(beats(&mut *rig.reader(), step, T0.floor(HOUR_MS)), 1, "{step:?}");
        assert_eq!(beats(&mut *rig.reader(), step, begun.floor(HOUR_MS)), 100, "{step:?}");
    }
    // Their minutes stay, they themselves are older than heartbeats are kept; and the day comes back with the next ones.
    while rig.engine.retain(T0.plus(HOUR_MS)).unwrap() != Retained::Over {
        std::thread::yield_now();
    }
    assert_eq!(beats(&mut *rig.reader(), Step::Beat, begun), 0);
    assert_eq!(beats(&mut *rig.reader(), Step::Minute, begun.floor(HOUR_MS)), 100);
    rig.engine.tick(T0.plus(HOUR_MS + 1000).into()).unwrap();
    assert_eq!(rig.commit(T0.plus(HOUR_MS + 2000), &[late(101)]), [Verdict::Stored]);
}
