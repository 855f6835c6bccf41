//! What a master's core wants done.

use std::collections::BTreeMap;

use replog_core::master::{
    Effect, ReadAnswer,
    events::{NotLeading, Notice, WaitId, WriteOutcome},
};
use replog_host::bus::Outgoing;
use replog_master::bus::Translator;
use replog_shared::{
    Lines, MarkKind, Place,
    store::{LogView, Span, Store},
    wire::{self, Verdict},
};

use super::Master;
use crate::sim::{
    Mutant,
    client::Told,
    coverage::Path,
    hub::Hub,
    oracle::{Answer, Author, Cut},
};

impl Master {
    pub(super) fn execute(&mut self, hub: &mut Hub) {
        let mut effects = Vec::new();
        self.core.take_effects(&mut effects);
        self.execute_all(effects, hub);
    }

    pub(super) fn execute_all(&mut self, effects: Vec<Effect>, hub: &mut Hub) {
        let mut pushes = BTreeMap::<usize, usize>::new();
        let appends = |kind| {
            let opens = |effect: &Effect| matches!(effect, Effect::Append(lines) if opens(lines, kind));
            effects.iter().any(opens)
        };
        let (cleans, starts) = (appends(MarkKind::Clean), appends(MarkKind::Start));
        let outranked = effects
            .iter()
            .any(|effect| matches!(effect, Effect::Notice(Notice::Cut { .. } | Notice::BatchCut { .. })));
        self.cleans = cleans;
        for effect in effects {
            if hub.crashed {
                return;
            }
            if let Effect::Truncate(place, _) = effect {
                let cut = match (cleans, outranked, starts) {
                    (true, _, _) => Cut::Cleaned,
                    (_, true, _) => Cut::Outranked,
                    (_, _, true) => Cut::Folded,
                    _ => Cut::Abandoned,
                };
                self.truncate(place, cut, hub);
                continue;
            }
            if let Effect::Entries { secondary, answer: None, .. } = &effect {
                *pushes.entry(*secondary).or_default() += 1;
            }
            self.execute_one(effect, hub);
        }
        let most = pushes.into_values().max().unwrap_or_default();
        if most == self.window_envelopes {
            hub.coverage.hit(Path::WindowFull);
        }
        if most > self.window_envelopes {
            hub.oracle
                .found(|| format!("bounded: {most} envelopes were pushed at one time to one secondary"));
        }
    }

    fn execute_one(&mut self, effect: Effect, hub: &mut Hub) {
        match effect {
            Effect::Save(identity) => {
                let before = hub.oracle.on_save(self.index, &identity);
                self.disk.save(identity, self.cleans, before);
                hub.may_crash();
            }
            Effect::State { reply, state } => self.send(Translator::state(reply, &state), hub),
            Effect::ReadAnswer(answer) => self.answer_read(answer, hub),
            Effect::Append(lines) => self.append(&lines, hub),
            Effect::Truncate(..) => {}
            Effect::Answer { wait, outcome } => self.answer(wait, &outcome, hub),
            Effect::Entries { secondary, push, answer } => self.send_entries(secondary, push, answer, hub),
            Effect::JoinAnswer { reply, answer } => {
                let older = answer.verdict == Verdict::OlderMarks;
                hub.coverage.add(Path::OlderMarksWanted, older.into());
                self.send(self.translator.join_answer(reply, &answer), hub);
            }
            Effect::Heartbeat(heartbeat) => self.send(self.translator.heartbeat(&heartbeat), hub),
            Effect::Ask(ask) => {
                if !std::mem::replace(&mut self.asked_once, true) || !hub.is(Mutant::RetryGivesUp) {
                    self.send(self.translator.ask(&ask), hub);
                }
            }
            Effect::Promise(node, mut promise) => {
                promise.forced &= !self.automatic;
                self.send(self.translator.promise(&node, &promise), hub);
            }
            Effect::Read(node, read) => self.send(self.translator.read_range(&node, &read), hub),
            Effect::Notice(notice) => self.on_notice(&notice, hub),
        }
    }

