//! A node's disk: its name, its identity and its log, of which a crash may keep only a part.

use std::cell::Cell;

use bytes::Bytes;
use fastrand::Rng;
use replog_shared::{
    Digest, Durability, Epoch, Identity, Lines, MessageId, NodeName, Order, Place, PlacedMark,
    lines::Tip,
    store::{
        self, Chore, Cut, IdSeed, LogView, MemoryStore, OldPages, Page, ReadError, Reader, Store, StoreError,
        StoreFigures, Ticket, UnfinishedBatches, digest_at_mark,
    },
};

use super::{
    oracle::Saved,
    plan::pick,
    work::{Before, Image, Open, Undone, Work},
};

/// Before the first letter of a simulated message that is not empty, within its line.
const MESSAGE: &[u8] = b"\"message\":\"";

/// A log whose lines become durable some time after they were appended.
///
/// With `memory` they are durable at once and a crash loses them all. With `disk` they are durable once they are
/// synced. With `os` they are durable once they are written; a background sync covers them later.
/// Invariant: `synced <= durable <= tip`.
#[derive(Debug)]
pub(super) struct SimStore {
    log: MemoryStore,
    level: Durability,
    durable: Place,
    /// What a power loss keeps.
    synced: Place,
    /// Where runs end behind what is synced: a crash leaves a run whole or nothing of it.
    runs: Vec<Place>,
    unfinished: UnfinishedBatches,
    /// How far the write or sync under way reaches: what was appended when it began.
    under_way: Option<Place>,
    /// For mutants: what is told to be durable, whether it is or not.
    lies: Lies,
    /// Durable entries that stay in memory; none: all.
    tail: Option<u64>,
    /// Where the log ended when its process started: what is older is not in memory from the start.
    opened_at: Order,
    /// What was read for the event of the moment.
    lent: OldPages,
    /// An old line that was looked at although nobody had it read.
    unread: Cell<Option<Order>>,
}

/// What a store tells of itself that is not so.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Lies {
    /// Nothing.
    #[default]
    None,
    /// All that was appended is durable.
    All,
    /// … if nothing but marks is not durable yet.
    Marks,
}

impl SimStore {
    pub(super) fn new(level: Durability) -> SimStore {
        SimStore {
            log: MemoryStore::without_ids(),
            level,
            durable: Place::START,
            synced: Place::START,
            runs: Vec::new(),
            unfinished: UnfinishedBatches::default(),
            under_way: None,
            lies: Lies::None,
            tail: None,
            opened_at: Order::ZERO,
            lent: OldPages::default(),
            unread: Cell::new(None),
        }
    }

    /// The same lines as a process finds them when it starts: all that is there is synced.
    pub(super) fn reopened(&self, with_ids: bool) -> SimStore {
        let log =
            if with_ids { MemoryStore::with_ids(IdSeed::from_random(1)) } else { MemoryStore::without_ids() };
        let mut store = SimStore { log, ..SimStore::new(self.level) };
        store.fill(&self.lines());
        store
    }

    /// All its lines.
    pub(super) fn lines(&self) -> Bytes {
        let (mut all, mut from, end) = (Vec::new(), Order::ZERO, self.tip().place.length);
        while let Ok(page) = self.log.reader().read(from, end, usize::MAX) {
            all.extend_from_slice(&page.bytes);
            if page.to >= end || page.to <= from {
                break;
            }
            from = page.to;
        }
        all.into()
    }

    fn fill(&mut self, bytes: &Bytes) {
        if let Ok(lines) = Lines::checked(bytes.clone(), self.log.tip()) {
            let _continues = self.log.append(&lines);
        }
        self.unfinished = UnfinishedBatches::of(self.log.tip(), |batch| self.digest_before(batch));
        (self.durable, self.synced) = (self.tip().place, self.tip().place);
    }

    /// Keeps no more than so many durable entries in memory from now on; none: all.
    pub(super) fn keep_in_memory(&mut self, tail: Option<u64>) {
        self.tail = tail;
        self.opened_at = self.tip().place.length;
    }

    /// An old line that was looked at although nobody had it read, since this was last asked.
    pub(super) fn take_unread(&self) -> Option<Order> {
        self.unread.take()
    }

    fn look_at(&self, from: Order, to: Order) {
        if !self.has_at_hand(from, to) {
            self.unread.set(Some(from));
        }
    }

    pub(super) fn lie(&mut self, lies: Lies) {
        self.lies = lies;
    }

    /// How far the log is held at the level, whatever is told.
    pub(super) const fn held(&self) -> Place {
        self.durable
    }

