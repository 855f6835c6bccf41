//! What surrounds a simulated master's driver: the oracle looks at all that it does.

use std::collections::{BTreeMap, BTreeSet};

use replog_core::{
    driver::Environment,
    master::{
        self, Effect, Event, MasterCore, Packet, Translator,
        events::{NotLeading, Notice, WriteOutcome},
        reasons::{Dispute, Lack, Reason},
    },
};
use replog_shared::{
    Identity, Incarnation, Lines, LogName, MarkKind, NodeName, Order, Place,
    store::{Lookup, Ticket},
    wire::{self, Verdict},
};

use crate::{
    Mutant,
    client::Told,
    coverage::Path,
    disk::Disk,
    hub::Hub,
    oracle::{Answer, Author, Cut},
};

/// What is around the driver, and belongs to its process.
#[derive(Debug)]
pub(super) struct Around {
    /// Which node it is.
    pub(super) index: usize,
    pub(super) translator: Translator,
    /// The other nodes: their names in the order of its configuration.
    pub(super) secondaries: Vec<NodeName>,
    /// It promises nothing that a living master would mind (docs/RECOVERY.md, section 4).
    pub(super) automatic: bool,
    /// Its operator says that its disk is an old copy.
    pub(super) recovers: bool,
    pub(super) window_envelopes: usize,
    /// The admitted process of each secondary, and which admission that was.
    pub(super) admitted: BTreeMap<usize, (Incarnation, u64)>,
    pub(super) has_led: bool,
    /// How many events wait for old lines.
    pub(super) parked: usize,
    /// What is done at the moment empties the log, …
    cleans: bool,
    /// … or cuts it for this reason.
    cut: Cut<'static>,
    /// Who asks to join at the moment.
    joining: Option<(usize, Incarnation)>,
    /// For mutants: what was pushed, asked and acked already.
    sent_once: BTreeSet<(usize, Order)>,
    asked_once: bool,
    pub(super) last_acks: BTreeMap<usize, wire::Ack>,
}

impl Around {
    pub(super) fn new(index: usize, log: &LogName, name: NodeName, secondaries: Vec<NodeName>) -> Around {
        Around {
            index,
            translator: Translator::new(log.clone(), &name),
            secondaries,
            automatic: false,
            recovers: false,
            window_envelopes: 0,
            admitted: BTreeMap::new(),
            has_led: false,
            parked: 0,
            cleans: false,
            cut: Cut::Abandoned,
            joining: None,
            sent_once: BTreeSet::new(),
            asked_once: false,
            last_acks: BTreeMap::new(),
        }
    }

    /// A secondary's place in the configuration.
    pub(super) fn index_of(&self, name: &NodeName) -> Option<usize> {
        self.secondaries.iter().position(|secondary| secondary == name)
    }

    /// Which node it is that has this place in the configuration.
    const fn peer(&self, config: usize) -> usize {
        if config < self.index { config } else { config + 1 }
    }
}

/// What a driver has while an event is handled.
pub(super) struct Surroundings<'a> {
    pub(super) around: &'a mut Around,
    pub(super) hub: &'a mut Hub,
}