    /// Says something once the saves and cuts before it are done.
    fn send(&self, packet: Outgoing, hub: &mut Hub) {
        hub.sent.push((self.disk.open(), packet));
    }

    fn on_notice(&self, notice: &Notice, hub: &mut Hub) {
        let index = self.index;
        hub.story.tell(|| format!("n{index} notes {notice:?}"));
        match notice {
            Notice::Adopting { .. } => hub.coverage.hit(Path::LogAdopted),
            Notice::BatchCut { .. } => hub.coverage.hit(Path::BatchCut),
            Notice::Cut { .. } => hub.coverage.hit(Path::OwnSuffixGivenUp),
            Notice::GivesWay { .. } => hub.coverage.hit(Path::LedLogGaveWay),
            Notice::Stopped(NotLeading::Fenced { .. }) if self.has_led => {
                hub.coverage.hit(Path::DeposedMasterTold);
            }
            Notice::Stopped(NotLeading::Diverged { node })
                if !hub.oracle.has_forgotten_reign(index, node) =>
            {
                self.check_disaster(notice, hub);
            }
            Notice::Stopped(NotLeading::NotPromoted { .. }) => hub.coverage.hit(Path::PromotionAbandoned),
            _ => {}
        }
        if let Notice::NewLog { silent } = notice {
            hub.not_heard.clone_from(silent);
        }
        if let Notice::Waiting { reason } = notice {
            self.check_finishes_clean(reason, hub);
        }
        if let Notice::Waiting { reason } = notice
            && reason.contains("lacks entries that it had, or may lack some")
        {
            hub.coverage.hit(Path::LackNoticed);
        }
        if let Notice::Stopped(NotLeading::NotPromoted { reason }) | Notice::Waiting { reason } = notice {
            if reason.contains("ranks highest, neither has nor explains") {
                hub.coverage.hit(Path::UnexplainedHalt);
                self.check_disaster(notice, hub);
            } else if reason.contains("too many epochs lie between") {
                hub.coverage.hit(Path::UnknownHalt);
            }
        }
    }

    /// A master that had all it ever acknowledged, and was emptying its log, needs nobody to lead on, unless its operator
    /// says that its disk is an old copy.
    fn check_finishes_clean(&self, reason: &str, hub: &mut Hub) {
        let needs_others = ["may lack some", "this node is empty", "are silent"];
        // Beside another log an empty one gives way.
        let own_log = self.disk.identity.log_id.map(|log_id| log_id.to_string()).unwrap_or_default();
        let beside_another = reason.contains("the others hold log") && !reason.contains(&own_log);
        let waits = needs_others.iter().any(|words| reason.contains(words)) && !beside_another;
        if waits && !self.recovers && self.disk.lacks_only_a_clean() && !hub.oracle.may_diverge() {
            let index = self.index;
            hub.oracle.found(|| format!("n{index} does not finish a clean that was broken off: {reason}"));
        }
    }

    fn check_disaster(&self, notice: &Notice, hub: &mut Hub) {
        if !hub.oracle.may_diverge() {
            let index = self.index;
            hub.oracle.found(|| format!("n{index}: {notice:?}, and no disk was touched"));
        }
    }

    fn append(&mut self, lines: &Lines, hub: &mut Hub) {
        let index = self.index;
        hub.story.tell(|| {
            let (to, marks) = (lines.tip().place.length, lines.marks().len());
            format!("n{index} (master) appends {}..{to} ({marks} marks)", lines.from())
        });
        if opens(lines, MarkKind::Clean) {
            hub.coverage.hit(Path::Cleaned);
        }
        let promoted = self.core.epoch().is_some() && opens(lines, MarkKind::Promotion);
        let stored = self.disk.store.append(lines);
        let leads = self.core.epoch().is_some_and(|epoch| lines.tip().epoch.as_ref() == Some(epoch));
        let author = if leads { Author::Own } else { Author::Fetched };
        hub.oracle.on_append(index, lines.from(), stored, author, &self.disk.store);
        if promoted {
            hub.coverage.hit(Path::Promoted);
            hub.coverage.add(Path::PromotedOverFolded, hub.oracle.reached_a_folded_mark(index).into());
        }
        hub.may_crash();
    }

