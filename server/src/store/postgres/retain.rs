//! What is too old, deleted over a connection of its own: while the database removes the files of a day, which takes seconds
//! for a large fleet, the engine goes on with heartbeats.

use std::{
    sync::Arc,
    thread::{self, JoinHandle},
    time::Duration,
};

use super::{
    schema::{self, Table},
    session::{Line, Server, Session},
};
use crate::{
    limits::{BOOTS_IN_MEMORY, RETENTION_DEVICES, RETENTION_ROWS, STARTS_MAX},
    store::{Result, Retained, Retention, StoreError},
    time::UnixMs,
};

/// Time for one step: 300 GB of a day are 300 files of PostgreSQL.
const STEP_TIMEOUT: Duration = Duration::from_secs(600);

/// Old starts of one device that a step deletes.
const STARTS_AT_ONCE: usize = 100;

/// Deletes step by step, in a thread of its own.
pub(super) struct Sweeper {
    server: Arc<Server>,
    /// While no step is under way.
    round: Option<Round>,
    step: Option<JoinHandle<(Round, Result<bool>)>>,
}

/// How far a round has come.
struct Round {
    line: Line,
    /// The last device whose old starts it has deleted.
    starts_of: i64,
}

impl Sweeper {
    /// Connects when there is something to do.
    pub(super) fn new(server: Arc<Server>) -> Self {
        Self { server, round: None, step: None }
    }

    /// Says how the last step ended, and begins one unless that was the last of its round. Does not wait.
    pub(super) fn proceed(&mut self, now: UnixMs, retention: &Retention) -> Result<Retained> {
        if let Some(step) = self.step.take() {
            if !step.is_finished() {
                self.step = Some(step);
                return Ok(Retained::Underway);
            }
            let ended = step.join();
            let (round, more) =
                ended.map_err(|_| StoreError::Unavailable("the retention ended with a panic".to_owned()))?;
            self.round = Some(round);
            if !more? {
                return Ok(Retained::Over);
            }
        }
        let new = || Round { line: Line::new(Arc::clone(&self.server), false), starts_of: 0 };
        let mut round = self.round.take().unwrap_or_else(new);
        let retention = *retention;
        let step = thread::Builder::new().name("retention".to_owned()).spawn(move || {
            let more = round.step(now, &retention);
            (round, more)
        });
        self.step = Some(step.map_err(|error| StoreError::Unavailable(error.to_string()))?);
        Ok(Retained::Underway)
    }
}

impl Round {
    /// Drops one partition, or deletes a bounded number of events, or of old starts; `true`: there may be more.
    fn step(&mut self, now: UnixMs, retention: &Retention) -> Result<bool> {
        let ages = [retention.beats, retention.minutes, retention.hours];
        for (table, age) in Table::ALL.into_iter().zip(ages) {
            let horizon = now.plus(-age);
            let dropped = self.line.run_within(STEP_TIMEOUT, async |session| {
                let oldest = schema::oldest_before(session, table, horizon).await?;
                if let Some(name) = &oldest {
                    schema::drop_partition(session, name).await?;
                }
                Ok(oldest.is_some())
            })?;
            if dropped {
                return Ok(true);
            }
        }
        let horizon = now.plus(-retention.events);
        let rows = i64::try_from(RETENTION_ROWS).unwrap_or(i64::MAX);
        let more = self.line.run_within(STEP_TIMEOUT, async |session| {
            let sql = "DELETE FROM event WHERE (device, id) IN
                       (SELECT device, id FROM event WHERE at < $1 ORDER BY at LIMIT $2)";
            Ok(session.client.execute(sql, &[&horizon.0, &rows]).await? >= RETENTION_ROWS as u64)
        })?;
        if more {
            return Ok(true);
        }
        let after = self.starts_of;
        let next = self
            .line
            .run_within(STEP_TIMEOUT, async |session| delete_starts(session, after, horizon).await)?;
        self.starts_of = next.unwrap_or(0);
        Ok(next.is_some())
    }
}

/// Deletes the oldest starts of the devices that follow `after`: those of before a time, and those beyond [`STARTS_MAX`], but
/// not the latest, which ledgers need. After which device to go on; `None`: there is no other.
async fn delete_starts(session: &mut Session, after: i64, before: UnixMs) -> Result<Option<i64>> {
    let number = |number: usize| i64::try_from(number).unwrap_or(i64::MAX);
    let sql = "SELECT id FROM device WHERE id > $1 ORDER BY id LIMIT $2";
    let rows = session.client.query(sql, &[&after, &number(RETENTION_DEVICES)]).await?;
    let devices: Vec<i64> = rows.iter().map(|row| row.try_get(0)).collect::<std::result::Result<_, _>>()?;
    let Some(last) = devices.last().copied() else { return Ok(None) };
    // The oldest of each, by the primary key.
    let sql = "DELETE FROM boot USING (
                   SELECT old.device, old.ordinal FROM unnest($1::bigint[]) AS asked (device)
                   CROSS JOIN LATERAL (SELECT max(ordinal) AS newest FROM boot WHERE device = asked.device) AS latest
                   CROSS JOIN LATERAL (SELECT device, ordinal, last_at FROM boot WHERE device = asked.device
                                       ORDER BY ordinal LIMIT $3) AS old
                   WHERE old.ordinal <= latest.newest - $4
                   AND (old.last_at < $2 OR old.ordinal <= latest.newest - $5)
                   LIMIT $6) AS gone
               WHERE boot.device = gone.device AND boot.ordinal = gone.ordinal";
    let limits = [STARTS_AT_ONCE, BOOTS_IN_MEMORY, STARTS_MAX, RETENTION_ROWS].map(number);
    let delete = session.statements.get(&session.client, sql).await?;
    let deleted = session
        .client
        .execute(&delete, &[&devices, &before.0, &limits[0], &limits[1], &limits[2], &limits[3]])
        .await?;
    // One of them may have more.
    if deleted >= STARTS_AT_ONCE as u64 {
        return Ok(Some(after));
    }
    Ok(Some(last).filter(|_| devices.len() == RETENTION_DEVICES))
}
