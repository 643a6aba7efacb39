//! Tokens, logins and labels. Other processes and the command line change them too, and see the revision rise.

use tokio_postgres::{Transaction, types::ToSql};

use super::{Postgres, lead::NOW_MS, load::labels_of_row};
use crate::{
    model::DeviceId,
    store::{Admin, Labels, Result, Revision, TokenRow, TokenUse},
    time::UnixMs,
};

const RISE: &str = "UPDATE setting SET value = (value::bigint + 1)::text WHERE key = 'revision'";
/// A token was added and none replaced.
const ADDED: &str = "INSERT INTO setting VALUES ('tokens_added', '1')
                     ON CONFLICT (key) DO UPDATE SET value = (setting.value::bigint + 1)::text";

impl Admin for Postgres {
    fn time(&mut self) -> Result<UnixMs> {
        self.line.run(async |session| {
            let select = session.statements.get(&session.client, &format!("SELECT {NOW_MS}")).await?;
            Ok(UnixMs(session.client.query_one(&select, &[]).await?.try_get(0)?))
        })
    }

    fn revision(&mut self) -> Result<Revision> {
        self.line.run(async |session| {
            let sql = "SELECT value::bigint, coalesce((SELECT value::bigint FROM setting WHERE key = 'tokens_added'), 0)
                       FROM setting WHERE key = 'revision'";
            let select = session.statements.get(&session.client, sql).await?;
            let row = session.client.query_one(&select, &[]).await?;
            Ok(Revision { all: row.try_get(0)?, tokens_added: row.try_get(1)? })
        })
    }

    fn tokens(&mut self, after: i64) -> Result<Vec<TokenRow>> {
        self.line.run(async |session| {
            let sql = "SELECT id, hash, purpose, device, grp, created_at, expires_at FROM token
                       WHERE id > $1 ORDER BY id";
            let rows = session.client.query(sql, &[&after]).await?;
            let rows = rows.iter().map(|row| {
                let device: Option<String> = row.try_get(3)?;
                let purpose = match (row.try_get::<_, &str>(2)?, device) {
                    ("device", Some(device)) => TokenUse::Device(device),
                    ("enrol", _) => TokenUse::Enrol,
                    ("read", _) => TokenUse::Read,
                    _ => TokenUse::Devices,
                };
                Ok(TokenRow {
                    id: row.try_get(0)?,
                    hash: row.try_get(1)?,
                    purpose,
                    group: row.try_get(4)?,
                    created_at: UnixMs(row.try_get(5)?),
                    expires_at: row.try_get::<_, Option<i64>>(6)?.map(UnixMs),
                })
            });
            rows.collect()
        })
    }

    fn enrol(&mut self, device: &str, token: &TokenRow) -> Result<bool> {
        self.line.run(async |session| {
            let (transaction, _) = session.begin().await?;
            // First: it serialises those who change the same.
            transaction.execute(RISE, &[]).await?;
            let sql = "SELECT 1 FROM token WHERE device = $1";
            if transaction.query_opt(sql, &[&device]).await?.is_some() {
                return Ok(false);
            }
            insert_token(&transaction, token).await?;
            transaction.commit().await?;
            Ok(true)
        })
    }

    fn add_token(&mut self, token: &TokenRow) -> Result<i64> {
        self.line.run(async |session| {
            let (transaction, _) = session.begin().await?;
            // First: it serialises those who change the same, so that tokens are numbered in the order of their commits.
            transaction.execute(RISE, &[]).await?;
            let id = insert_token(&transaction, token).await?;
            transaction.commit().await?;
            Ok(id)
        })
    }

    fn revoke_token(&mut self, id: i64) -> Result<bool> {
        self.line.run(async |session| {
            let (transaction, _) = session.begin().await?;
            transaction.execute(RISE, &[]).await?;
            let found = transaction.execute("DELETE FROM token WHERE id = $1", &[&id]).await? == 1;
            transaction.commit().await?;
            Ok(found)
        })
    }

    fn setting(&mut self, key: &str) -> Result<Option<String>> {
        self.line.run(async |session| {
            let row = session.client.query_opt("SELECT value FROM setting WHERE key = $1", &[&key]).await?;
            row.map(|row| Ok(row.try_get(0)?)).transpose()
        })
    }

    fn setting_or(&mut self, key: &str, value: &str) -> Result<String> {
        self.line.run(async |session| {
            let sql = "INSERT INTO setting VALUES ($1, $2) ON CONFLICT DO NOTHING";
            session.client.execute(sql, &[&key, &value]).await?;
            let sql = "SELECT value FROM setting WHERE key = $1";
            Ok(session.client.query_one(sql, &[&key]).await?.try_get(0)?)
        })
    }

    fn set_setting(&mut self, key: &str, value: &str) -> Result<()> {
        self.line.run(async |session| {
            let (transaction, _) = session.begin().await?;
            transaction.execute(RISE, &[]).await?;
            let sql =
                "INSERT INTO setting VALUES ($1, $2) ON CONFLICT (key) DO UPDATE SET value = excluded.value";
            transaction.execute(sql, &[&key, &value]).await?;
            transaction.commit().await?;
            Ok(())
        })
    }