    fn truncate(&mut self, place: Place, cut: Cut<'_>, hub: &mut Hub) {
        let index = self.index;
        hub.story.tell(|| format!("n{index} (master) cuts its log at {} ({cut:?})", place.length));
        if let Err(error) = self.disk.truncate(place, hub.oracle.is_damaged(index)) {
            return hub.oracle.found(|| format!("n{index}: {error}"));
        }
        self.cuts += 1;
        hub.coverage.add(Path::CutWhileParked, u64::from(!self.parking.is_empty()));
        self.sent_once.clear();
        self.admitted.clear();
        hub.oracle.on_truncate(index, &self.disk.store, cut);
        hub.may_crash();
        if matches!(cut, Cut::Folded) {
            hub.coverage.hit(if hub.crashed { Path::FoldTorn } else { Path::Folded });
        }
    }

    pub(super) fn answer(&mut self, wait: WaitId, outcome: &WriteOutcome, hub: &mut Hub) {
        let index = self.index;
        hub.story.tell(|| format!("n{index} answers request {}: {outcome:?}", wait.0));
        // The epoch is that of the log: the core may be about to open the next one.
        let Some(epoch) = hub.oracle.rank(index).0.cloned() else {
            return hub.clients.on_answer(wait, outcome, None, &mut hub.oracle, &mut hub.coverage);
        };
        let mut admitted = vec![None; self.peers.len() + 1];
        for (config, (_, admission)) in &self.admitted {
            admitted[self.peers[*config]] = Some(*admission);
        }
        let holders = match outcome {
            WriteOutcome::Met { holders, .. } | WriteOutcome::Unconfirmed { holders, .. } => {
                (0..self.peers.len())
                    .filter(|config| holders.contains(*config))
                    .map(|config| self.peers[config])
                    .collect()
            }
            _ => Vec::new(),
        };
        let waits_for = self.disk.open().filter(|_| !hub.is(Mutant::SaidBeforeSaved));
        let told = Told(Answer { node: index, epoch, admitted, holders, waits_for });
        hub.clients.on_answer(wait, outcome, Some(&told), &mut hub.oracle, &mut hub.coverage);
    }

    fn answer_read(&self, read: ReadAnswer, hub: &mut Hub) {
        let ReadAnswer { reply, sender, request, epoch, from } = read;
        let store = &self.disk.store;
        let durable = store.durable();
        let span = Span::fitting(store, from, durable, self.core.page_bytes());
        let (span, page) = match store.part(span) {
            Ok(part) => part,
            Err(failure) => return hub.oracle.found(|| failure.to_string()),
        };
        let header = wire::EntriesHeader::of(sender, epoch, span, &page, durable.length, Some(request));
        let payload = wire::encode_entries(&header, &page.bytes);
        self.send(Outgoing { subject: reply, reply: None, payload }, hub);
    }

    fn send_entries(&mut self, secondary: usize, push: Span, answer: Option<(u64, String)>, hub: &mut Hub) {
        if answer.is_none()
            && hub.is(Mutant::RetryGivesUp)
            && !self.sent_once.insert((secondary, push.from.length))
        {
            return;
        }
        let (request, reply) = answer.map_or((None, None), |(request, reply)| (Some(request), Some(reply)));
        let (push, page) = match self.disk.store.part(push) {
            Ok(part) => part,
            Err(failure) => return hub.oracle.found(|| failure.to_string()),
        };
        let length = self.disk.store.durable().length;
        let Some(header) = self.core.entries_header(secondary, push, request, &page, length) else { return };
        let (to, kind) = (page.to, if request.is_some() { "answers a fetch of" } else { "pushes" });
        hub.story.tell(|| {
            format!("n{} {kind} {}..{to} to n{}", self.index, push.from.length, self.peers[secondary])
        });
        self.send(self.translator.entries(&header, &page.bytes, reply), hub);
    }
}

/// Whether a run has a mark of this kind.
fn opens(lines: &Lines, kind: MarkKind) -> bool {
    lines.marks().iter().any(|placed| placed.mark.kind == kind)
}
