//! What surrounds a simulated secondary's driver: the oracle looks at all that it does.

use std::{collections::BTreeSet, convert::Infallible};

use replog_core::{
    driver::Environment,
    secondary::{Event, Notice, Packet, SecondaryCore, Translator},
};
use replog_shared::{
    Digest, Epoch, Identity, Lines, LogName, MarkKind, Moment, NodeName, Order, Place,
    store::{LogView as _, Lookup, Ticket},
    wire,
};

use crate::{
    Mutant,
    coverage::Path,
    disk::Disk,
    hub::Hub,
    oracle::{Author, Cut},
};

/// What is around the driver, and belongs to its process.
#[derive(Debug)]
pub(super) struct Around {
    /// Which node it is.
    pub(super) index: usize,
    pub(super) translator: Translator,
    /// How many events wait for old lines.
    pub(super) parked: usize,
    /// What is cut next is a log with nothing in it.
    gives_way: bool,
    /// For mutants: the highest end received with its digest, and what was asked for already.
    pub(super) highest: (Order, Digest),
    fetched_once: BTreeSet<Order>,
    joined_once: bool,
}

impl Around {
    pub(super) fn new(index: usize, log: &LogName, name: &NodeName) -> Around {
        Around {
            index,
            translator: Translator::new(log.clone(), name),
            parked: 0,
            gives_way: false,
            highest: (Order::ZERO, Digest::EMPTY),
            fetched_once: BTreeSet::new(),
            joined_once: false,
        }
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

    pub(super) fn appended(&mut self, lines: &Lines, core: &SecondaryCore, log: &Disk) {
        let index = self.around.index;
        self.hub.story.tell(|| {
            let (to, marks) = (lines.tip().place.length, lines.marks().len());
            format!("n{index} appends {}..{to} ({marks} marks)", lines.from())
        });
        let fence = fence(core, log);
        let author = Author::Followed(fence.as_ref());
        self.hub.oracle.on_append(index, lines.from(), true, author, &log.store);
        self.may_crash(log);
    }

    /// Whether a fetch is sent at all.
    fn on_fetch(&mut self, fetch: &wire::Fetch) -> bool {
        if self.hub.is(Mutant::RetryGivesUp) && !self.around.fetched_once.insert(fetch.from) {
            return false;
        }
        let index = self.around.index;
        self.hub.story.tell(|| format!("n{index} asks for {}..{}", fetch.from, fetch.to));
        true
    }

    /// What mistakes on purpose make of an ack.
    fn falsify(&mut self, ack: &mut wire::Ack) {
        if self.hub.is(Mutant::AckOfHighestReceived) && self.around.highest.0 > ack.through {
            (ack.through, ack.digest) = self.around.highest;
            self.hub.oracle.on_ack(self.around.index, ack);
        }
        if self.hub.is(Mutant::AckBeforeMark) && ack.state == wire::SecondaryState::Syncing {
            ack.epoch.clone_from(&ack.fence);
        }
    }
}

impl Environment<SecondaryCore, Disk> for Surroundings<'_> {
    fn save(&mut self, identity: &Identity, log: &mut Disk) -> Option<Ticket> {
        let before = self.hub.oracle.on_save(self.around.index, identity);
        let ticket = log.save(identity.clone(), false, before);
        self.may_crash(log);
        ticket
    }

    fn send(&mut self, mut packet: Packet, _log: &Disk) {
        let is_sent = match &mut packet {
            Packet::Join(_) => {
                !std::mem::replace(&mut self.around.joined_once, true) || !self.hub.is(Mutant::RetryGivesUp)
            }
            Packet::Fetch(fetch) => self.on_fetch(fetch),
            Packet::Ack(ack) => {
                self.falsify(ack);
                true
            }
            Packet::State { .. } | Packet::ReadAnswer { .. } => true,
        };
        if is_sent {
            self.hub.sent.push(self.around.translator.write(packet));
        }
    }

    fn on_packet(&mut self, packet: &Packet, _log: &Disk) {
        if let Packet::Ack(ack) = packet {
            self.hub.oracle.on_ack(self.around.index, ack);
        }
    }

    fn answer(&mut self, answer: Infallible, _log: &Disk) {
        match answer {}
    }

    fn notice(&mut self, notice: Notice, _core: &SecondaryCore, _log: &Disk) {
        let (index, hub) = (self.around.index, &mut *self.hub);
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
                self.around.gives_way = true;
            }
            Notice::Whole => hub.coverage.hit(Path::Whole),
            Notice::DiskBehind => hub.oracle.found(|| "more waits for reads than ever comes".to_owned()),
            _ => {}
        }
    }

    fn on_outbox_full(&mut self) {
        self.hub.oracle.found(|| "more waits for saves than ever comes".to_owned());
    }

    fn on_parked(&mut self, event: &Event, lookup: Lookup) {
        let index = self.around.index;
        self.hub.story.tell(|| format!("n{index} reads {lookup:?} before it takes {event:?}"));
        self.hub.coverage.hit(Path::Parked);
    }

    fn on_appended(&mut self, lines: &Lines, core: &SecondaryCore, log: &Disk) {
        self.appended(lines, core, log);
    }

    fn before_cut(&mut self, place: Place, core: &SecondaryCore, log: &Disk) {
        let (index, tip) = (self.around.index, log.tip().place);
        log.is_damaged.set(self.hub.oracle.is_damaged(index));
        self.hub.story.tell(|| format!("n{index} cuts its log at {}", place.length));
        self.hub.coverage.hit(if place.length < tip.length { Path::SuffixCut } else { Path::MarksCut });
        let last_turn = fence(core, log).and_then(|fence| self.hub.oracle.last_turn(&fence));
        if last_turn == Some(MarkKind::Promotion) {
            self.hub.coverage.hit(Path::SuffixCutAfterPromotion);
        }
    }

    fn on_cut(&mut self, _place: Place, core: &SecondaryCore, log: &Disk) {
        self.hub.coverage.add(Path::CutWhileParked, u64::from(self.around.parked > 0));
        let fence = fence(core, log);
        let gave_way = std::mem::take(&mut self.around.gives_way);
        let cut = if gave_way { Cut::GaveWay } else { Cut::Followed(fence.as_ref()) };
        self.hub.oracle.on_truncate(self.around.index, &log.store, cut);
        self.may_crash(log);
    }
}

/// The highest epoch that a node has promised or followed.
fn fence(core: &SecondaryCore, log: &Disk) -> Option<Epoch> {
    core.status(Moment::default(), log).fence
}
