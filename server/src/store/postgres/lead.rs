//! Which process leads: one holds an advisory lock, counts its term in `setting`, and says each second that it is there.
//!
//! The lock ends with its connection, so that another process takes over at once when this one ends. The term is the fence:
//! each commit of alerts and messages compares it, so that a process whose connection was lost, or that was frozen, changes
//! nothing after another one has begun a term. A process that is frozen keeps its connection: after a silence the
//! others end that.

use tokio_postgres::Transaction;

use super::session::{Session, Statements};
use crate::{limits::LEAD_SILENCE_MS, store::Result};

/// The advisory lock of the process that leads.
const LOCK_LEAD: i64 = 0x6862_7376_0002;
/// Milliseconds since 1970 of the database's clock.
pub(super) const NOW_MS: &str = "(extract(epoch from clock_timestamp()) * 1000)::bigint";

/// Says that this process still leads in its `term`; `false`: it does not.
pub(super) async fn renew(session: &mut Session, term: i64) -> Result<bool> {
    let sql = format!(
        "UPDATE setting SET value = $1::bigint || ' ' || {NOW_MS} WHERE key = 'lead' AND value LIKE $1::bigint || ' %'"
    );
    let renew = session.statements.get(&session.client, &sql).await?;
    Ok(session.client.execute(&renew, &[&term]).await? == 1)
}

/// Tries to take the lock. The term, which is the `last` one of this process if no other has led since then.
pub(super) async fn take(session: &mut Session, last: Option<i64>) -> Result<Option<i64>> {
    let row = session.client.query_one("SELECT pg_try_advisory_lock($1)", &[&LOCK_LEAD]).await?;
    if !row.try_get::<_, bool>(0)? {
        end_frozen(session).await?;
        return Ok(None);
    }
    let sql = format!(
        "INSERT INTO setting VALUES ('lead', '1 ' || {NOW_MS}) ON CONFLICT (key) DO UPDATE SET value =
         (CASE WHEN split_part(setting.value, ' ', 1)::bigint = $1 THEN $1
          ELSE split_part(setting.value, ' ', 1)::bigint + 1 END) || ' ' || {NOW_MS}
         RETURNING split_part(value, ' ', 1)::bigint"
    );
    let row = session.client.query_one(&sql, &[&last.unwrap_or(-1)]).await?;
    Ok(Some(row.try_get(0)?))
}

/// Whether this process leads, or could: nobody takes the lead before this transaction has ended.
pub(super) async fn is_current(
    transaction: &Transaction<'_>,
    statements: &mut Statements,
    term: Option<i64>,
) -> Result<bool> {
    let Some(term) = term else { return Ok(false) };
    let sql = "SELECT split_part(value, ' ', 1)::bigint FROM setting WHERE key = 'lead' FOR SHARE";
    let select = statements.get(transaction, sql).await?;
    let row = transaction.query_opt(&select, &[]).await?;
    Ok(match row {
        Some(row) => row.try_get::<_, i64>(0)? == term,
        None => false,
    })
}

/// Ends the connection of a leading process that has said nothing for a while.
async fn end_frozen(session: &mut Session) -> Result<()> {
    let sql = format!(
        "SELECT pg_terminate_backend(pid) FROM pg_locks
         WHERE locktype = 'advisory' AND granted AND pid <> pg_backend_pid() AND objsubid = 1
         AND database = (SELECT oid FROM pg_database WHERE datname = current_database())
         AND (classid::bigint << 32 | objid::bigint) = $1
         AND (SELECT split_part(value, ' ', 2)::bigint FROM setting WHERE key = 'lead') < {NOW_MS} - $2"
    );
    let ended = session.client.query(&sql, &[&LOCK_LEAD, &LEAD_SILENCE_MS]).await?;
    if !ended.is_empty() {
        log::warn!(
            "the leading process has been silent for {} s; its connection was ended",
            LEAD_SILENCE_MS / 1000
        );
    }
    Ok(())
}
