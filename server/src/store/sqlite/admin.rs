//! Tokens, logins and labels. The command line changes them beside the running server, which sees the revision rise.

use rusqlite::{OptionalExtension, Transaction, TransactionBehavior, params};

use super::{Sqlite, load::labels_of};
use crate::{
    model::DeviceId,
    store::{Admin, Labels, Result, Revision, TokenRow, TokenUse},
    time::UnixMs,
};

const RISE: &str = "UPDATE setting SET value = value + 1 WHERE key = 'revision'";
/// A token was added and none replaced.
const ADDED: &str = "INSERT INTO setting VALUES ('tokens_added', '1')
                     ON CONFLICT (key) DO UPDATE SET value = value + 1";

impl Admin for Sqlite {
    fn revision(&mut self) -> Result<Revision> {
        let sql = "SELECT CAST(value AS INTEGER), ifnull((SELECT CAST(value AS INTEGER) FROM setting
                   WHERE key = 'tokens_added'), 0) FROM setting WHERE key = 'revision'";
        let mut select = self.connection.prepare_cached(sql)?;
        Ok(select.query_row([], |row| Ok(Revision { all: row.get(0)?, tokens_added: row.get(1)? }))?)
    }

    fn tokens(&mut self, after: i64) -> Result<Vec<TokenRow>> {
        let mut select = self.connection.prepare_cached(
            "SELECT id, hash, purpose, device, grp, created_at, expires_at FROM token WHERE id > ?1 ORDER BY id",
        )?;
        let rows = select.query_map([after], |row| {
            let device: Option<String> = row.get(3)?;
            let purpose = match (row.get::<_, String>(2)?.as_str(), device) {
                ("device", Some(device)) => TokenUse::Device(device),
                ("enrol", _) => TokenUse::Enrol,
                ("read", _) => TokenUse::Read,
                _ => TokenUse::Devices,
            };
            Ok(TokenRow {
                id: row.get(0)?,
                hash: row.get(1)?,
                purpose,
                group: row.get(4)?,
                created_at: UnixMs(row.get(5)?),
                expires_at: row.get::<_, Option<i64>>(6)?.map(UnixMs),
            })
        })?;
        Ok(rows.collect::<rusqlite::Result<_>>()?)
    }

    fn enrol(&mut self, device: &str, token: &TokenRow) -> Result<bool> {
        let transaction = self.connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
        let sql = "SELECT 1 FROM token WHERE device = ?1";
        if transaction.prepare_cached(sql)?.exists([device])? {
            return Ok(false);
        }
        insert_token(&transaction, token)?;
        transaction.commit()?;
        Ok(true)
    }

    fn add_token(&mut self, token: &TokenRow) -> Result<i64> {
        let transaction = self.connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
        let id = insert_token(&transaction, token)?;
        transaction.commit()?;
        Ok(id)
    }

    fn revoke_token(&mut self, id: i64) -> Result<bool> {
        let transaction = self.connection.transaction()?;
        let found = transaction.execute("DELETE FROM token WHERE id = ?1", [id])? == 1;
        transaction.execute(RISE, [])?;
        transaction.commit()?;
        Ok(found)
    }

    fn setting(&mut self, key: &str) -> Result<Option<String>> {
        let mut select = self.connection.prepare_cached("SELECT value FROM setting WHERE key = ?1")?;
        Ok(select.query_row([key], |row| row.get(0)).optional()?)
    }

    fn setting_or(&mut self, key: &str, value: &str) -> Result<String> {
        self.connection.execute("INSERT OR IGNORE INTO setting VALUES (?1, ?2)", [key, value])?;
        let sql = "SELECT value FROM setting WHERE key = ?1";
        Ok(self.connection.query_row(sql, [key], |row| row.get(0))?)
    }

    fn set_setting(&mut self, key: &str, value: &str) -> Result<()> {
        let transaction = self.connection.transaction()?;
        transaction.execute("INSERT OR REPLACE INTO setting VALUES (?1, ?2)", [key, value])?;
        transaction.execute(RISE, [])?;
        transaction.commit()?;
        Ok(())
    }

    fn labels(&mut self) -> Result<Vec<(DeviceId, String, Labels)>> {
        let mut select =
            self.connection.prepare_cached("SELECT id, hardware_id, name, grp, tags, removed FROM device")?;
        let rows = select.query_map([], |row| {
            let labels = labels_of(row.get(2)?, row.get(3)?, &row.get::<_, String>(4)?, row.get(5)?);
            Ok((DeviceId(row.get(0)?), row.get(1)?, labels))
        })?;
        Ok(rows.collect::<rusqlite::Result<_>>()?)
    }

    fn seen(&mut self) -> Result<Vec<(DeviceId, UnixMs)>> {
        let mut select = self.connection.prepare_cached("SELECT device, at FROM latest")?;
        let rows = select.query_map([], |row| Ok((DeviceId(row.get(0)?), UnixMs(row.get(1)?))))?;
        Ok(rows.collect::<rusqlite::Result<_>>()?)
    }

    fn set_labels(&mut self, hardware_id: &str, labels: &Labels) -> Result<bool> {
        let transaction = self.connection.transaction()?;
        let found = transaction.execute(
            "UPDATE device SET name = ?2, grp = ?3, tags = ?4, removed = ?5 WHERE hardware_id = ?1",
            params![hardware_id, labels.name, labels.group, labels.tags.join(" "), labels.removed],
        )? == 1;
        if !labels.removed {
            let sql = "DELETE FROM purge WHERE device = (SELECT id FROM device WHERE hardware_id = ?1)";
            transaction.execute(sql, [hardware_id])?;
        }
        transaction.execute(RISE, [])?;
        transaction.commit()?;
        Ok(found)
    }

    fn purge_device(&mut self, hardware_id: &str) -> Result<bool> {
        let transaction = self.connection.transaction()?;
        let sql = "INSERT OR IGNORE INTO purge SELECT id FROM device WHERE hardware_id = ?1 AND removed";
        transaction.execute(sql, [hardware_id])?;
        let sql = "UPDATE device SET name = NULL, grp = NULL, tags = '' WHERE hardware_id = ?1 AND removed";
        let found = transaction.execute(sql, [hardware_id])? == 1;
        transaction.execute("DELETE FROM token WHERE device = ?1 AND ?2", params![hardware_id, found])?;
        transaction.execute(RISE, [])?;
        transaction.commit()?;
        Ok(found)
    }

    fn add_session(&mut self, hash: &[u8], now: UnixMs, expires_at: UnixMs) -> Result<()> {
        self.connection.execute("DELETE FROM session WHERE expires_at < ?1", [now.0])?;
        self.connection
            .execute("INSERT OR REPLACE INTO session VALUES (?1, ?2)", params![hash, expires_at.0])?;
        Ok(())
    }

    fn has_session(&mut self, hash: &[u8], now: UnixMs) -> Result<bool> {
        let mut select =
            self.connection.prepare_cached("SELECT 1 FROM session WHERE hash = ?1 AND expires_at > ?2")?;
        Ok(select.exists(params![hash, now.0])?)
    }

    fn end_session(&mut self, hash: &[u8]) -> Result<()> {
        self.connection.execute("DELETE FROM session WHERE hash = ?1", [hash])?;
        Ok(())
    }

    fn end_sessions(&mut self, now: UnixMs) -> Result<usize> {
        let mut delete = self.connection.prepare("DELETE FROM session RETURNING expires_at > ?1")?;
        let valid = delete.query_map([now.0], |row| row.get(0))?;
        Ok(valid.collect::<rusqlite::Result<Vec<bool>>>()?.into_iter().filter(|valid| *valid).count())
    }
}

fn insert_token(transaction: &Transaction<'_>, token: &TokenRow) -> Result<i64> {
    let (purpose, device) = match &token.purpose {
        TokenUse::Devices => ("devices", None),
        TokenUse::Device(device) => ("device", Some(device)),
        TokenUse::Enrol => ("enrol", None),
        TokenUse::Read => ("read", None),
    };
    // A device has one token: a new one replaces the old.
    let replaced = transaction.execute("DELETE FROM token WHERE device = ?1", [device])? > 0;
    transaction.execute(
        "INSERT INTO token (hash, purpose, device, grp, created_at, expires_at) VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
        params![
            token.hash,
            purpose,
            device,
            token.group,
            token.created_at.0,
            token.expires_at.map(|expires_at| expires_at.0)
        ],
    )?;
    let id = transaction.last_insert_rowid();
    transaction.execute(RISE, [])?;
    if !replaced {
        transaction.execute(ADDED, [])?;
    }
    Ok(id)
}