    /// Begins to make durable what was appended; false if there is nothing or a sync is under way.
    pub(super) fn begin_sync(&mut self) -> bool {
        let begins = self.under_way.is_none() && self.synced != self.tip().place;
        if begins {
            self.under_way = Some(self.tip().place);
        }
        begins
    }

    /// What was under way is done. `background`: with `os` it was not only written but also synced.
    pub(super) fn end_sync(&mut self, background: bool) {
        let Some(place) = self.under_way.take() else { return };
        self.durable = self.durable.max(place);
        self.unfinished.forget_before(self.durable.length);
        if self.level == Durability::Disk || background {
            self.synced = self.durable;
            self.runs.retain(|end| *end > self.synced);
        }
    }

    /// What a crash leaves: of the runs that are not safe, a random number.
    pub(super) fn crash(&mut self, power: bool, random: &mut Rng) {
        self.under_way = None;
        let (safe, tip) = (if power { self.synced } else { self.durable }, self.tip().place);
        let keep = random.u64(line_of(safe)..=line_of(tip));
        let whole = self.runs.iter().copied().filter(|end| line_of(*end) <= keep).max();
        let place = whole.map_or(safe, |end| end.max(safe));
        self.cut(place);
        self.durable = self.durable.min(place);
        self.synced = self.synced.min(place);
    }

    /// A line is damaged: where it stands.
    fn rot(&self, random: &mut Rng) -> Place {
        self.place_of(random.u64(0..=line_of(self.tip().place)))
    }

    /// Keeps what is before a line that is damaged.
    fn repair(&mut self, damage: Place) {
        self.cut(damage);
        self.seal();
    }

    /// The log as it stands.
    fn image(&self) -> Image {
        Image { lines: self.lines(), durable: self.durable, synced: self.synced, runs: self.runs.clone() }
    }

    /// The log is as it was.
    fn restore(&mut self, image: Image) {
        self.cut(Place::START);
        self.fill(&image.lines);
        (self.durable, self.synced, self.runs) = (image.durable, image.synced, image.runs);
    }

    /// A cut is done, and all through this place is synced.
    fn on_cut_done(&mut self, through: Place) {
        self.durable = self.durable.max(through);
        self.synced = self.synced.max(through);
        self.runs.retain(|end| *end > self.synced);
        self.unfinished.forget_before(self.durable.length);
    }

    /// Changes a message of an entry, and so every digest from there on. False where there is none to change.
    pub(super) fn flip(&mut self, random: &mut Rng) -> bool {
        let lines = self.lines();
        let windows = lines.windows(MESSAGE.len()).enumerate();
        let begins: Vec<usize> = windows.filter(|(_, bytes)| *bytes == MESSAGE).map(|(at, _)| at).collect();
        if begins.is_empty() {
            return false;
        }
        let mut bytes = lines.to_vec();
        bytes[pick(random, &begins) + MESSAGE.len()] ^= 1;
        let (durable, synced) = (self.durable, self.synced);
        let unfinished = std::mem::take(&mut self.unfinished);
        self.cut(Place::START);
        self.fill(&bytes.into());
        (self.durable, self.synced, self.unfinished) = (durable, synced, unfinished);
        true
    }

    /// Everything is synced: a process that is stopped in good order does so.
    pub(super) fn seal(&mut self) {
        (self.under_way, self.durable, self.synced) = (None, self.tip().place, self.tip().place);
        self.runs.clear();
        self.unfinished.forget_before(self.durable.length);
    }

    /// Everything that is durable at the moment, as somebody who copies the directory finds it.
    pub(super) fn copy(&self) -> SimStore {
        let mut copy = self.reopened(false);
        copy.cut(self.synced);
        (copy.durable, copy.synced) = (self.synced, self.synced);
        copy
    }

    /// Cuts the lines behind a place of this log.
    fn cut(&mut self, place: Place) {
        let cut = self.log.truncate(place, Cut::Drop);
        self.on_cut();
        cut.unwrap_or_else(|error| unreachable!("memory does not fail: {error}"));
    }

    fn on_cut(&mut self) {
        let tip = self.log.tip().clone();
        self.runs.retain(|end| *end <= tip.place);
        let before = tip.batch.and_then(|batch| self.digest_before(batch));
        self.unfinished.cut(&tip, |_| before);
        self.lent.clear();
    }

    /// The digest through the entry before a batch.
    fn digest_before(&self, batch: Order) -> Option<Digest> {
        self.log.digest_at(store::before_marks(&self.log, batch))
    }

