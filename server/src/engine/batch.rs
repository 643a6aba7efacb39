//! A batch of heartbeats: one commit.

use std::collections::{HashMap, HashSet};

use super::{Engine, Incoming, Tracked, Verdict, read, show, write};
use crate::{
    alerts::watch::Notice,
    fleet::Device,
    model::{
        DeviceId,
        document::{Beat, Sequence},
        ledger::Entry,
    },
    presence::Presence,
    store::{
        AlertRow, Applied, BeatRow, EventRow, Known, Labels, Result, Revision, StoreError, SummaryRow, Writes,
    },
    time::Now,
};

/// Lost heartbeats in a row from which on the history of a device says so: a minute, as a rule.
const GAP_WORTH_AN_EVENT: u64 = 12;
/// Attempts to commit a batch while other processes store heartbeats of the same devices. A device sends one at a time,
/// so that two processes have one of the same device only when it gave up on an answer.
const COMMIT_ATTEMPTS: usize = 8;

/// A batch on its way into the database.
#[derive(Default)]
struct Draft {
    tracked: HashMap<usize, Tracked>,
    writes: Writes,
    alerts: Vec<AlertRow>,
    /// Live heartbeats: place of the device, index in the batch.
    live: Vec<(usize, usize)>,
    verdicts: Vec<Verdict>,
    /// Heartbeats of this batch, which the database does not know yet.
    new: HashSet<(usize, Sequence)>,
}

impl Engine {
    /// Stores a batch, and answers each heartbeat when it is durable.
    pub(crate) fn commit(&mut self, now: Now, batch: Vec<Incoming>) {
        self.at_work(now);
        let mut answers = Vec::with_capacity(batch.len());
        let mut beats = Vec::with_capacity(batch.len());
        for incoming in batch {
            answers.push(incoming.answer);
            beats.push((incoming.beat, incoming.group));
        }
        let verdicts = match self.store_batch(now, beats) {
            Ok(verdicts) => verdicts,
            Err(error) => {
                self.not_stored(now, answers.len(), &error);
                vec![Verdict::Unavailable; answers.len()]
            }
        };
        for (answer, verdict) in answers.into_iter().zip(verdicts) {
            // A device that has closed its connection meanwhile retries.
            let _ = answer.send(verdict);
        }
    }

    fn store_batch(&mut self, now: Now, beats: Vec<(Beat, Option<String>)>) -> Result<Vec<Verdict>> {
        self.settle_duties(now)?;
        let added = self.add_devices(now, &beats)?;
        let places: Vec<_> = {
            let fleet = read(&self.fleet);
            beats.iter().map(|(beat, _)| fleet.place(&beat.hardware_id)).collect()
        };
        self.refresh_stale(&places)?;
        self.add_boots(now, &beats, &places)?;
        for _ in 0..COMMIT_ATTEMPTS {
            let known = self.known(&beats, &places)?;
            let draft = self.draft_batch(now, &beats, &places, &known, &added);
            if draft.writes.is_empty() {
                return Ok(self.adopt(now, beats, draft));
            }
            match self.apply(&draft.writes)? {
                Applied::Done => return Ok(self.adopt(now, beats, draft)),
                Applied::Stale(devices) => self.refresh(&devices)?,
                // Once more, without alerts: they are another process's.
                Applied::Deposed => self.change_lead(now, None)?,
            }
            self.add_boots(now, &beats, &places)?;
        }
        let text = "other processes store heartbeats of the same devices all the time";
        Err(StoreError::Unavailable(text.to_owned()))
    }

    fn draft_batch(
        &self,
        now: Now,
        beats: &[(Beat, Option<String>)],
        places: &[Option<usize>],
        known: &[bool],
        added: &[DeviceId],
    ) -> Draft {
        let mut draft = Draft::default();
        draft.writes.events.extend(added.iter().map(|device| EventRow {
            at: now.at,
            device: *device,
            kind: "added".to_owned(),
            detail: "heard for the first time".to_owned(),
        }));
        for (index, (beat, _)) in beats.iter().enumerate() {
            let place = places.get(index).copied().flatten();
            let known = known.get(index).copied().unwrap_or(false);
            let verdict = match place {
                Some(place) => self.draft(now, index, place, beat, known, &mut draft),
                None => Verdict::Unknown,
            };
            draft.verdicts.push(verdict);
        }
        draft
    }

