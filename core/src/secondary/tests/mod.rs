//! The core against a master made of a store: every event by hand, every effect seen.

mod batches;
mod checks;
mod faults;
mod fetching;
mod format1;
mod giving_way;
mod joining;
mod pacing;
mod promises;
mod replication;

use std::time::Duration;

use bytes::Bytes;
use replog_shared::{
    Digest, Durability, Epoch, Incarnation, Lines, LogId, Mark, MarkKind, Message, MessageId, Moment,
    NodeName, Order, Outline, Place, WallTime,
    entry::{self, EntryHead},
    limits::{ENVELOPE_BYTES, HEARTBEAT_INTERVAL, OUTLINE_MARKS},
    mark, outline,
    store::{Cut, LogView, MemoryStore, Reader, Store, Ticket},
    wire::{self, SecondaryState, Verdict},
};

use super::*;
use crate::read_answer::ReadAnswer;

fn order(number: u64) -> Order {
    Order::new(number)
}

fn epoch(reign: u32, start: u32) -> Epoch {
    Epoch { reign, owner: "master".parse().unwrap(), start, incarnation: Incarnation::from_random(7) }
}

/// A master's log, and the envelopes that a master would send.
struct Master {
    log_id: LogId,
    epoch: Epoch,
    store: MemoryStore,
    admitted: bool,
}

impl Master {
    /// With a log of one mark and `entries` entries.
    fn with(entries: u64) -> Master {
        let mut master = Master {
            log_id: LogId::from_random(1),
            epoch: epoch(1, 0),
            store: MemoryStore::without_ids(),
            admitted: true,
        };
        master.open(epoch(1, 0), MarkKind::Start);
        master.append(entries);
        master
    }

    fn open(&mut self, epoch: Epoch, kind: MarkKind) {
        self.epoch = epoch.clone();
        let mark = Mark { epoch, kind, reached: vec![], members: vec![], first: Order::ZERO };
        let lines = Lines::of_mark(mark, self.store.tip());
        assert!(self.store.append(&lines));
    }

    fn append(&mut self, count: u64) {
        self.append_as(count, "m");
    }

    fn append_as(&mut self, count: u64, word: &str) {
        let tip = self.store.tip().clone();
        let (mut bytes, mut ends) = (Vec::new(), Vec::new());
        for at in (0..count).map(|nth| tip.place.length.plus(nth)) {
            let message = Message::from_json(Bytes::from(format!("\"{word}{at}\""))).unwrap();
            let id = MessageId::new(&format!("id{at}")).unwrap();
            let head =
                EntryHead { order: at, epoch: self.epoch.number(), at: WallTime::from_ms(7), more: false };
            entry::encode(&mut bytes, head, &id, &message);
            ends.push(bytes.len());
        }
        assert!(self.store.append(&Lines::of_entries(bytes.into(), ends, WallTime::from_ms(7), &tip)));
    }

    fn length(&self) -> Order {
        self.store.tip().place.length
    }

    fn sender(&self, node: &str) -> wire::Sender {
        let incarnation = Incarnation::from_random(7);
        wire::Sender { v: wire::VERSION, log_id: Some(self.log_id), node: node.parse().unwrap(), incarnation }
    }

    fn heartbeat(&self) -> wire::Heartbeat {
        let node: NodeName = "s1".parse().unwrap();
        let me = wire::Admitted { node, incarnation: Incarnation::from_random(1) };
        wire::Heartbeat {
            sender: self.sender("master"),
            epoch: self.epoch.clone(),
            length: self.length(),
            digest: self.store.tip().digest,
            admitted: if self.admitted { vec![me] } else { vec![] },
            http: Some("http://master".into()),
        }
    }

    fn answer(&self, join: &wire::Join) -> wire::JoinAnswer {
        let mine = Outline::of(self.store.marks(), self.store.tip().place, usize::MAX);
        let fork = outline::fork(&mine, &join.outline);
        let verdict = if fork.is_some() { Verdict::Admitted } else { Verdict::OlderMarks };
        let fork = fork.unwrap_or_default();
        wire::JoinAnswer {
            sender: self.sender("master"),
            request: join.request,
            epoch: self.epoch.clone(),
            verdict,
            length: self.length(),
            fork,
            digest: self.store.digest_at(fork).unwrap(),
            turn: mark::last_turn(self.store.marks()).cloned(),
            clean: mark::last_clean(self.store.marks()).cloned(),
            secondaries: Vec::new(),
        }
    }

    /// The envelope with `from..to`, and its marks.
    fn entries(&self, from: u64, to: u64, request: Option<u64>) -> (wire::EntriesHeader, Bytes) {
        let page = self.store.reader().read(order(from), order(to), usize::MAX).unwrap();
        let header = wire::EntriesHeader {
            sender: self.sender("s1"),
            epoch: self.epoch.clone(),
            from: order(from),
            marks_before: None,
            count: page.to.since(order(from)),
            length: self.length(),
            digest: page.digest,
            request,
            traces: Vec::new(),
        };
        (header, page.bytes)
    }

    fn fetched(&self, fetch: &wire::Fetch) -> (wire::EntriesHeader, Bytes) {
        self.entries(fetch.from.get(), fetch.to.get(), Some(fetch.request))
    }
}

