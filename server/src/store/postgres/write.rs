//! What the engine changes, one transaction at a time.

use std::{
    collections::{BTreeMap, HashMap},
    time::Instant,
};

use tokio_postgres::Transaction;

use super::{
    Postgres, Version,
    beats::{self, Failure, Way},
    known, lead, load, rows,
    schema::{self, Table},
    session::{LOAD_TIMEOUT, Session, Statements},
};
use crate::{
    limits::RETENTION_ROWS,
    model::{
        DeviceId,
        boot::Boot,
        ledger::{Ledger, hour_of},
    },
    store::{
        Applied, Changes, DeviceRow, Duties, Known, Purge, Result, Retained, Retention, Store, StoreError,
        Writes,
    },
    time::{DAY_MS, UnixMs},
};

/// Attempts to number a start of an agent while other processes number starts of the same device.
const ORDINALS: usize = 10;

impl Store for Postgres {
    fn load(&mut self) -> Result<Vec<DeviceRow>> {
        let loaded = self.line.run_within(LOAD_TIMEOUT, async |session| load::all(session).await)?;
        self.compared_at = Some(Instant::now());
        self.versions = loaded
            .iter()
            .map(|(row, version)| (row.id, Version { ledger: *version, seen: *version }))
            .collect();
        Ok(loaded.into_iter().map(|(row, _)| row).collect())
    }

    fn duties(&mut self) -> Result<Duties> {
        self.line.run(async |session| {
            Ok(Duties { alerts: load::alerts(session).await?, messages: load::messages(session).await? })
        })
    }

    fn ledgers(&mut self, devices: &[DeviceId]) -> Result<Vec<(DeviceId, Ledger)>> {
        let ledgers = self.line.run(async |session| load::ledgers(session, devices).await)?;
        for (device, _, version) in &ledgers {
            self.versions.entry(*device).or_default().ledger = *version;
        }
        Ok(ledgers.into_iter().map(|(device, ledger, _)| (device, ledger)).collect())
    }

    fn device_ids(
        &mut self,
        now: UnixMs,
        hardware_ids: &[(&str, Option<&str>)],
    ) -> Result<Vec<(DeviceId, bool)>> {
        let ids = self.line.run(async |session| device_ids(session, now, hardware_ids).await)?;
        for (device, _) in ids.iter().filter(|(_, new)| *new) {
            self.versions.insert(*device, Version::default());
        }
        Ok(ids)
    }

    fn open_boots(&mut self, now: UnixMs, ids: &[(DeviceId, u64)]) -> Result<Vec<Boot>> {
        self.line.run(async |session| open_boots(session, now, ids).await)
    }

    fn known(&mut self, asked: &[Known]) -> Result<Vec<bool>> {
        self.line.run(async |session| known::known(session, asked).await)
    }

    fn apply(&mut self, writes: &Writes) -> Result<Applied> {
        self.make_partitions(writes)?;
        let (versions, term) = (&self.versions, self.term);
        let applied = self.line.run(async |session| {
            match apply(session, versions, term, writes, Way::Copy).await {
                Err(Failure::Taken) => apply(session, versions, term, writes, Way::Insert).await,
                result => result,
            }
            .map_err(StoreError::from)
        });
        #[cfg(test)]
        if std::mem::take(&mut self.loses_next_answer) {
            return Err(StoreError::Unavailable("the answer was lost".to_owned()));
        }
        if applied.is_err() {
            // The process that leads may have dropped a partition that is known here: it is made again.
            self.partitions.clear();
        }
        match applied? {
            Outcome::Done(devices) => {
                for device in devices {
                    let version = self.versions.entry(device).or_default();
                    version.ledger += 1;
                    version.seen = version.ledger;
                }
                Ok(Applied::Done)
            }
            Outcome::Stale(devices) => Ok(Applied::Stale(devices)),
            Outcome::Deposed => Ok(Applied::Deposed),
        }
    }

    #[cfg(test)]
    fn lose_next_answer(&mut self) {
        self.loses_next_answer = true;
    }

    fn probe(&mut self) -> Result<()> {
        self.line.run(async |session| {
            session.client.execute("UPDATE setting SET value = value WHERE key = 'revision'", &[]).await?;
            Ok(())
        })
    }

