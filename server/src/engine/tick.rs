//! What falls due with time, checked once a second.

use super::{Engine, Tracked, read, write};
use crate::{
    alerts::{
        attempt::{Attempt, pause_ms},
        digest::{Line, compose},
        kind::Kind,
        watch::Watch,
    },
    fleet::Device,
    limits::{CLOSED_MAX, TURN_LATE_MS},
    model::{DeviceId, ledger::Ledger},
    presence::Presence,
    store::{AlertRow, Applied, Labels, MessageRow, Purge, Result, Retained, SummaryRow, Writes},
    text::one_line,
    time::{HOUR_MS, Now, UnixMs, span},
};

/// A turn on its way into the database.
#[derive(Default)]
struct Draft {
    writes: Writes,
    watches: Vec<(usize, Watch)>,
    presences: Vec<(usize, Presence)>,
    alerts: Vec<AlertRow>,
    messages: Vec<MessageRow>,
    outgoing: Vec<MessageRow>,
    digest_made: bool,
}

impl Engine {
    /// Does what is due at `now`. If the store fails, nothing has changed, and the next turn tries again.
    ///
    /// # Errors
    /// Those of the store.
    pub(crate) fn tick(&mut self, now: Now) -> Result<()> {
        self.at_work(now);
        let pause_ms = now.up.since(std::mem::replace(&mut self.turned_at, now.up));
        if pause_ms > TURN_LATE_MS {
            log::warn!("no heartbeat could be stored for {}", span(pause_ms));
            self.restart_watch(now);
        }
        let done = self.turn(now);
        if let Err(error) = &done {
            self.not_stored(now, 0, error);
        }
        done
    }

    fn turn(&mut self, now: Now) -> Result<()> {
        self.reload()?;
        self.probe(now)?;
        self.follow(now)?;
        if self.leads() {
            self.close_minutes(now)?;
        }
        // Alerts and messages have a commit of their own: no ledger that another process has changed can hold them up.
        let mut draft = Draft::default();
        self.look_at_devices(now, &mut draft);
        if self.leads() {
            self.end_attempts(now.at, &mut draft);
            self.compose_message(now, &mut draft);
            self.begin_attempts(now.at, &mut draft);
        }
        if !draft.writes.is_empty() {
            match self.apply(&draft.writes)? {
                Applied::Done => {}
                // The next turn does what is left to do.
                Applied::Stale(devices) => return self.refresh(&devices),
                Applied::Deposed => return self.change_lead(now, None),
            }
        }
        self.adopt_turn(now, draft);
        Ok(())
    }

    /// Writes the last minutes of devices that have been silent for a while.
    fn close_minutes(&mut self, now: Now) -> Result<()> {
        let mut closed: Vec<(usize, Ledger, SummaryRow)> = {
            let fleet = read(&self.fleet);
            let all = fleet.devices().iter().zip(&self.tracked).enumerate();
            let idle = all.filter(|(_, (_, tracked))| tracked.ledger.is_idle(now.at));
            let closed = idle.filter_map(|(place, (device, tracked))| {
                let mut ledger = tracked.ledger.clone();
                let (minute, summary) = ledger.close_minute(now.at)?;
                Some((place, ledger, SummaryRow { device: device.id, minute, summary }))
            });
            closed.take(CLOSED_MAX).collect()
        };
        while !closed.is_empty() {
            let summaries = closed.iter().map(|(.., row)| *row).collect();
            match self.apply(&Writes { summaries, ..Writes::default() })? {
                Applied::Done => {
                    for (place, ledger, _) in closed {
                        if let Some(tracked) = self.tracked.get_mut(place) {
                            tracked.ledger = ledger;
                        }
                    }
                    self.stored(now);
                    return Ok(());
                }
                // The next turn closes them; meanwhile the others are not held up.
                Applied::Stale(devices) => {
                    self.refresh(&devices)?;
                    closed.retain(|(.., row)| !devices.contains(&row.device));
                }
                Applied::Deposed => return self.change_lead(now, None),
            }
        }
        Ok(())
    }

    /// One step of the retention.
    ///
    /// # Errors
    /// Those of the store.
    pub(crate) fn retain(&mut self, now: UnixMs) -> Result<Retained> {
        if self.leads() { self.store.retain(now, &self.rules.retention) } else { Ok(Retained::Over) }
    }