impl Surroundings<'_> {
    /// The disk has changed: the process may die here.
    fn may_crash(&mut self, log: &Disk) {
        self.hub.may_crash();
        if self.hub.crashed {
            log.die();
        }
    }

    fn push(&mut self, packet: Packet) {
        self.hub.sent.push(self.around.translator.write(packet));
    }

    fn on_admitted(&mut self, effects: &[Effect]) {
        let admits = |effect: &Effect| matches!(effect, Effect::JoinAnswer { answer, .. } if answer.verdict == Verdict::Admitted);
        if let Some((index, incarnation)) = self.around.joining.filter(|_| effects.iter().any(admits)) {
            self.around.admitted.insert(index, (incarnation, self.hub.oracle.on_admitted()));
        }
    }

    /// No more is pushed at one time to one secondary than may be.
    fn check_window(&mut self, effects: &[Effect]) {
        let mut pushes = BTreeMap::<usize, usize>::new();
        for effect in effects {
            if let Effect::Entries { secondary, answer: None, .. } = effect {
                *pushes.entry(*secondary).or_default() += 1;
            }
        }
        let most = pushes.into_values().max().unwrap_or_default();
        if most == self.around.window_envelopes {
            self.hub.coverage.hit(Path::WindowFull);
        }
        if most > self.around.window_envelopes {
            self.hub
                .oracle
                .found(|| format!("bounded: {most} envelopes were pushed at one time to one secondary"));
        }
    }

    /// Whether entries are sent at all.
    fn on_entries(&mut self, header: &wire::EntriesHeader, is_pushed: bool) -> bool {
        let secondary = self.around.index_of(&header.sender.node).unwrap_or_default();
        if is_pushed
            && self.hub.is(Mutant::RetryGivesUp)
            && !self.around.sent_once.insert((secondary, header.from))
        {
            return false;
        }
        let kind = if is_pushed { "pushes" } else { "answers a fetch of" };
        let (index, peer) = (self.around.index, self.around.peer(secondary));
        self.hub.story.tell(|| {
            format!("n{index} {kind} {}..{} to n{peer}", header.from, header.from.plus(header.count))
        });
        true
    }

    fn on_stopped(&mut self, notice: &Notice, why: &NotLeading) {
        match why {
            NotLeading::Fenced { .. } if self.around.has_led => {
                self.hub.coverage.hit(Path::DeposedMasterTold);
            }
            NotLeading::Diverged { node }
                if !self.hub.oracle.has_forgotten_reign(self.around.index, node) =>
            {
                self.check_disaster(notice);
            }
            NotLeading::NotPromoted { reason, .. } => {
                self.hub.coverage.hit(Path::PromotionAbandoned);
                self.check_halt(notice, reason);
            }
            _ => {}
        }
    }

    fn on_waiting(&mut self, notice: &Notice, reason: &Reason, log: &Disk) {
        self.check_finishes_clean(reason, log);
        if matches!(reason, Reason::Lack { lack: Lack::Some, .. }) {
            self.hub.coverage.hit(Path::LackNoticed);
        }
        self.check_halt(notice, reason);
    }

    fn check_halt(&mut self, notice: &Notice, reason: &Reason) {
        match reason {
            Reason::Dispute(Dispute::Unexplained { .. }) => {
                self.hub.coverage.hit(Path::UnexplainedHalt);
                self.check_disaster(notice);
            }
            Reason::Dispute(Dispute::Unknown { .. }) => self.hub.coverage.hit(Path::UnknownHalt),
            _ => {}
        }
    }

    /// A master that had all it ever acknowledged, and was emptying its log, needs nobody to lead on, unless its operator
    /// says that its disk is an old copy.
    fn check_finishes_clean(&mut self, reason: &Reason, log: &Disk) {
        let waits = match reason {
            // Beside another log an empty one gives way.
            Reason::Lack { lack: Lack::All(theirs), .. } => log.identity.log_id == Some(*theirs),
            Reason::Lack { lack: Lack::Some, .. } | Reason::HoldersAreSilent => true,
            _ => false,
        };
        let may_diverge = self.hub.oracle.may_diverge();
        if waits && !self.around.recovers && log.lacks_only_a_clean() && !may_diverge {
            let index = self.around.index;
            self.hub
                .oracle
                .found(|| format!("n{index} does not finish a clean that was broken off: {reason:?}"));
        }
    }

    fn check_disaster(&mut self, notice: &Notice) {
        if !self.hub.oracle.may_diverge() {
            let index = self.around.index;
            self.hub.oracle.found(|| format!("n{index}: {notice:?}, and no disk was touched"));
        }
    }
}

