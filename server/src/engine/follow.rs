//! Other processes on the same database: what they stored is shown here, and one of all leads.
//!
//! Each process stores what it receives. The database says when the ledger of a device has been changed by another
//! process; then it is read again. Conditions are watched by the process that leads, over the heartbeats of all, so that
//! an alert is raised once. When it ends, another one takes its duties from the database.

use super::{Engine, Tracked, known_device, raised, read, write};
use crate::{
    alerts::{kind::Kind, watch::Watch},
    clock::since_boot,
    fleet::Device,
    limits::{DELIVERY_PAUSE_MAX_MS, REFRESH_MAX},
    model::DeviceId,
    store::{AlertRow, Applied, DeviceRow, Duties, Labels, MessageRow, Result, Writes},
    time::{MINUTE_MS, Now},
};

/// Silence after which the leading process closes the last minute of a device that any process received.
const SILENT_MS: i64 = 4 * MINUTE_MS;

impl Engine {
    /// Takes over what other processes have stored, and the lead if it has become free.
    ///
    /// # Errors
    /// Those of the store.
    pub(super) fn follow(&mut self, now: Now) -> Result<()> {
        let asked = since_boot();
        let term = self.store.lead()?;
        if term.is_some() {
            self.renew_lease(asked);
        }
        if term != self.term {
            self.change_lead(now, term)?;
        }
        self.settle_duties(now)?;
        let changes = self.store.changes()?;
        if !changes.devices.is_empty() {
            self.show_devices(now, changes.devices)?;
        }
        if self.leads() {
            let idle = self.idle_devices(now);
            let mut stale = self.store.stale(&idle);
            stale.truncate(REFRESH_MAX);
            self.refresh(&stale)?;
        } else {
            self.show_alerts(&changes.alerts, changes.messages);
        }
        Ok(())
    }

    /// Reads ledgers again that another process has changed.
    pub(super) fn refresh(&mut self, devices: &[DeviceId]) -> Result<()> {
        if devices.is_empty() {
            return Ok(());
        }
        let ledgers = self.store.ledgers(devices)?;
        let mut fleet = write(&self.fleet);
        for (id, ledger) in ledgers {
            let Some(place) = fleet.place_of(id) else { continue };
            if let (Some(device), Some(tracked)) = (fleet.at_mut(place), self.tracked.get_mut(place)) {
                device.lost = ledger.lost();
                tracked.ledger = ledger;
            }
        }
        Ok(())
    }

    /// Alerts and messages that are this process's from now on.
    pub(super) fn take_duties(&mut self, now: Now, duties: Duties) {
        let alerts = duties.alerts.into_iter();
        self.alerts =
            alerts.filter_map(|row| Some(((row.device, Kind::from_word(&row.kind)?), row))).collect();
        let messages = duties.messages.into_iter().map(|message| {
            // Written by a clock that was ahead of this one: it must neither wait for years nor be given up at once.
            let created_at = message.created_at.min(now.at);
            let next_at = message.next_at.min(now.at.plus(DELIVERY_PAUSE_MAX_MS));
            (message.id, MessageRow { created_at, next_at, ..message })
        });
        self.messages = messages.collect();
    }

    /// Reads alerts and messages again after a commit of which it is not known whether it was made.
    pub(super) fn settle_duties(&mut self, now: Now) -> Result<()> {
        if self.duties_unsure && self.leads() {
            let duties = self.store.duties()?;
            self.resume_watches(&duties);
            self.take_duties(now, duties);
        }
        self.duties_unsure = false;
        Ok(())
    }

    /// Conditions as the database knows them.
    fn resume_watches(&mut self, duties: &Duties) {
        let mut raised = raised(&duties.alerts);
        let mut fleet = write(&self.fleet);
        for (place, tracked) in self.tracked.iter_mut().enumerate() {
            let Some(device) = fleet.at_mut(place) else { continue };
            device.alerts = raised.remove(&device.id).unwrap_or_default();
            tracked.watch = Watch::resume(device.alerts.iter().copied(), device.reading.app_version.clone());
        }
        fleet.revision += 1;
    }

    /// Begins a term, or ends one. Nothing that was raised or is on its way is forgotten: it is in the database. What becomes
    /// of attempts that are under way at the end of a term is not stored: the process that leads now sends these messages
    /// again, and says so.
    pub(super) fn change_lead(&mut self, now: Now, term: Option<i64>) -> Result<()> {
        if term.is_none() {
            self.lease.end();
        }
        let duties = if term.is_some() { self.store.duties()? } else { Duties::default() };
        if term.is_some() {
            log::info!("this process raises alerts and sends messages from now on");
            self.resume_watches(&duties);
        } else {
            log::warn!("another process raises alerts and sends messages from now on");
        }
        self.take_duties(now, duties);
        self.term = term;
        Ok(())
    }