    fn retain(&mut self, now: UnixMs, retention: &Retention) -> Result<Retained> {
        // What is dropped meanwhile is made again if something comes for it.
        let horizon = now.plus(-retention.beats.min(retention.minutes).min(retention.hours));
        self.partitions.retain(|partition| partition.to() > horizon);
        self.sweeper.proceed(now, retention)
    }

    fn purge(&mut self) -> Result<Purge> {
        self.line.run(async |session| purge(session).await)
    }

    fn lead(&mut self) -> Result<Option<i64>> {
        if let Some(term) = self.term
            && self.leads_on.is_some()
            && self.leads_on == self.line.connection()
        {
            if self.line.run(async |session| lead::renew(session, term).await)? {
                return Ok(Some(term));
            }
            // Another one has begun a term although the lock is held here, or the connection has just been made again.
            self.line.give_up();
        }
        self.leads_on = None;
        let last = self.term;
        let term = self.line.run(async |session| lead::take(session, last).await)?;
        if term.is_some() {
            self.leads_on = self.line.connection();
            self.term = term;
        }
        Ok(term)
    }

    fn is_shared(&self) -> bool {
        true
    }

    fn changes(&mut self) -> Result<Changes> {
        let leads = self.leads_on.is_some();
        // Each second what has changed lately, and once in a while everything: a commit may have taken longer.
        let all = self.compared_at.is_none_or(|at| at.elapsed() > load::COMPARE_ALL_EVERY);
        let versions = &self.versions;
        let (rows, alerts, messages) = self.line.run(async |session| {
            let rows = load::changed(session, versions, all).await?;
            if leads {
                return Ok((rows, Vec::new(), 0));
            }
            Ok((rows, load::alerts(session).await?, load::messages_waiting(session).await?))
        })?;
        if all {
            self.compared_at = Some(Instant::now());
        }
        self.forget_old_partitions();
        for (row, version) in &rows {
            // A ledger that is not known has no version that a commit could find.
            self.versions.entry(row.id).or_insert(Version { ledger: -1, seen: 0 }).seen = *version;
        }
        Ok(Changes { devices: rows.into_iter().map(|(row, _)| row).collect(), alerts, messages })
    }

    fn stale(&self, devices: &[DeviceId]) -> Vec<DeviceId> {
        let is_stale = |device: &DeviceId| {
            self.versions.get(device).is_none_or(|version| version.ledger != version.seen)
        };
        devices.iter().copied().filter(is_stale).collect()
    }
}

impl Postgres {
    /// Those of days of which the process that leads may drop heartbeats: late ones that are older make them again.
    fn forget_old_partitions(&mut self) {
        let beats = self.partitions.iter().filter(|partition| partition.is_of(Table::Beat));
        let Some(newest) = beats.map(|partition| partition.to()).max() else { return };
        let horizon = newest.plus(-2 * DAY_MS);
        self.partitions.retain(|partition| !partition.is_of(Table::Beat) || partition.to() > horizon);
    }

    fn make_partitions(&mut self, writes: &Writes) -> Result<()> {
        let beats = writes.beats.iter().map(|beat| Table::Beat.partition(beat.at));
        let minutes = writes.summaries.iter().map(|row| Table::Minute.partition(row.minute));
        let hours = writes.summaries.iter().map(|row| Table::Hour.partition(hour_of(row.minute)));
        let all = beats.chain(minutes).chain(hours);
        let missing: Vec<_> = all.filter(|partition| !self.partitions.contains(partition)).collect();
        for partition in missing {
            if !self.partitions.contains(&partition) {
                self.line.run(async |session| schema::make(session, partition).await)?;
                self.partitions.insert(partition);
            }
        }
        Ok(())
    }
}

enum Outcome {
    /// Ledgers of these devices have a new version.
    Done(Vec<DeviceId>),
    Stale(Vec<DeviceId>),
    Deposed,
}