impl Environment<MasterCore, Disk> for Surroundings<'_> {
    fn save(&mut self, identity: &Identity, log: &mut Disk) -> Option<Ticket> {
        let before = self.hub.oracle.on_save(self.around.index, identity);
        let ticket = log.save(identity.clone(), self.around.cleans, before);
        self.may_crash(log);
        ticket
    }

    fn send(&mut self, mut packet: Packet, _log: &Disk) {
        let is_sent = match &mut packet {
            Packet::Entries { header, reply, .. } => self.on_entries(header, reply.is_none()),
            Packet::JoinAnswer { answer, .. } => {
                let older = answer.verdict == Verdict::OlderMarks;
                self.hub.coverage.add(Path::OlderMarksWanted, older.into());
                true
            }
            Packet::Ask(_) => {
                !std::mem::replace(&mut self.around.asked_once, true) || !self.hub.is(Mutant::RetryGivesUp)
            }
            Packet::Promise(_, promise) => {
                promise.forced &= !self.around.automatic;
                true
            }
            _ => true,
        };
        if is_sent {
            self.push(packet);
        }
    }

    /// The caller was told when it was decided: the oracle knows what it never hears.
    fn answer(&mut self, _answer: master::Answer, _log: &Disk) {}

    fn on_answer(&mut self, answer: &master::Answer, log: &Disk) {
        let master::Answer { wait, outcome } = answer;
        let wait = *wait;
        let waits_for = log.open().filter(|_| !self.hub.is(Mutant::SaidBeforeSaved));
        let Hub { oracle, clients, coverage, story, .. } = &mut *self.hub;
        let around = &*self.around;
        story.tell(|| format!("n{} answers request {}: {outcome:?}", around.index, wait.0));
        // The epoch is that of the log: the core may be about to open the next one.
        let Some(epoch) = oracle.rank(around.index).0.cloned() else {
            return clients.on_answer(wait, outcome, None, oracle, coverage);
        };
        let mut admitted = vec![None; around.secondaries.len() + 1];
        for (config, (_, admission)) in &around.admitted {
            admitted[around.peer(*config)] = Some(*admission);
        }
        let holders = match outcome {
            WriteOutcome::Met { holders, .. } | WriteOutcome::Unconfirmed { holders, .. } => {
                let held = (0..around.secondaries.len()).filter(|config| holders.contains(*config));
                held.map(|config| around.peer(config)).collect()
            }
            _ => Vec::new(),
        };
        let told = Told(Answer { node: around.index, epoch, admitted, holders, waits_for });
        clients.on_answer(wait, outcome, Some(&told), oracle, coverage);
    }

    fn notice(&mut self, notice: Notice, _core: &MasterCore, log: &Disk) {
        let index = self.around.index;
        self.hub.story.tell(|| format!("n{index} notes {notice:?}"));
        match &notice {
            Notice::Adopting { .. } => self.hub.coverage.hit(Path::LogAdopted),
            Notice::BatchCut { .. } => self.hub.coverage.hit(Path::BatchCut),
            Notice::Cut { .. } => self.hub.coverage.hit(Path::OwnSuffixGivenUp),
            Notice::GivesWay { .. } => self.hub.coverage.hit(Path::LedLogGaveWay),
            Notice::AckRefused { why: "stale_incarnation", .. } => {
                self.hub.coverage.hit(Path::OldIncarnationIgnored);
            }
            Notice::NewLog { silent } => self.hub.not_heard.clone_from(silent),
            Notice::Stopped(why) => self.on_stopped(&notice, why),
            Notice::Waiting { reason } => self.on_waiting(&notice, reason, log),
            Notice::DiskBehind => {
                self.hub.oracle.found(|| "more waits for reads than ever comes".to_owned());
            }
            _ => {}
        }
    }

    fn on_outbox_full(&mut self) {
        self.hub.oracle.found(|| "more waits for saves than ever comes".to_owned());
    }

    fn before(&mut self, event: &Event, _log: &Disk) {
        if let Event::Join { join, .. } = event {
            let index = self.around.index_of(&join.sender.node);
            self.around.joining = index.map(|index| (index, join.sender.incarnation));
        }
    }

    fn after(&mut self) {
        self.around.joining = None;
    }

    fn on_parked(&mut self, event: &Event, lookup: Lookup) {
        let index = self.around.index;
        self.hub.story.tell(|| format!("n{index} reads {lookup:?} before it takes {event:?}"));
        self.hub.coverage.hit(Path::Parked);
    }

    fn on_effects(&mut self, effects: &[Effect], _core: &MasterCore) {
        let appends = |kind| {
            let opens = |effect: &Effect| matches!(effect, Effect::Append(lines) if opens(lines, kind));
            effects.iter().any(opens)
        };
        let cuts =
            |effect: &Effect| matches!(effect, Effect::Notice(Notice::Cut { .. } | Notice::BatchCut { .. }));
        self.around.cleans = appends(MarkKind::Clean);
        self.around.cut = if self.around.cleans {
            Cut::Cleaned
        } else if effects.iter().any(cuts) {
            Cut::Outranked
        } else if appends(MarkKind::Start) {
            Cut::Folded
        } else {
            Cut::Abandoned
        };
        self.on_admitted(effects);
        self.check_window(effects);
    }

    fn on_appended(&mut self, lines: &Lines, core: &MasterCore, log: &Disk) {
        let index = self.around.index;
        self.hub.story.tell(|| {
            let (to, marks) = (lines.tip().place.length, lines.marks().len());
            format!("n{index} (master) appends {}..{to} ({marks} marks)", lines.from())
        });
        self.hub.coverage.add(Path::Cleaned, opens(lines, MarkKind::Clean).into());
        let leads = core.epoch().is_some_and(|epoch| lines.tip().epoch.as_ref() == Some(epoch));
        let author = if leads { Author::Own } else { Author::Fetched };
        self.hub.oracle.on_append(index, lines.from(), true, author, &log.store);
        if core.epoch().is_some() && opens(lines, MarkKind::Promotion) {
            self.hub.coverage.hit(Path::Promoted);
            let folded = self.hub.oracle.reached_a_folded_mark(index);
            self.hub.coverage.add(Path::PromotedOverFolded, folded.into());
        }
        self.may_crash(log);
    }

    fn before_cut(&mut self, place: Place, _core: &MasterCore, log: &Disk) {
        let (index, cut) = (self.around.index, self.around.cut);
        log.is_damaged.set(self.hub.oracle.is_damaged(index));
        self.hub.story.tell(|| format!("n{index} (master) cuts its log at {} ({cut:?})", place.length));
    }

    fn on_cut(&mut self, _place: Place, _core: &MasterCore, log: &Disk) {
        self.hub.coverage.add(Path::CutWhileParked, u64::from(self.around.parked > 0));
        self.around.sent_once.clear();
        self.around.admitted.clear();
        let cut = self.around.cut;
        self.hub.oracle.on_truncate(self.around.index, &log.store, cut);
        self.may_crash(log);
        if matches!(cut, Cut::Folded) {
            self.hub.coverage.hit(if self.hub.crashed { Path::FoldTorn } else { Path::Folded });
        }
    }
}

/// Whether a run has a mark of this kind.
fn opens(lines: &Lines, kind: MarkKind) -> bool {
    lines.marks().iter().any(|placed| placed.mark.kind == kind)
}