    /// Shows devices as another process has stored them; if this one leads, watches their conditions.
    fn show_devices(&mut self, now: Now, rows: Vec<DeviceRow>) -> Result<()> {
        let mut writes = Writes::default();
        let mut watched: Vec<(usize, Watch)> = Vec::new();
        let mut shown: Vec<Device> = Vec::with_capacity(rows.len());
        {
            let fleet = read(&self.fleet);
            for row in rows {
                let (mut device, _) = known_device(row);
                device.heard = device.seen_at.map(|seen_at| now.then(seen_at));
                let place = fleet.place_of(device.id);
                let known = place.and_then(|place| fleet.devices().get(place));
                let is_news = is_news(&device, known);
                if let (true, true, Some(place)) = (self.leads(), is_news, place)
                    && let Some(tracked) = self.tracked.get(place)
                {
                    let mut watch = tracked.watch.clone();
                    let expect = self.rules.expectations.of(device.labels.group.as_deref());
                    let notices =
                        watch.beat(now, &device.reading, device.skew_ms, expect, self.may_raise(now));
                    for notice in &notices {
                        let (event, alert) = self.record(now, device.id, notice);
                        writes.events.push(event);
                        writes.alerts.push(alert);
                    }
                    watched.push((place, watch));
                }
                shown.push(device);
            }
        }
        // Rows of no ledger: they cannot be stale.
        let applied = if writes.is_empty() { Ok(Applied::Done) } else { self.apply(&writes) };
        if matches!(applied, Ok(Applied::Done)) {
            for row in writes.alerts {
                self.keep_alert(row);
            }
            for (place, watch) in watched {
                if let Some(tracked) = self.tracked.get_mut(place) {
                    tracked.watch = watch;
                }
            }
        }
        // The store does not tell these changes again: they are shown even if no alert of them could be stored.
        self.adopt_shown(shown);
        match applied? {
            Applied::Deposed => self.change_lead(now, None),
            Applied::Done | Applied::Stale(_) => Ok(()),
        }
    }

    fn adopt_shown(&mut self, shown: Vec<Device>) {
        let leads = self.leads();
        let mut fleet = write(&self.fleet);
        for device in shown {
            let Some(place) = fleet.place_of(device.id) else {
                self.tracked.push(Tracked::default());
                fleet.add(device);
                continue;
            };
            let Some(known) = fleet.at_mut(place) else { continue };
            known.lost = device.lost;
            if device.seen_at.is_none() {
                // Another process has deleted what was stored of it.
                let alerts = std::mem::take(&mut known.alerts);
                *known = Device {
                    labels: device.labels,
                    alerts,
                    ..Device::new(known.id, &known.hardware_id, Labels::default(), known.added_at)
                };
                continue;
            }
            if device.board.is_some() {
                known.board.clone_from(&device.board);
            }
            let is_news = is_news(&device, Some(known));
            known.labels = device.labels;
            if is_news {
                known.seen_at = device.seen_at;
                known.heard = device.heard;
                known.skew_ms = device.skew_ms;
                known.reading = device.reading;
                known.document = device.document;
            }
            if let Some(tracked) = self.tracked.get(place).filter(|_| leads) {
                known.alerts = tracked.watch.raised();
            }
        }
        fleet.revision += 1;
    }

    /// Shows what the leading process has found wrong, and how many of its messages wait.
    fn show_alerts(&self, alerts: &[AlertRow], messages: usize) {
        let mut raised = raised(alerts);
        let mut fleet = write(&self.fleet);
        let mut changed = std::mem::replace(&mut fleet.messages, messages) != messages;
        for place in 0..self.tracked.len() {
            let Some(device) = fleet.at_mut(place) else { continue };
            let alerts = raised.remove(&device.id).unwrap_or_default();
            if device.alerts != alerts {
                device.alerts = alerts;
                changed = true;
            }
        }
        if changed {
            fleet.revision += 1;
        }
    }

    /// Devices whose last minute may be open although they have been silent for a while.
    fn idle_devices(&self, now: Now) -> Vec<DeviceId> {
        let fleet = read(&self.fleet);
        let all = fleet.devices().iter().zip(&self.tracked);
        let idle = all.filter(|(device, tracked)| {
            tracked.ledger.is_idle(now.at) || device.silence(now).is_some_and(|silence| silence > SILENT_MS)
        });
        idle.map(|(device, _)| device.id).collect()
    }
}

/// Whether a device was heard since it was shown. Not only later times are: the calendar may have been set back.
fn is_news(device: &Device, known: Option<&Device>) -> bool {
    device.seen_at.is_some() && device.seen_at != known.and_then(|known| known.seen_at)
}
