//! Deltas: which full document the server is known to have, and what has changed since.
//!
//! A delta refers to the latest full document, and only if the server has confirmed that document over a connection and has said
//! over the same connection that it understands deltas. Whatever ends otherwise than in a confirmation makes the next
//! heartbeat a full one, and so does a minute.

use crate::{
    limits::FULL_EVERY,
    payload::{BODY_MAX, Heartbeat, delta::Values},
    time::Instant,
    uplink::{Delta, Verdict, Wire},
};

use super::config::Config;

/// Memory for deltas: the values of two full documents, and a delta.
#[derive(Debug)]
pub struct Memory {
    /// The full document that the server knows, and the connection over which it has confirmed it.
    base: Option<(Sent, u64)>,
    /// The heartbeat that is being sent.
    offered: Option<Sent>,
    document: [u8; BODY_MAX],
}

impl Default for Memory {
    fn default() -> Self {
        Self { base: None, offered: None, document: [0; BODY_MAX] }
    }
}

/// A heartbeat, and when it was sent.
#[derive(Debug)]
struct Sent {
    at: Instant,
    values: Values,
}

/// What the server knows; nothing without memory.
#[derive(Debug, Default)]
pub(super) struct Deltas<'m>(Option<&'m mut Memory>);

impl<'m> Deltas<'m> {
    pub(super) fn new(memory: &'m mut Memory) -> Self {
        (memory.base, memory.offered) = (None, None);
        Self(Some(memory))
    }

    /// A heartbeat goes out at `now`: its shorter form, if the server may understand one.
    #[inline(never)]
    pub(super) fn offer(
        &mut self,
        now: Instant,
        heartbeat: &Heartbeat<'_>,
        config: &Config,
    ) -> Option<Delta<'_>> {
        let memory = self.0.as_deref_mut()?;
        memory.offered = None;
        if !config.deltas() {
            return None;
        }
        let Memory { base, offered, document } = memory;
        let Sent { values, .. } = offered.insert(Sent { at: now, values: Values::of(heartbeat)? });
        // The nearest beat to the end of the minute, although beats are sampled a little earlier or later.
        let is_due = |sent: &Sent| now.since(sent.at) + config.interval() / 2 >= FULL_EVERY;
        let (base, connection) = base.as_ref().filter(|(base, _)| !is_due(base))?;
        // What the board is belongs to full documents.
        #[cfg(feature = "board")]
        if heartbeat.board.is_some() {
            return None;
        }
        let len = values.encode_since(&base.values, document)?;
        Some(Delta { document: document.get(..len)?, connection: *connection })
    }

    /// The heartbeat has ended.
    pub(super) fn on_outcome(&mut self, verdict: Verdict, wire: Wire) {
        let Some(memory) = self.0.as_deref_mut() else { return };
        let offered = memory.offered.take();
        let connection = wire.understands_deltas.filter(|_| verdict.is_accepted());
        memory.base = match (connection, memory.base.take()) {
            (Some(connection), Some(base)) if wire.was_delta => {
                Some(base).filter(|base| base.1 == connection)
            }
            (Some(connection), _) if !wire.was_delta => offered.map(|sent| (sent, connection)),
            _ => None,
        };
    }

    /// There may be another server, or other settings.
    pub(super) fn forget(&mut self) {
        if let Some(memory) = self.0.as_deref_mut() {
            (memory.base, memory.offered) = (None, None);
        }
    }
}

#[cfg(test)]
mod tests;