    /// Whether [`Engine::purge`] may have something to do.
    pub(crate) fn is_purging(&self) -> bool {
        self.purging && self.leads()
    }

    /// One step of deleting what is stored of devices that are to be forgotten.
    ///
    /// # Errors
    /// Those of the store.
    pub(crate) fn purge(&mut self) -> Result<Retained> {
        match self.store.purge()? {
            Purge::Nothing => self.purging = false,
            Purge::More => {}
            Purge::Done(device) => self.forget(device),
        }
        Ok(if self.purging { Retained::More } else { Retained::Over })
    }

    /// Nothing of this device is stored any more but its id: it is shown so, and its numbers begin again.
    fn forget(&mut self, id: DeviceId) {
        self.alerts.retain(|(device, _), _| *device != id);
        let mut fleet = write(&self.fleet);
        let Some(place) = fleet.place_of(id) else { return };
        if let Some(tracked) = self.tracked.get_mut(place) {
            *tracked = Tracked::default();
        }
        if let Some(device) = fleet.at_mut(place) {
            let labels = Labels { removed: device.labels.removed, ..Labels::default() };
            *device = Device::new(id, &device.hardware_id, labels, device.added_at);
        }
        fleet.revision += 1;
    }

    /// An attempt to deliver a message has ended; the next turn stores it.
    pub(crate) fn attempted(&mut self, message: i64, attempt: Attempt) {
        self.attempts.push((message, attempt));
    }

    fn look_at_devices(&self, now: Now, draft: &mut Draft) {
        let fleet = read(&self.fleet);
        for (place, (device, tracked)) in fleet.devices().iter().zip(&self.tracked).enumerate() {
            let expect = self.rules.expectations.of(device.labels.group.as_deref());
            let presence = Presence::after(device.silence(now), expect);
            if presence != device.presence {
                draft.presences.push((place, presence));
            }
            // A removed device raises no alert. Silence counts from when the server could receive heartbeats.
            let silent_since = device.heard.map(|heard| heard.max(self.watching_since));
            let silence = Presence::after(silent_since.map(|since| now.up.since(since)), expect);
            let alerted = if presence == Presence::Online { presence } else { silence.max(Presence::Late) };
            let watched = self.leads()
                && !device.labels.removed
                && device.seen_at.is_some()
                && tracked.watch.heeds(alerted);
            if !watched {
                continue;
            }
            let mut watch = tracked.watch.clone();
            if let Some(notice) = watch.presence(now, alerted, device.seen_at, expect, self.may_raise(now)) {
                let (event, alert) = self.record(now, device.id, &notice);
                draft.writes.events.push(event);
                draft.writes.alerts.push(alert.clone());
                draft.alerts.push(alert);
            }
            draft.watches.push((place, watch));
        }
    }

    fn compose_message(&mut self, now: Now, draft: &mut Draft) {
        let waiting: Vec<&AlertRow> = self.alerts.values().filter(|row| row.unannounced).collect();
        let Rules { gather_ms, pause_ms } = Rules::of(self);
        if !self.digest.due(now.up, !waiting.is_empty(), gather_ms, pause_ms) {
            return;
        }
        let fleet = read(&self.fleet);
        let mut lines = Vec::with_capacity(waiting.len());
        for row in waiting {
            let (Some(device), Some(kind)) = (fleet.get(row.device), Kind::from_word(&row.kind)) else {
                continue;
            };
            lines.push(Line {
                hardware_id: one_line(&device.hardware_id),
                name: device.labels.name.as_deref().map(one_line),
                group: device.labels.group.as_deref().map(one_line),
                kind: kind.word(),
                raised: row.raised || kind == Kind::Version,
                since: row.since.rfc3339(),
                // Versions are what a device says.
                detail: one_line(&row.detail),
            });
            let told = AlertRow { unannounced: false, ..row.clone() };
            draft.writes.alerts.push(told.clone());
            draft.alerts.push(told);
        }
        lines.sort_by(|a, b| {
            (!a.raised, &a.group, &a.name, &a.hardware_id).cmp(&(
                !b.raised,
                &b.group,
                &b.name,
                &b.hardware_id,
            ))
        });
        let (subject, body) = compose(&lines);
        let first = self.messages.keys().next_back().map_or(now.at.0, |last| (last + 1).max(now.at.0));
        for (id, channel) in (first..).zip(&self.rules.channels) {
            let message = MessageRow {
                id,
                channel: channel.clone(),
                created_at: now.at,
                next_at: now.at,
                attempts: 0,
                doubtful: false,
                subject: subject.clone(),
                body: body.clone(),
            };
            draft.writes.messages.push(message.clone());
            draft.messages.push(message);
        }
        draft.digest_made = true;
    }