    fn labels(&mut self) -> Result<Vec<(DeviceId, String, Labels)>> {
        self.line.run(async |session| {
            let sql = "SELECT id, hardware_id, name, grp, tags, removed FROM device ORDER BY id";
            let rows = session.client.query(sql, &[]).await?;
            rows.iter()
                .map(|row| Ok((DeviceId(row.try_get(0)?), row.try_get(1)?, labels_of_row(row, 2)?)))
                .collect()
        })
    }

    fn seen(&mut self) -> Result<Vec<(DeviceId, UnixMs)>> {
        self.line.run(async |session| {
            let rows = session.client.query("SELECT device, at FROM latest", &[]).await?;
            rows.iter().map(|row| Ok((DeviceId(row.try_get(0)?), UnixMs(row.try_get(1)?)))).collect()
        })
    }

    fn set_labels(&mut self, hardware_id: &str, labels: &Labels) -> Result<bool> {
        self.line.run(async |session| {
            let (transaction, _) = session.begin().await?;
            transaction.execute(RISE, &[]).await?;
            let sql = "UPDATE device SET name = $2, grp = $3, tags = $4, removed = $5 WHERE hardware_id = $1";
            let tags = labels.tags.join(" ");
            let row: [&(dyn ToSql + Sync); 5] =
                [&hardware_id, &labels.name, &labels.group, &tags, &labels.removed];
            let found = transaction.execute(sql, &row).await? == 1;
            if !labels.removed {
                // Waits for a step that is under way.
                let sql = "DELETE FROM purge WHERE device = (SELECT id FROM device WHERE hardware_id = $1)";
                transaction.execute(sql, &[&hardware_id]).await?;
            }
            transaction.commit().await?;
            Ok(found)
        })
    }

    fn purge_device(&mut self, hardware_id: &str) -> Result<bool> {
        self.line.run(async |session| {
            let (transaction, _) = session.begin().await?;
            transaction.execute(RISE, &[]).await?;
            let sql =
                "UPDATE device SET name = NULL, grp = NULL, tags = '' WHERE hardware_id = $1 AND removed
                       RETURNING id";
            let row = transaction.query_opt(sql, &[&hardware_id]).await?;
            if let Some(row) = &row {
                let device: i64 = row.try_get(0)?;
                transaction
                    .execute("INSERT INTO purge VALUES ($1) ON CONFLICT DO NOTHING", &[&device])
                    .await?;
                transaction.execute("DELETE FROM token WHERE device = $1", &[&hardware_id]).await?;
            }
            transaction.commit().await?;
            Ok(row.is_some())
        })
    }

    fn add_session(&mut self, hash: &[u8], now: UnixMs, expires_at: UnixMs) -> Result<()> {
        self.line.run(async |session| {
            session.client.execute("DELETE FROM session WHERE expires_at < $1", &[&now.0]).await?;
            let sql = "INSERT INTO session VALUES ($1, $2) ON CONFLICT (hash) DO UPDATE SET expires_at = $2";
            session.client.execute(sql, &[&hash, &expires_at.0]).await?;
            Ok(())
        })
    }

    fn has_session(&mut self, hash: &[u8], now: UnixMs) -> Result<bool> {
        self.line.run(async |session| {
            let sql = "SELECT 1 FROM session WHERE hash = $1 AND expires_at > $2";
            let select = session.statements.get(&session.client, sql).await?;
            Ok(session.client.query_opt(&select, &[&hash, &now.0]).await?.is_some())
        })
    }

    fn end_session(&mut self, hash: &[u8]) -> Result<()> {
        self.line.run(async |session| {
            session.client.execute("DELETE FROM session WHERE hash = $1", &[&hash]).await?;
            Ok(())
        })
    }

    fn end_sessions(&mut self, now: UnixMs) -> Result<usize> {
        self.line.run(async |session| {
            let sql = "DELETE FROM session RETURNING expires_at > $1";
            let rows = session.client.query(sql, &[&now.0]).await?;
            Ok(rows.iter().filter(|row| row.try_get(0).unwrap_or(false)).count())
        })
    }
}

async fn insert_token(transaction: &Transaction<'_>, token: &TokenRow) -> Result<i64> {
    let (purpose, device) = match &token.purpose {
        TokenUse::Devices => ("devices", None),
        TokenUse::Device(device) => ("device", Some(device)),
        TokenUse::Enrol => ("enrol", None),
        TokenUse::Read => ("read", None),
    };
    // A device has one token: a new one replaces the old.
    let sql = "DELETE FROM token WHERE device = $1";
    if transaction.execute(sql, &[&device]).await? == 0 {
        transaction.execute(ADDED, &[]).await?;
    }
    let sql = "INSERT INTO token (hash, purpose, device, grp, created_at, expires_at)
               VALUES ($1, $2, $3, $4, $5, $6) RETURNING id";
    let expires_at = token.expires_at.map(|expires_at| expires_at.0);
    let row: [&(dyn ToSql + Sync); 6] =
        [&token.hash, &purpose, &device, &token.group, &token.created_at.0, &expires_at];
    Ok(transaction.query_one(sql, &row).await?.try_get(0)?)
}