/// A secondary with its log, which does its effects as the node does.
struct Secondary {
    core: SecondaryCore,
    store: MemoryStore,
    now: Moment,
    saved: Identity,
    /// What was asked, acked and noticed, in order; taken by the test.
    said: Vec<Effect>,
    /// What became of what was cut.
    cuts: Vec<Cut>,
}

impl Secondary {
    fn new() -> Secondary {
        Secondary::with(Faults::default())
    }

    fn with(faults: Faults) -> Secondary {
        let (name, incarnation) = ("s1".parse().unwrap(), Incarnation::from_random(1));
        let (durability, heartbeat_interval) = (Durability::Memory, HEARTBEAT_INTERVAL);
        let pull = PullLimits::default();
        let outline_marks = OUTLINE_MARKS;
        let settings = Settings {
            name,
            incarnation,
            durability,
            heartbeat_interval,
            pull,
            faults,
            outline_marks,
            page_bytes: ENVELOPE_BYTES,
        };
        let core = SecondaryCore::new(settings, Identity::default(), Moment::default(), 1);
        let now = Moment::after_start(Duration::from_secs(100));
        Secondary {
            core,
            store: MemoryStore::without_ids(),
            now,
            saved: Identity::default(),
            said: Vec::new(),
            cuts: Vec::new(),
        }
    }

    /// One that has joined `master` and holds its log.
    fn caught_up_with(master: &Master) -> Secondary {
        let mut secondary = Secondary::new();
        secondary.catch_up(master);
        secondary
    }

    fn event(&mut self, event: impl FnOnce(&mut SecondaryCore, Moment, &MemoryStore)) {
        event(&mut self.core, self.now, &self.store);
        self.execute();
    }

    fn execute(&mut self) {
        for effect in self.core.take_effects() {
            match effect {
                Effect::Save(identity) => self.saved = identity,
                Effect::Append(lines) => assert!(self.store.append(&lines)),
                Effect::Truncate(place, cut) => {
                    assert_eq!(self.store.truncate(place, cut), Ok(Ticket::NONE));
                    self.cuts.push(cut);
                }
                other => self.said.push(other),
            }
        }
        self.core.check_all(&self.store);
    }

    fn end_burst(&mut self) {
        self.event(|core, now, log| core.on_burst_end(now, log));
    }

    fn hear(&mut self, heartbeat: &wire::Heartbeat) {
        self.event(|core, now, log| core.on_heartbeat(now, heartbeat, log));
    }

    fn receive(&mut self, (header, lines): (wire::EntriesHeader, Bytes)) {
        self.event(|core, now, log| core.on_entries(now, header, lines, log));
    }

    /// Time passes, deadlines are served.
    fn pass(&mut self, time: Duration) {
        let end = self.now.plus(time);
        let mut served = 0;
        while let Some(deadline) = self.core.next_deadline().filter(|deadline| *deadline <= end) {
            self.now = self.now.max(deadline);
            self.event(|core, now, log| core.on_deadline(now, log));
            served += 1;
            assert!(served < 1_000, "a deadline that is served is over");
        }
        self.now = end;
        self.end_burst();
    }

    fn joins(&mut self) -> Vec<wire::Join> {
        self.take(|effect| if let Effect::Join(join) = effect { Some(join.clone()) } else { None })
    }

    fn fetches(&mut self) -> Vec<wire::Fetch> {
        self.take(|effect| if let Effect::Fetch(fetch) = effect { Some(fetch.clone()) } else { None })
    }

    fn acks(&mut self) -> Vec<wire::Ack> {
        self.take(|effect| if let Effect::Ack(ack) = effect { Some(ack.clone()) } else { None })
    }

    fn notices(&mut self) -> Vec<Notice> {
        self.take(|effect| if let Effect::Notice(notice) = effect { Some(notice.clone()) } else { None })
    }

    fn states(&mut self) -> Vec<wire::State> {
        self.take(|effect| if let Effect::State { state, .. } = effect { Some(state.clone()) } else { None })
    }

    fn reads(&mut self) -> Vec<ReadAnswer> {
        self.take(|effect| if let Effect::ReadAnswer(answer) = effect { Some(answer.clone()) } else { None })
    }

    /// What of one kind was said since the last call.
    fn take<T>(&mut self, pick: impl Fn(&Effect) -> Option<T>) -> Vec<T> {
        let taken = self.said.iter().filter_map(&pick).collect();
        self.said.retain(|effect| pick(effect).is_none());
        taken
    }

    /// Hears the master and is admitted; nothing is fetched yet.
    fn join(&mut self, master: &Master) {
        self.hear(&master.heartbeat());
        let join = self.joins().pop().expect("a join");
        let answer = master.answer(&join);
        self.event(|core, now, log| core.on_join_answer(now, answer, log));
    }

    /// Answers every fetch until nothing is asked for.
    fn serve_fetches(&mut self, master: &Master) {
        loop {
            let fetches = self.fetches();
            if fetches.is_empty() {
                return self.end_burst();
            }
            for fetch in fetches {
                self.receive(master.fetched(&fetch));
            }
        }
    }

    fn catch_up(&mut self, master: &Master) {
        self.join(master);
        self.serve_fetches(master);
        self.assert_equals(master);
        self.said.clear();
    }

    #[track_caller]
    fn assert_equals(&self, master: &Master) {
        assert_eq!(self.store.tip(), master.store.tip());
    }

    fn length(&self) -> u64 {
        self.store.tip().place.length.get()
    }

    fn status(&self) -> Status {
        self.core.status(self.now, &self.store)
    }
}