    /// The place behind so many lines.
    fn place_of(&self, lines: u64) -> Place {
        let before = |(nth, placed): (usize, &PlacedMark)| placed.at.get() + (nth as u64) < lines;
        let marks = self.log.marks().iter().enumerate().take_while(|(nth, placed)| before((*nth, placed)));
        let marks = marks.count() as u32;
        Place::new(Order::new(lines - u64::from(marks)), marks)
    }
}

/// How many lines stand before a place.
pub(super) const fn line_of(place: Place) -> u64 {
    place.length.get() + place.marks as u64
}

impl LogView for SimStore {
    fn tip(&self) -> &Tip {
        self.log.tip()
    }

    fn durable(&self) -> Place {
        let tip = self.tip().place;
        let only_marks = self.durable.length == tip.length;
        match self.lies {
            Lies::All => tip,
            Lies::Marks if only_marks => tip,
            _ => self.durable,
        }
    }

    fn pending_bytes(&self) -> usize {
        self.log.size(self.durable.length, self.tip().place.length)
    }

    fn visible_through(&self) -> Order {
        self.unfinished.visible_through(self.durable().length)
    }

    fn marks(&self) -> &[PlacedMark] {
        self.log.marks()
    }

    fn digest_at(&self, place: Place) -> Option<Digest> {
        let is_old = digest_at_mark(self.tip(), self.marks(), place)?.is_none()
            && place.length != self.recent_from()
            && self.unfinished.digest_before(place.length).is_none();
        if let Some(before) = place.length.before().filter(|_| is_old) {
            self.look_at(before, place.length);
        }
        self.log.digest_at(place)
    }

    fn find(&self, id: &MessageId) -> Option<Order> {
        self.log.candidates(id, &mut |order| self.look_at(order, order.next()));
        self.log.find(id)
    }

    fn entry(&self, order: Order) -> Option<Bytes> {
        self.look_at(order, order.next());
        self.log.entry(order)
    }

    fn size(&self, from: Order, to: Order) -> usize {
        self.look_at(from, to);
        self.log.size(from, to)
    }

    fn fit(&self, from: Order, bytes: usize) -> Order {
        if from >= self.recent_from() {
            return self.log.fit(from, bytes);
        }
        self.look_at(from, from.next());
        self.lent.fit(from, bytes).unwrap_or_else(|| self.log.fit(from, bytes))
    }

    fn recent_from(&self) -> Order {
        let Some(tail) = self.tail else { return Order::ZERO };
        let durable = self.durable.length;
        Order::new(durable.get().saturating_sub(tail)).max(self.opened_at).min(durable)
    }

    fn has_at_hand(&self, from: Order, to: Order) -> bool {
        let until = to.min(self.recent_from());
        from >= until || self.lent.cover(from, until)
    }

    fn candidates(&self, id: &MessageId, show: &mut dyn FnMut(Order)) {
        self.log.candidates(id, show);
    }
}

impl Store for SimStore {
    type Reader = <MemoryStore as Store>::Reader;

    fn reader(&self) -> Self::Reader {
        self.log.reader()
    }

    fn append(&mut self, lines: &Lines) -> bool {
        let start = self.tip().clone();
        let ends_with_mark = self.marks().last().is_some_and(|last| last.at == start.place.length);
        let continues = self.log.append(lines);
        if continues {
            self.runs.push(lines.tip().place);
            self.unfinished.on_run(lines, (!ends_with_mark).then_some(start.digest));
        }
        if self.level == Durability::Memory {
            self.seal();
        }
        continues
    }

    /// The view of the log is cut when it returns. Its disk is told of it: see [`Disk::cut`].
    fn truncate(&mut self, place: Place, cut: Cut) -> Result<Ticket, StoreError> {
        if place != self.tip().place {
            // A log on disk looks at the same.
            let digest = self.digest_at(place).unwrap_or_default();
            store::tip_of_cut(self, place, digest);
            if store::before_marks(&self.log, place.length) != place {
                // The marks that stay there.
                self.look_at(place.length, place.length.next());
            }
        }
        let cut = self.log.truncate(place, cut);
        self.on_cut();
        let tip = self.tip().place;
        (self.durable, self.synced) = (self.durable.min(tip), self.synced.min(tip));
        self.under_way = None;
        if self.level == Durability::Memory {
            self.seal();
        }
        cut
    }

    fn page(&self, from: Order, to: Order, bytes: usize) -> Result<Page, ReadError> {
        self.look_at(from, to.max(from.next()));
        self.log.reader().read(from, to, bytes)
    }

    fn lend(&mut self, pages: OldPages) {
        self.lent = pages;
    }