async fn apply(
    session: &mut Session,
    versions: &HashMap<DeviceId, Version>,
    term: Option<i64>,
    writes: &Writes,
    way: Way,
) -> std::result::Result<Outcome, Failure> {
    let newest = newest_places(writes);
    let (transaction, statements) = session.begin().await?;
    let leading =
        !writes.alerts.is_empty() || !writes.messages.is_empty() || !writes.messages_done.is_empty();
    if leading && !lead::is_current(&transaction, statements, term).await? {
        return Ok(Outcome::Deposed);
    }
    if !newest.is_empty() {
        let devices: Vec<_> = newest.keys().copied().collect();
        let stale = lock(&transaction, statements, versions, &devices).await?;
        if !stale.is_empty() {
            return Ok(Outcome::Stale(stale));
        }
    }
    let mut newest = newest;
    if !writes.beats.is_empty() {
        for (device, at) in beats::add(&transaction, statements, &writes.beats, way).await? {
            newest.entry(device).and_modify(|newest| *newest = (*newest).max(at.0));
        }
    }
    rows::latest(&transaction, statements, writes).await?;
    rows::boards(&transaction, statements, &writes.boards).await?;
    rows::boots(&transaction, statements, &writes.boots).await?;
    rows::events(&transaction, statements, &writes.events).await?;
    rows::summaries(&transaction, statements, writes).await?;
    rows::alerts(&transaction, statements, &writes.alerts).await?;
    rows::messages(&transaction, statements, &writes.messages, &writes.messages_done).await?;
    if !newest.is_empty() {
        let sql = "UPDATE state SET version = version + 1, changed_at = now(), last_at = greatest(state.last_at, u.at)
                   FROM unnest($1::bigint[], $2::bigint[]) AS u(device, at) WHERE state.device = u.device";
        let statement = statements.get(&transaction, sql).await?;
        let devices: Vec<_> = newest.keys().copied().collect();
        let places: Vec<_> = newest.values().copied().collect();
        transaction.execute(&statement, &[&devices, &places]).await?;
    }
    transaction.commit().await?;
    Ok(Outcome::Done(newest.into_keys().map(DeviceId).collect()))
}

/// Devices whose ledgers change, with the place of their newest heartbeat in this commit.
fn newest_places(writes: &Writes) -> BTreeMap<i64, i64> {
    let mut newest: BTreeMap<i64, i64> = BTreeMap::new();
    let beats = writes.beats.iter().map(|beat| (beat.device.0, beat.at.0));
    let others = writes.latest.iter().map(|(device, ..)| (device.0, 0));
    let boots = writes.boots.iter().map(|(device, _)| (device.0, 0));
    let summaries = writes.summaries.iter().map(|row| (row.device.0, 0));
    for (device, at) in beats.chain(others).chain(boots).chain(summaries) {
        newest.entry(device).and_modify(|newest| *newest = (*newest).max(at)).or_insert(at);
    }
    newest
}

/// Locks the ledgers of `devices`, in the same order in all processes. Those that are not as this process knows them.
async fn lock(
    transaction: &Transaction<'_>,
    statements: &mut Statements,
    versions: &HashMap<DeviceId, Version>,
    devices: &[i64],
) -> Result<Vec<DeviceId>> {
    let sql = "SELECT device, version FROM state WHERE device = ANY($1) ORDER BY device FOR UPDATE";
    let statement = statements.get(transaction, sql).await?;
    let rows = transaction.query(&statement, &[&devices]).await?;
    let mut stale = Vec::new();
    for row in rows {
        let (device, version) = (DeviceId(row.try_get(0)?), row.try_get::<_, i64>(1)?);
        if versions.get(&device).is_none_or(|known| known.ledger != version) {
            stale.push(device);
        }
    }
    Ok(stale)
}