    fn end_attempts(&self, now: UnixMs, draft: &mut Draft) {
        let give_up_ms = i64::from(self.rules.alerts.give_up_hours) * HOUR_MS;
        for (id, attempt) in &self.attempts {
            let Some(message) = self.messages.get(id) else { continue };
            let failed = match attempt {
                Attempt::Delivered => {
                    draft.writes.messages_done.push(*id);
                    continue;
                }
                Attempt::Failed(_) => self.in_flight.get(id).copied().unwrap_or(false),
                Attempt::Doubtful(_) => true,
            };
            if now.since(message.created_at) > give_up_ms {
                log::error!("channel {}: message {id} given up: {}", message.channel, message.subject);
                draft.writes.messages_done.push(*id);
                continue;
            }
            let message = MessageRow {
                doubtful: failed,
                next_at: now.plus(pause_ms(message.attempts)),
                ..message.clone()
            };
            draft.writes.messages.push(message.clone());
            draft.messages.push(message);
        }
    }

    fn begin_attempts(&self, now: UnixMs, draft: &mut Draft) {
        let ended: Vec<i64> = self.attempts.iter().map(|(id, _)| *id).collect();
        for message in self.messages.values() {
            let busy = self.in_flight.contains_key(&message.id) || ended.contains(&message.id);
            if busy || message.next_at > now {
                continue;
            }
            let begun = MessageRow { attempts: message.attempts + 1, ..message.clone() };
            draft.outgoing.push(begun.clone());
            // Until it is known how the attempt ended, it may have arrived.
            let begun = MessageRow { doubtful: true, ..begun };
            draft.writes.messages.push(begun.clone());
            draft.messages.push(begun);
        }
    }

    fn adopt_turn(&mut self, now: Now, draft: Draft) {
        if !draft.writes.is_empty() {
            self.stored(now);
        }
        for row in draft.alerts {
            self.keep_alert(row);
        }
        for (id, _) in self.attempts.drain(..) {
            self.in_flight.remove(&id);
        }
        for message in draft.messages {
            self.messages.insert(message.id, message);
        }
        for id in draft.writes.messages_done {
            self.messages.remove(&id);
        }
        for message in draft.outgoing {
            self.in_flight.insert(message.id, message.doubtful);
            // Without a delivery thread it stays in flight, and in the database.
            let _ = self.delivery.send(message);
        }
        if draft.digest_made {
            self.digest.made(now.up);
        }
        let mut fleet = write(&self.fleet);
        if self.term.is_some() && fleet.messages != self.messages.len() {
            fleet.messages = self.messages.len();
            fleet.revision += 1;
        }
        if !draft.presences.is_empty() || !draft.watches.is_empty() {
            fleet.revision += 1;
        }
        for (place, presence) in draft.presences {
            if let Some(device) = fleet.at_mut(place) {
                device.presence = presence;
            }
        }
        for (place, watch) in draft.watches {
            if let Some(device) = fleet.at_mut(place) {
                device.alerts = watch.raised();
            }
            if let Some(tracked) = self.tracked.get_mut(place) {
                tracked.watch = watch;
            }
        }
    }
}

/// The times of `[alerts]` in milliseconds.
struct Rules {
    gather_ms: i64,
    pause_ms: i64,
}

impl Rules {
    fn of(engine: &Engine) -> Self {
        let alerts = engine.rules.alerts;
        Self { gather_ms: i64::from(alerts.gather_s) * 1000, pause_ms: i64::from(alerts.pause_s) * 1000 }
    }
}