    fn take_back(&mut self) -> OldPages {
        std::mem::take(&mut self.lent)
    }

    /// The world moves what is durable between two turns of the node.
    fn refresh(&mut self) -> Result<(), StoreError> {
        Ok(())
    }

    fn failure(&self) -> Option<StoreError> {
        None
    }

    fn run(&mut self, chore: Chore) -> Ticket {
        self.log.run(chore)
    }

    fn done(&self) -> Ticket {
        self.log.done()
    }

    fn figures(&self) -> StoreFigures {
        self.log.figures()
    }

    fn close(mut self) -> Result<(), StoreError> {
        self.seal();
        Ok(())
    }
}

/// A node's directory.
#[derive(Debug)]
pub(super) struct Disk {
    /// The name of the node that wrote it first.
    pub(super) name: NodeName,
    pub(super) identity: Identity,
    pub(super) store: SimStore,
    /// The fence with which a clean gave up the claim to hold all; none where anything else did, or nothing.
    pub(super) given_up_by_clean: Option<Epoch>,
    /// For mutants: a saved fence is not on the disk.
    pub(super) forgets_fence: bool,
    /// For mutants: what becomes of cuts.
    pub(super) cuts: Cuts,
    /// For mutants: saves and cuts are told to be done at once.
    pub(super) tells_too_early: bool,
    /// A line of the log that the process sees is damaged.
    pub(super) is_damaged: Cell<bool>,
    /// The process over it died between two steps.
    died: Cell<bool>,
    /// Saves and cuts that are not done.
    work: Work,
    /// Something is being done.
    busy: bool,
}

/// Where a log is cut that is told to be cut.
#[derive(Clone, Copy, Debug, Default)]
pub(super) enum Cuts {
    /// There.
    #[default]
    AsTold,
    /// Nowhere.
    Skipped,
    /// Here, if that is behind it.
    At(Order),
}

impl Disk {
    /// An empty one.
    pub(super) fn new(name: NodeName, level: Durability) -> Disk {
        Disk::of(name, Identity::default(), SimStore::new(level))
    }

    fn of(name: NodeName, identity: Identity, store: SimStore) -> Disk {
        Disk {
            name,
            identity,
            store,
            given_up_by_clean: None,
            forgets_fence: false,
            cuts: Cuts::AsTold,
            tells_too_early: false,
            is_damaged: Cell::default(),
            died: Cell::default(),
            work: Work::default(),
            busy: false,
        }
    }

    /// As a process finds it when it starts.
    pub(super) fn reopened(mut self, with_ids: bool) -> Disk {
        self.store = self.store.reopened(with_ids);
        self.died.set(false);
        self.cuts = Cuts::AsTold;
        self
    }

    /// The process dies here.
    pub(super) fn die(&self) {
        self.died.set(true);
    }

    /// Whether the process has died.
    pub(super) const fn has_died(&self) -> bool {
        self.died.get()
    }

    /// Where it is cut that is told to be cut at this place; none: nowhere.
    pub(super) fn mistaken_cut(&self, place: Place) -> Option<Place> {
        let tip = self.store.tip().place;
        match self.cuts {
            Cuts::AsTold => Some(place),
            Cuts::Skipped => None,
            Cuts::At(length) if length > place.length => Some(Place::new(length.min(tip.length), tip.marks)),
            Cuts::At(_) => Some(place),
        }
    }

    /// The last save or cut, while it is not done.
    pub(super) fn open(&self) -> Option<Ticket> {
        self.work.last_open()
    }

    /// The last save or cut that is done.
    pub(super) const fn done(&self) -> Ticket {
        self.work.done()
    }

    /// The same as its process is told.
    pub(super) fn told_done(&self) -> Ticket {
        self.open().filter(|_| self.tells_too_early).unwrap_or_else(|| self.done())
    }

    /// Begins what is to be done next; false if there is nothing, or something is being done.
    pub(super) fn begin_work(&mut self) -> bool {
        let begins = !self.busy && (self.open().is_some() || self.store.begin_sync());
        self.busy |= begins;
        begins
    }

    /// What was being done is done. `background`: see [`SimStore::end_sync`].
    pub(super) fn end_work(&mut self, background: bool) {
        self.busy = false;
        if self.store.under_way.is_some() {
            self.store.end_sync(background);
        } else {
            self.finish_next();
        }
    }

    fn finish_next(&mut self) {
        if let Some(Open { before: Before::Cut { at, .. }, .. }) = self.work.finish() {
            let through = self.work.on_synced(at);
            self.store.on_cut_done(through);
        }
    }