async fn device_ids(
    session: &mut Session,
    now: UnixMs,
    hardware_ids: &[(&str, Option<&str>)],
) -> Result<Vec<(DeviceId, bool)>> {
    let names: Vec<_> = hardware_ids.iter().map(|(id, _)| *id).collect();
    let groups: Vec<_> = hardware_ids.iter().map(|(_, group)| *group).collect();
    let (transaction, _) = session.begin().await?;
    let sql = "INSERT INTO device (hardware_id, added_at, grp)
               SELECT id, $1, grp FROM unnest($2::text[], $3::text[]) AS u(id, grp) ORDER BY id
               ON CONFLICT (hardware_id) DO NOTHING RETURNING hardware_id, id";
    let mut new: HashMap<String, i64> = HashMap::new();
    for row in transaction.query(sql, &[&now.0, &names, &groups]).await? {
        new.insert(row.try_get(0)?, row.try_get(1)?);
    }
    let numbers: Vec<_> = new.values().copied().collect();
    let sql = "INSERT INTO state SELECT id, 0, 0, now() FROM unnest($1::bigint[]) AS u(id)";
    transaction.execute(sql, &[&numbers]).await?;
    let mut known: HashMap<String, i64> = HashMap::new();
    let sql = "SELECT hardware_id, id FROM device WHERE hardware_id = ANY($1)";
    for row in transaction.query(sql, &[&names]).await? {
        known.insert(row.try_get(0)?, row.try_get(1)?);
    }
    transaction.commit().await?;
    let ids = names.iter().map(|name| {
        let id = known.get(*name).ok_or_else(|| StoreError::Unavailable(format!("{name} has no number")))?;
        Ok((DeviceId(*id), new.contains_key(*name)))
    });
    ids.collect()
}

async fn open_boots(session: &mut Session, now: UnixMs, ids: &[(DeviceId, u64)]) -> Result<Vec<Boot>> {
    let devices: Vec<_> = ids.iter().map(|(device, _)| device.0).collect();
    let boots: Vec<_> = ids.iter().map(|(_, boot)| boot.cast_signed()).collect();
    for _ in 0..ORDINALS {
        // Of two that would have the same ordinal one is left out, and numbered in the next round.
        let sql = "INSERT INTO boot (device, ordinal, boot_id, first_at, last_at, base, max, bits, received)
                   SELECT u.device, 1 + coalesce((SELECT max(ordinal) FROM boot WHERE boot.device = u.device), 0),
                   u.boot, $3, $3, 0, 0, 0, 0 FROM unnest($1::bigint[], $2::bigint[]) AS u(device, boot)
                   ORDER BY u.device ON CONFLICT DO NOTHING";
        let insert = session.statements.get(&session.client, sql).await?;
        session.client.execute(&insert, &[&devices, &boots, &now.0]).await?;
        let sql = "SELECT boot_id, ordinal, first_at, last_at, base, max, bits, received, device FROM boot
                   WHERE (device, boot_id) IN (SELECT * FROM unnest($1::bigint[], $2::bigint[]))";
        let select = session.statements.get(&session.client, sql).await?;
        let mut found = HashMap::new();
        for row in session.client.query(&select, &[&devices, &boots]).await? {
            let boot = load::boot_of_row(&row)?;
            found.insert((row.try_get::<_, i64>(8)?, boot.id), boot);
        }
        let opened: Option<Vec<Boot>> =
            ids.iter().map(|(device, boot)| found.get(&(device.0, *boot)).copied()).collect();
        if let Some(opened) = opened {
            return Ok(opened);
        }
    }
    Err(StoreError::Unavailable("starts of agents could not be numbered".to_owned()))
}

async fn purge(session: &mut Session) -> Result<Purge> {
    let (transaction, _) = session.begin().await?;
    // Who restores the device waits for this step: what comes afterwards is not deleted.
    let sql = "SELECT device FROM purge LIMIT 1 FOR UPDATE";
    let Some(row) = transaction.query_opt(sql, &[]).await? else {
        return Ok(Purge::Nothing);
    };
    let device: i64 = row.try_get(0)?;
    let mut left = RETENTION_ROWS as u64;
    for (table, key) in [("beat", "at"), ("minute", "at"), ("hour", "at"), ("event", "id")] {
        let sql = format!(
            "DELETE FROM {table} WHERE device = $1 AND {key} IN (SELECT {key} FROM {table} WHERE device = $1 LIMIT $2)"
        );
        left -= transaction.execute(&sql, &[&device, &left.cast_signed()]).await?.min(left);
    }
    if left > 0 {
        for table in ["boot", "latest", "board", "alert", "purge"] {
            transaction.execute(&format!("DELETE FROM {table} WHERE device = $1"), &[&device]).await?;
        }
        // The others read again what there is of it.
        let sql = "UPDATE state SET version = version + 1, last_at = 0, changed_at = now() WHERE device = $1";
        transaction.execute(sql, &[&device]).await?;
    }
    transaction.commit().await?;
    Ok(if left > 0 { Purge::Done(DeviceId(device)) } else { Purge::More })
}