    /// Reads ledgers again of which it is known that another process has changed them.
    fn refresh_stale(&mut self, places: &[Option<usize>]) -> Result<()> {
        let mut devices: Vec<DeviceId> = {
            let fleet = read(&self.fleet);
            let found = places.iter().flatten().filter_map(|place| fleet.devices().get(*place));
            found.map(|device| device.id).collect()
        };
        devices.sort_unstable();
        devices.dedup();
        let stale = self.store.stale(&devices);
        self.refresh(&stale)
    }

    /// Makes devices that are new, if new ones are taken.
    fn add_devices(&mut self, now: Now, beats: &[(Beat, Option<String>)]) -> Result<Vec<DeviceId>> {
        let mut new: Vec<(&str, Option<&str>)> = Vec::new();
        {
            let fleet = read(&self.fleet);
            let room = self.rules.devices_max.saturating_sub(fleet.devices().len());
            let mut seen = HashSet::new();
            for (beat, group) in beats {
                let id = beat.hardware_id.as_str();
                if new.len() < room && fleet.place(id).is_none() && seen.insert(id) {
                    new.push((id, group.as_deref()));
                }
            }
        }
        if new.is_empty() || !self.rules.new_devices {
            return Ok(Vec::new());
        }
        let ids = self.store.device_ids(now.at, &new)?;
        let mut added = Vec::new();
        {
            let mut fleet = write(&self.fleet);
            for ((hardware_id, group), (id, is_new)) in new.into_iter().zip(&ids) {
                let labels = Labels { group: group.map(str::to_owned), ..Labels::default() };
                fleet.add(Device::new(*id, hardware_id, labels, now.at));
                self.tracked.push(Tracked::default());
                if *is_new {
                    added.push(*id);
                }
            }
        }
        if added.len() < ids.len() {
            // Another process knows them already: they may have labels, or be removed.
            self.revision = Revision::default();
            self.reload()?;
        }
        Ok(added)
    }

    /// Makes sure that the starts of agents are in memory.
    fn add_boots(
        &mut self,
        now: Now,
        beats: &[(Beat, Option<String>)],
        places: &[Option<usize>],
    ) -> Result<()> {
        let mut missing = Vec::new();
        let mut seen = HashSet::new();
        {
            let fleet = read(&self.fleet);
            for ((beat, _), place) in beats.iter().zip(places) {
                let (Some(place), Some(Sequence { boot, .. })) = (place, beat.sequence) else { continue };
                let (Some(tracked), Some(device)) = (self.tracked.get(*place), fleet.devices().get(*place))
                else {
                    continue;
                };
                if !device.labels.removed
                    && tracked.ledger.boot(boot).is_none()
                    && seen.insert((*place, boot))
                {
                    missing.push((*place, device.id, boot));
                }
            }
        }
        if missing.is_empty() {
            return Ok(());
        }
        let ids: Vec<_> = missing.iter().map(|(_, device, boot)| (*device, *boot)).collect();
        for ((place, ..), boot) in missing.iter().zip(self.store.open_boots(now.at, &ids)?) {
            if let Some(tracked) = self.tracked.get_mut(*place) {
                tracked.ledger.remember(boot);
            }
        }
        Ok(())
    }

    /// Which of the heartbeats that come late are in the history already.
    fn known(&mut self, beats: &[(Beat, Option<String>)], places: &[Option<usize>]) -> Result<Vec<bool>> {
        let mut known = vec![false; beats.len()];
        let mut asked = Vec::new();
        {
            let fleet = read(&self.fleet);
            for (index, ((beat, _), place)) in beats.iter().zip(places).enumerate() {
                let Some(tracked) = place.and_then(|place| self.tracked.get(place)) else { continue };
                let device = place.and_then(|place| fleet.devices().get(place));
                let boot = beat.sequence.and_then(|sequence| tracked.ledger.boot(sequence.boot));
                if let (Some(device), Some(boot), Some(sequence)) = (device, boot, beat.sequence)
                    && tracked.ledger.must_look_up(beat)
                {
                    let newest = tracked.ledger.last_at;
                    let number = sequence.number;
                    asked.push((index, Known { device: device.id, boot: boot.ordinal, number, newest }));
                }
            }
        }
        if asked.is_empty() {
            return Ok(known);
        }
        let questions: Vec<_> = asked.iter().map(|(_, question)| *question).collect();
        for ((index, _), is_known) in asked.iter().zip(self.store.known(&questions)?) {
            if let Some(known) = known.get_mut(*index) {
                *known = is_known;
            }
        }
        Ok(known)
    }