    /// All is done: a process that is stopped in good order waits for it.
    pub(super) fn settle(&mut self) {
        while self.open().is_some() {
            self.finish_next();
        }
        self.busy = false;
        self.store.seal();
    }

    /// In memory it is done at once.
    fn give(&mut self, end: Place, before: Before) {
        if self.store.level != Durability::Memory {
            self.work.give(Open { end, before });
        }
    }

    /// Cuts the log, some time after what was given before is done.
    pub(super) fn cut(&mut self, place: Place) -> Result<Ticket, StoreError> {
        let (end, log, damaged) = (self.store.tip().place, self.store.image(), self.is_damaged.get());
        self.store.truncate(place, Cut::Quarantine)?;
        self.give(end, Before::Cut { at: place, log, damaged });
        Ok(self.open().unwrap_or_else(|| self.done()))
    }

    /// Replaces the identity, atomically, some time after what was given before is done. `cleans`: because the log is
    /// about to be emptied. `judged`: what the oracle made of the one before.
    pub(super) fn save(&mut self, identity: Identity, cleans: bool, judged: Saved) -> Option<Ticket> {
        let (saved, given_up_by_clean) = (self.identity.clone(), self.given_up_by_clean.clone());
        self.give(self.store.tip().place, Before::Save { identity: saved, given_up_by_clean, judged });
        if identity.whole || self.identity.whole {
            let given_up = cleans && !identity.whole;
            self.given_up_by_clean = identity.fence.clone().filter(|_| given_up);
        }
        self.identity = identity;
        self.open()
    }

    /// Whether nothing but a clean that was broken off keeps this node from leading on.
    pub(super) fn lacks_only_a_clean(&self) -> bool {
        let of_reign =
            |given_up: &Epoch| self.identity.fence.as_ref().is_some_and(|it| it.same_reign(given_up));
        !self.identity.whole && self.given_up_by_clean.as_ref().is_some_and(of_reign)
    }

    /// The process has died, and of what was to be done any number of the first was.
    pub(super) fn lose_work(&mut self, random: &mut Rng) -> Undone {
        self.busy = false;
        if self.work.len() > 0 {
            (0..random.usize(0..=self.work.len())).for_each(|_| self.finish_next());
        }
        let work = std::mem::take(&mut self.work);
        self.undo(&work)
    }

    /// What stands on the disk while all this is not done.
    fn undo(&mut self, work: &Work) -> Undone {
        let mut undone = Undone::default();
        for open in work.iter().rev() {
            match open.before.clone() {
                Before::Save { identity, given_up_by_clean, judged } => {
                    (self.identity, self.given_up_by_clean) = (identity, given_up_by_clean);
                    undone.saved = Some(judged);
                }
                Before::Cut { log, damaged, .. } => {
                    self.store.restore(log);
                    undone.damaged |= damaged;
                }
            }
        }
        if let Some(first) = work.iter().next().filter(|first| first.end < self.store.tip().place) {
            self.store.cut(first.end);
        }
        undone
    }

    /// What a crash leaves.
    pub(super) fn crash(&mut self, power: bool, random: &mut Rng) {
        self.store.crash(power, random);
        if self.forgets_fence {
            self.identity.fence = None;
        }
        // Another boot without a clean stop: the log's tail may be missing.
        if power && self.store.level == Durability::Os {
            self.identity.whole = false;
            self.given_up_by_clean = None;
        }
    }

    /// A line of the log is damaged, and a process starts over it, and another one if that one dies: between the two
    /// steps, of which the first lowers what the node claims and the second makes it false. `repairs_first`: for mutants,
    /// the other way round.
    pub(super) fn rot(&mut self, dies: bool, repairs_first: bool, random: &mut Rng) {
        let damage = self.store.rot(random);
        if repairs_first {
            self.store.repair(damage);
            // After a death in between the next process finds a sound log, and nothing to lower.
            self.identity.whole &= dies;
            return;
        }
        for dies in [dies, false] {
            self.identity.whole = false;
            if !dies {
                self.store.repair(damage);
            }
        }
    }

    /// What somebody who copies the directory finds.
    pub(super) fn copy(&self) -> Disk {
        let mut store = SimStore::new(self.store.level);
        store.restore(self.store.image());
        let mut copy = Disk::of(self.name.clone(), self.identity.clone(), store);
        copy.given_up_by_clean.clone_from(&self.given_up_by_clean);
        copy.forgets_fence = self.forgets_fence;
        copy.undo(&self.work);
        copy.store = copy.store.copy();
        copy
    }
}
