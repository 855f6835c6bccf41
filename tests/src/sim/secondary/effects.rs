//! What a secondary's core wants done.

use bytes::Bytes;
use replog_core::secondary::{Effect, Notice, ReadAnswer};
use replog_host::bus::Outgoing;
use replog_shared::{
    Lines, MarkKind, Place,
    store::{LogView, Span, Store},
    wire,
};

use super::Secondary;
use crate::sim::{
    Mutant,
    coverage::Path,
    hub::Hub,
    oracle::{Author, Cut},
};

impl Secondary {
    pub(super) fn execute(&mut self, hub: &mut Hub) {
        for effect in self.core.take_effects() {
            if hub.crashed {
                return;
            }
            self.execute_one(effect, hub);
        }
    }

    pub(super) fn append(&mut self, lines: &Lines, hub: &mut Hub) {
        let index = self.index;
        hub.story.tell(|| {
            format!(
                "n{index} appends {}..{} ({} marks)",
                lines.from(),
                lines.tip().place.length,
                lines.marks().len()
            )
        });
        let stored = self.disk.store.append(lines);
        let fence = self.status().fence;
        hub.oracle.on_append(index, lines.from(), stored, Author::Followed(fence.as_ref()), &self.disk.store);
        hub.may_crash();
    }

    fn execute_one(&mut self, effect: Effect, hub: &mut Hub) {
        match effect {
            Effect::Save(identity) => {
                let before = hub.oracle.on_save(self.index, &identity);
                self.disk.save(identity, false, before);
                hub.may_crash();
            }
            Effect::Append(lines) => self.append(&lines, hub),
            Effect::Truncate(..) if hub.is(Mutant::CutSkipped) => {}
            Effect::Truncate(place, _) => self.truncate(place, hub),
            Effect::Join(join) => {
                if std::mem::replace(&mut self.joined_once, true) && hub.is(Mutant::RetryGivesUp) {
                    return;
                }
                let subject = self.subjects.join(Some(&self.name));
                self.request(subject, "join", join.request, wire::encode(&join), hub);
            }
            Effect::Fetch(fetch) => {
                if hub.is(Mutant::RetryGivesUp) && !self.fetched_once.insert(fetch.from) {
                    return;
                }
                let index = self.index;
                hub.story.tell(|| format!("n{index} asks for {}..{}", fetch.from, fetch.to));
                let subject = self.subjects.fetch(Some(&self.name));
                self.request(subject, "fetch", fetch.request, wire::encode(&fetch), hub);
            }
            Effect::Ack(ack) => self.send_ack(ack, hub),
            Effect::State { reply, state } => self.send(answer(reply, wire::encode(&state)), hub),
            Effect::ReadAnswer(answer) => self.answer_read(answer, hub),
            Effect::Notice(notice) => self.on_notice(&notice, hub),
        }
    }

    fn truncate(&mut self, mut place: Place, hub: &mut Hub) {
        let (index, tip) = (self.index, self.disk.store.tip().place);
        if hub.is(Mutant::CutAtLength) && self.told_length > place.length {
            place = Place::new(self.told_length.min(tip.length), tip.marks);
        }
        hub.story.tell(|| format!("n{index} cuts its log at {}", place.length));
        hub.coverage.hit(if place.length < tip.length { Path::SuffixCut } else { Path::MarksCut });
        if self.status().fence.is_some_and(|fence| hub.oracle.last_turn(&fence) == Some(MarkKind::Promotion))
        {
            hub.coverage.hit(Path::SuffixCutAfterPromotion);
        }
        if let Err(error) = self.disk.truncate(place, hub.oracle.is_damaged(index)) {
            return hub.oracle.found(|| format!("n{index}: {error}"));
        }
        self.cuts += 1;
        hub.coverage.add(Path::CutWhileParked, u64::from(!self.parking.is_empty()));
        let fence = self.status().fence;
        let gave_way = std::mem::take(&mut self.gives_way);
        let cut = if gave_way { Cut::GaveWay } else { Cut::Followed(fence.as_ref()) };
        hub.oracle.on_truncate(index, &self.disk.store, cut);
        hub.may_crash();
    }

    /// Says something once the saves and cuts before it are done.
    fn send(&self, packet: Outgoing, hub: &mut Hub) {
        hub.sent.push((self.disk.open(), packet));
    }

    fn on_notice(&mut self, notice: &Notice, hub: &mut Hub) {
        let index = self.index;
        hub.story.tell(|| format!("n{index} notes {notice:?}"));
        match notice {
            Notice::Damaged { .. } if hub.oracle.is_damaged(index) => {}
            Notice::Damaged { .. } => {
                hub.oracle.found(|| format!("n{index}: {notice:?}, and no bit was flipped"));
            }
            Notice::Diverged { .. } if !hub.oracle.may_diverge() => {
                hub.oracle.found(|| format!("n{index}: {notice:?}, and no disk was touched"));
            }
            Notice::Diverged { .. } => hub.coverage.hit(Path::Diverged),
            Notice::GivesWay { .. } => {
                hub.coverage.hit(Path::GaveWay);
                self.gives_way = true;
            }
            Notice::Whole => hub.coverage.hit(Path::Whole),
            _ => {}
        }
    }

    fn send_ack(&self, mut ack: wire::Ack, hub: &mut Hub) {
        if hub.is(Mutant::AckOfHighestReceived) && self.highest.0 > ack.through {
            (ack.through, ack.digest) = self.highest;
        }
        if hub.is(Mutant::AckBeforeMark) && ack.state == wire::SecondaryState::Syncing {
            ack.epoch.clone_from(&ack.fence);
        } else {
            hub.oracle.on_ack(self.index, &ack);
        }
        self.send(answer(self.subjects.acks(Some(&self.name)), wire::encode(&ack)), hub);
    }

    fn request(&self, subject: String, kind: &str, request: u64, payload: Bytes, hub: &mut Hub) {
        let reply = Some(format!("{}.{kind}.{request}", self.inbox_subject));
        self.send(Outgoing { subject, reply, payload }, hub);
    }

    fn answer_read(&self, read: ReadAnswer, hub: &mut Hub) {
        let ReadAnswer { reply, sender, request, epoch, from } = read;
        let (store, durable) = (&self.disk.store, self.disk.store.durable());
        let span = Span::fitting(store, from, durable, self.page_bytes);
        let (span, page) = match store.part(span) {
            Ok(part) => part,
            Err(error) => return hub.oracle.found(|| error.to_string()),
        };
        let header = wire::EntriesHeader::of(sender, epoch, span, &page, durable.length, Some(request));
        self.send(answer(reply, wire::encode_entries(&header, &page.bytes)), hub);
    }
}

fn answer(subject: String, payload: Bytes) -> Outgoing {
    Outgoing { subject, reply: None, payload }
}