    /// Records one heartbeat on copies.
    fn draft(
        &self,
        now: Now,
        index: usize,
        place: usize,
        beat: &Beat,
        known: bool,
        draft: &mut Draft,
    ) -> Verdict {
        let fleet = read(&self.fleet);
        let (Some(device), Some(tracked)) = (fleet.devices().get(place), self.tracked.get(place)) else {
            return Verdict::Unavailable;
        };
        if device.labels.removed {
            return Verdict::Removed;
        }
        let expect = self.rules.expectations.of(device.labels.group.as_deref());
        let Draft { tracked: copies, writes, alerts, live, new, .. } = draft;
        let copy = copies.entry(place).or_insert_with(|| tracked.clone());
        let known =
            known || beat.sequence.is_some_and(|sequence| beat.replayed && new.contains(&(place, sequence)));
        let Some(entry) = copy.ledger.book(now.at, beat, known, self.late_ms()) else {
            return Verdict::Repeated;
        };
        if let Some(sequence) = beat.sequence {
            new.insert((place, sequence));
        }
        let mut notices: Vec<Notice> = Vec::new();
        if !beat.replayed {
            let skew = beat.sampled_at.map(|sampled| sampled.since(now.at));
            if self.leads() {
                notices = copy.watch.beat(now, &beat.reading, skew, expect, self.may_raise(now));
            }
            live.push((place, index));
            writes.latest.push((device.id, now.at, beat.text.clone()));
            if let Some(board) = beat.board.as_ref().filter(|board| device.board.as_deref() != Some(board)) {
                writes.boards.push((device.id, board.clone()));
            }
        }
        write_entry(writes, now, device.id, beat, entry);
        for notice in &notices {
            let (event, alert) = self.record(now, device.id, notice);
            writes.events.push(event);
            writes.alerts.push(alert.clone());
            alerts.push(alert);
        }
        Verdict::Stored
    }

    /// The batch is durable: what was drafted holds.
    fn adopt(&mut self, now: Now, beats: Vec<(Beat, Option<String>)>, draft: Draft) -> Vec<Verdict> {
        for row in draft.alerts {
            self.keep_alert(row);
        }
        let leads = self.leads();
        let mut fleet = write(&self.fleet);
        let mut beats: Vec<Option<Beat>> = beats.into_iter().map(|(beat, _)| Some(beat)).collect();
        for (place, index) in draft.live {
            let beat = beats.get_mut(index).and_then(Option::take);
            if let (Some(device), Some(beat)) = (fleet.at_mut(place), beat) {
                device.presence = Presence::Online;
                device.heard = Some(now.up);
                show(device, now.at, beat);
            }
            fleet.beats += 1;
        }
        for (place, mut copy) in draft.tracked {
            copy.ledger.forget_old_boots();
            if let Some(device) = fleet.at_mut(place) {
                device.lost = copy.ledger.lost();
                if leads {
                    device.alerts = copy.watch.raised();
                }
            }
            if let Some(tracked) = self.tracked.get_mut(place) {
                *tracked = copy;
            }
        }
        fleet.repeated +=
            draft.verdicts.iter().filter(|verdict| **verdict == Verdict::Repeated).count() as u64;
        fleet.revision += 1;
        drop(fleet);
        if !draft.writes.is_empty() {
            self.stored(now);
        }
        draft.verdicts
    }
}

fn write_entry(writes: &mut Writes, now: Now, device: DeviceId, beat: &Beat, entry: Entry) {
    writes.beats.push(BeatRow {
        device,
        at: entry.at,
        sampled_at: beat.sampled_at,
        boot: entry.boot.map(|boot| boot.ordinal),
        number: beat.sequence.map(|sequence| sequence.number),
        replayed: beat.replayed,
        reading: beat.reading.clone(),
    });
    writes.boots.extend(entry.boot.map(|boot| (device, boot)));
    let summaries = entry.minutes.into_iter();
    writes.summaries.extend(summaries.map(|(minute, summary)| SummaryRow { device, minute, summary }));
    let mut event = |kind: &str, detail: String| {
        writes.events.push(EventRow { at: now.at, device, kind: kind.to_owned(), detail });
    };
    if entry.restarted {
        event("restarted", "the agent has started again".to_owned());
    }
    if entry.gap >= GAP_WORTH_AN_EVENT {
        event("gap", format!("{} heartbeats are missing", entry.gap));
    }
}
