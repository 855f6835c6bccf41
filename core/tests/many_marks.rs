//! Logs with thousands of marks: a master was started again and again, with an append each time, or a node was promoted
//! again and again, without any. The real cores, each over a log in memory, with everything that they say carried by
//! hand.
#![expect(clippy::unwrap_used, reason = "a test may stop at the first surprise")]

use std::time::Duration;

use bytes::Bytes;
use replog_core::{
    driver::{Core, Driver, Environment},
    master::{
        self, MasterCore, PushLimits, StartTerms,
        events::{Append, NewMessage, NotLeading, WaitId},
        reasons::{Aftermath, Dispute, Reason},
    },
    secondary::{self, Faults, PullLimits, SecondaryCore},
};
use replog_shared::{
    Durability, Identity, Incarnation, Lines, Message, MessageId, Moment, NodeName, Order, WriteConcern,
    limits::{ENVELOPE_BYTES, ENVELOPE_OVERHEAD_BYTES, OUTLINE_MARKS},
    store::{LogView as _, MemoryStore, Reader as _, Store as _, Ticket},
    wire::{self, SecondaryState},
};

const RESTARTS: usize = 10_000;

/// What every envelope must stay below here; pages of lines are given this limit, the others have none.
const MOST_BYTES: usize = 64 * 1024;

/// What a nats-server takes that is set to take little.
const SMALL_PAYLOAD: usize = ENVELOPE_OVERHEAD_BYTES + 1_500;

fn name(text: &str) -> NodeName {
    text.parse().unwrap()
}

/// What a node has on its disk.
#[derive(Default)]
struct Disk {
    identity: Identity,
    log: MemoryStore,
}

impl Disk {
    fn copy(&self) -> Disk {
        let mut copy = Disk { identity: self.identity.clone(), log: MemoryStore::without_ids() };
        let (mut from, end) = (Order::ZERO, self.log.tip().place.length);
        while copy.log.tip().place != self.log.tip().place {
            let page = self.log.reader().read(from, end, usize::MAX).unwrap();
            assert!(copy.log.append(&Lines::checked(page.bytes, copy.log.tip()).unwrap()));
            from = page.to;
        }
        copy
    }
}

/// What a node has saved, and what it said.
struct Around<P> {
    identity: Identity,
    said: Vec<P>,
}

impl<C: Core<Packet = P>, P> Environment<C, MemoryStore> for Around<P> {
    fn save(&mut self, identity: &Identity, _: &mut MemoryStore) -> Option<Ticket> {
        self.identity = identity.clone();
        None
    }

    fn send(&mut self, packet: P, _: &MemoryStore) {
        self.said.push(packet);
    }

    fn answer(&mut self, _: C::Answer, _: &MemoryStore) {}

    fn notice(&mut self, _: C::Notice, _: &C, _: &MemoryStore) {}

    fn on_outbox_full(&mut self) {
        panic!("a log in memory saves at once");
    }
}

/// A master's process. What it tells others is kept.
struct Master {
    driver: Driver<MasterCore, MemoryStore>,
    around: Around<master::Packet>,
    now: Moment,
    /// What the bus takes.
    most: usize,
}

impl Master {
    fn start(node: &str, others: [&str; 2], disk: Disk, start: StartTerms, process: u64) -> Master {
        let settings = master::Settings {
            name: name(node),
            secondaries: others.map(name).to_vec(),
            incarnation: Incarnation::from_random(process),
            heartbeat_interval: Duration::from_millis(250),
            recovery_wait: Duration::from_millis(100),
            read_only_without_majority: false,
            start,
            push: PushLimits { envelope_bytes: MOST_BYTES / 2, ..PushLimits::default() },
            http: None,
            outline_marks: OUTLINE_MARKS,
        };
        let now = Moment::default();
        let core = MasterCore::new(settings, disk.identity.clone(), now, process);
        let driver = Driver::new(core, disk.log);
        let around = Around { identity: disk.identity, said: Vec::new() };
        let mut master = Master { driver, around, now, most: MOST_BYTES };
        master.bring(master::Event::BusUp { max_payload: 1 << 20 });
        master
    }

    /// On a bus that takes so little.
    fn on_small_bus(mut self) -> Master {
        self.most = SMALL_PAYLOAD;
        self.bring(master::Event::BusUp { max_payload: SMALL_PAYLOAD });
        self
    }

    fn core(&self) -> &MasterCore {
        self.driver.core()
    }

    fn log(&self) -> &MemoryStore {
        self.driver.log()
    }

    fn into_disk(self) -> Disk {
        Disk { identity: self.around.identity, log: self.driver.into_log() }
    }

    fn pass(&mut self, millis: u64) {
        let end = self.now.plus(Duration::from_millis(millis));
        while let Some(due) = self.driver.next_deadline().filter(|due| *due < end) {
            self.now = self.now.max(due);
            self.end_burst();
        }
        self.now = end;
        self.end_burst();
    }

    fn bring(&mut self, event: master::Event) {
        let before = self.around.said.len();
        self.driver.bring(self.now, event, 0, &mut self.around);
        self.driver.end_burst(self.now, &mut self.around);
        self.echo(before);
    }

    fn end_burst(&mut self) {
        let before = self.around.said.len();
        self.driver.end_burst(self.now, &mut self.around);
        self.echo(before);
    }

    /// What it asks comes back to it: so it knows that the bus works.
    fn echo(&mut self, before: usize) {
        let asks = self.around.said[before..].iter().filter_map(|told| match told {
            master::Packet::Ask(ask) => Some(ask.clone()),
            _ => None,
        });
        for ask in asks.collect::<Vec<_>>() {
            self.driver.bring(self.now, master::Event::Ask(ask, String::new()), 0, &mut self.around);
        }
    }

    fn append(&mut self, id: &str) {
        let message = Message::from_json(Bytes::from_static(b"\"x\"")).unwrap();
        let messages = vec![NewMessage { id: MessageId::new(id).unwrap(), message }];
        let append = Append { messages, w: WriteConcern::ONE, expect_order: None, deadline: None };
        self.bring(master::Event::Append { wait: WaitId(0), append, may_wait: true });
    }

    fn asked(&self) -> u64 {
        let asked = self.around.said.iter().rev().find_map(|told| match told {
            master::Packet::Ask(ask) => Some(ask.request),
            master::Packet::Promise(_, promise) => Some(promise.request),
            _ => None,
        });
        asked.unwrap()
    }
}

/// So many starts of `node`, alone, each with an append.
fn restarted(node: &str, others: [&str; 2], mut disk: Disk, starts: usize) -> Disk {
    for nth in 0..starts {
        let mut master = Master::start(node, others, disk, StartTerms::default(), nth as u64);
        master.pass(150);
        assert!(master.core().epoch().is_some(), "{:?}", master.core().not_leading());
        master.append(&format!("{node}{nth}"));
        disk = master.into_disk();
    }
    disk
}

/// A secondary's process.
struct Secondary {
    name: NodeName,
    driver: Driver<SecondaryCore, MemoryStore>,
    around: Around<secondary::Packet>,
    now: Moment,
    joins: usize,
    /// Pages that a promoting master read here.
    reads: usize,
    /// What the bus takes.
    most: usize,
}

impl Secondary {
    fn start(node: &str, disk: Disk) -> Secondary {
        let settings = secondary::Settings {
            name: name(node),
            incarnation: Incarnation::from_random(fastrand::u64(..)),
            durability: Durability::Disk,
            heartbeat_interval: Duration::from_millis(250),
            pull: PullLimits::default(),
            faults: Faults::default(),
            outline_marks: OUTLINE_MARKS,
            page_bytes: ENVELOPE_BYTES.min(MOST_BYTES / 2),
        };
        let core = SecondaryCore::new(settings, disk.identity.clone(), Moment::default(), 1);
        let driver = Driver::new(core, disk.log);
        let around = Around { identity: disk.identity, said: Vec::new() };
        let now = Moment::default();
        Secondary { name: name(node), driver, around, now, joins: 0, reads: 0, most: MOST_BYTES }
    }

    /// On a bus that takes so little.
    fn on_small_bus(mut self) -> Secondary {
        self.most = SMALL_PAYLOAD;
        self.bring(secondary::Event::BusUp { max_payload: SMALL_PAYLOAD });
        self
    }

    fn bring(&mut self, event: secondary::Event) {
        self.driver.bring(self.now, event, 0, &mut self.around);
    }

    /// Joins a master and fetches until nothing is left to ask. Every envelope is measured.
    fn follow(&mut self, master: &mut Master) {
        master.pass(250);
        let told = std::mem::take(&mut master.around.said);
        let beat = told.into_iter().rev().find_map(|told| match told {
            master::Packet::Heartbeat(beat) => Some(beat),
            _ => None,
        });
        self.bring(secondary::Event::Heartbeat(beat.expect("a heartbeat")));
        self.talk_with(master);
        self.driver.end_burst(self.now, &mut self.around);
        self.talk_with(master);
    }

    /// Until neither has anything to say.
    fn talk_with(&mut self, master: &mut Master) {
        while let Some(next) = self.around.said.pop() {
            match next {
                secondary::Packet::Ack(ack) => master.bring(master::Event::Ack(ack)),
                secondary::Packet::Join(join) => {
                    self.joins += 1;
                    assert_small(&wire::encode(&join), self.most);
                    master.bring(master::Event::Join { join, reply: String::new() });
                }
                secondary::Packet::Fetch(fetch) => {
                    master.bring(master::Event::Fetch { fetch, reply: String::new() });
                }
                _ => {}
            }
            self.hear_all(master);
        }
    }

    /// What the master pushes of an append.
    fn append_to(&mut self, master: &mut Master, id: &str) {
        master.append(id);
        self.hear_all(master);
    }

    fn hear_all(&mut self, master: &mut Master) {
        for told in std::mem::take(&mut master.around.said) {
            self.hear(told);
        }
    }

    fn hear(&mut self, told: master::Packet) {
        match told {
            master::Packet::JoinAnswer { answer, .. } => {
                assert_small(&wire::encode(&*answer), self.most);
                self.bring(secondary::Event::JoinAnswer(*answer));
            }
            master::Packet::Entries { header, lines, .. } if header.sender.node == self.name => {
                assert_small(&wire::encode_entries(&header, &lines), self.most);
                self.bring(secondary::Event::Entries(header, lines));
            }
            _ => {}
        }
    }

    /// Its answer to what a starting master asked last; `promise`: and promises what that one wants.
    fn answer(&mut self, master: &mut Master, promise: bool) {
        let wanted = master.around.said.iter().rev().find_map(|told| match told {
            master::Packet::Promise(node, wanted) if *node == self.name => Some(wanted.clone()),
            _ => None,
        });
        match wanted.filter(|_| promise) {
            Some(wanted) => self.bring(secondary::Event::Promise(wanted, String::new())),
            None => {
                let sender = wire::Sender {
                    v: wire::VERSION,
                    log_id: None,
                    node: name("asks"),
                    incarnation: Incarnation::from_random(5),
                };
                self.bring(secondary::Event::Ask(wire::Ask::new(sender, master.asked()), String::new()));
            }
        }
        while let Some(said) = self.around.said.pop() {
            if let secondary::Packet::State { state, .. } = said {
                assert_small(&wire::encode(&*state), self.most);
                master.bring(master::Event::State(state));
            }
        }
    }

    /// Gives a promoting master what it reads.
    fn serve_reads(&mut self, master: &mut Master) {
        let is_read = |told: &master::Packet| matches!(told, master::Packet::Read(..));
        while let Some(at) = master.around.said.iter().position(is_read) {
            let master::Packet::Read(_, read) = master.around.said.swap_remove(at) else { return };
            self.bring(secondary::Event::Read(read, String::new()));
            let Some(secondary::Packet::ReadAnswer { header, lines, .. }) = self.around.said.pop() else {
                panic!("it was promised")
            };
            assert_small(&wire::encode_entries(&header, &lines), self.most);
            self.reads += 1;
            master.bring(master::Event::ReadAnswer(header, lines));
        }
    }

    #[track_caller]
    fn assert_follows(&self, master: &Master) {
        let log = self.driver.log();
        assert_eq!(log.tip(), master.log().tip());
        assert_eq!(self.driver.core().status(self.now, log).state, SecondaryState::Streaming);
        assert!(self.around.identity.whole);
    }
}

#[track_caller]
fn assert_small(envelope: &[u8], most: usize) {
    assert!(envelope.len() < most, "an envelope of {} bytes", envelope.len());
}

fn leading(disk: Disk) -> Master {
    let mut master = Master::start("m", ["s1", "s2"], disk, StartTerms::default(), 99_999);
    master.pass(150);
    assert!(master.core().epoch().is_some());
    master
}

#[test]
fn a_secondary_joins_a_log_of_ten_thousand_marks_from_its_beginning_and_from_its_middle() {
    let middle = restarted("m", ["s1", "s2"], Disk::default(), RESTARTS / 2);
    let early = middle.copy();
    let mut master = leading(restarted("m", ["s1", "s2"], middle, RESTARTS / 2));
    assert_eq!(master.log().marks().len(), RESTARTS + 1);
    for (node, disk) in [("s1", Disk::default()), ("s2", early)] {
        let mut secondary = Secondary::start(node, disk);
        secondary.follow(&mut master);
        secondary.assert_follows(&master);
        assert_eq!(secondary.joins, 1, "{node}");
    }
}

/// The log of `node` after a promotion over `reach` nodes, of which `others` answer.
fn promoted(node: &str, names: [&str; 2], disk: Disk, reach: usize, others: &mut [&mut Secondary]) -> Master {
    let terms = StartTerms { promote: true, reach: Some(reach), ..StartTerms::default() };
    let mut master = Master::start(node, names, disk, terms, 88_888);
    master.pass(1);
    others.iter_mut().for_each(|other| other.answer(&mut master, false));
    master.pass(150);
    others.iter_mut().for_each(|other| other.answer(&mut master, true));
    if others.is_empty() {
        master.pass(150);
    }
    others.iter_mut().for_each(|other| other.serve_reads(&mut master));
    master
}

#[test]
fn an_old_master_that_led_alone_for_a_thousand_starts_gives_its_branch_up() {
    let common = restarted("m", ["s1", "s2"], Disk::default(), 500);
    let log = Disk { identity: Identity { whole: true, ..common.identity.clone() }, ..common.copy() };
    let zombie = restarted("m", ["s1", "s2"], common, 1_000);
    let next = promoted("s1", ["m", "s2"], log, 1, &mut []);
    assert!(next.core().epoch().is_some(), "{:?}", next.core().not_leading());
    let mut next = Master::start(
        "s1",
        ["m", "s2"],
        restarted("s1", ["m", "s2"], next.into_disk(), 1_000),
        StartTerms::default(),
        66_666,
    );
    next.pass(150);
    let mut old = Secondary::start("m", zombie);
    old.follow(&mut next);
    old.assert_follows(&next);
    assert_eq!(old.joins, 1_000 / OUTLINE_MARKS + 1, "it tells of older marks until one is common");
}

#[test]
fn a_promotion_over_thousands_of_marks_fetches_them_and_halts_where_it_cannot_tell() {
    let middle = restarted("m", ["s1", "s2"], Disk::default(), 1_000);
    let stale = || Disk { identity: Identity { whole: true, ..middle.identity.clone() }, ..middle.copy() };
    let whole = restarted("m", ["s1", "s2"], middle.copy(), 1_000);
    let whole = || Disk { identity: Identity { whole: true, ..whole.identity.clone() }, ..whole.copy() };

    let mut s1 = Secondary::start("s1", whole());
    let empty = promoted("s2", ["m", "s1"], Disk::default(), 1, &mut [&mut s1]);
    assert!(empty.core().epoch().is_some(), "{:?}", empty.core().not_leading());
    assert_eq!(empty.log().marks().len(), 2_001);

    let mut s2 = Secondary::start("s2", stale());
    let s1 = promoted("s1", ["m", "s2"], whole(), 2, &mut [&mut s2]);
    assert!(
        s1.core().epoch().is_some(),
        "who has the longest log knows all of it: {:?}",
        s1.core().not_leading()
    );

    let mut s1 = Secondary::start("s1", whole());
    let s2 = promoted("s2", ["m", "s1"], stale(), 2, &mut [&mut s1]);
    let dispute = Dispute::Unknown { node: name("s2"), best: name("s1") };
    let (reason, aftermath) = (Reason::Dispute(dispute), Aftermath::NothingChanged);
    assert_eq!(s2.core().not_leading(), Some(NotLeading::NotPromoted { reason, aftermath }));
}

/// The log of `node` after so many promotions of it, alone, and no append.
fn promoted_again(node: &str, others: [&str; 2], mut disk: Disk, times: usize) -> Disk {
    for _ in 0..times {
        let master = promoted(node, others, disk, 1, &mut []);
        assert!(master.core().epoch().is_some(), "{:?}", master.core().not_leading());
        disk = master.into_disk();
    }
    disk
}

/// A log of one entry, so many promotions of `m` behind it, and another log with the first half of them.
fn log_of_promotions(times: usize) -> (Disk, Disk) {
    let first = restarted("m", ["s1", "s2"], Disk::default(), 1);
    let middle = promoted_again("m", ["s1", "s2"], first, times / 2);
    let half = Disk { identity: Identity { whole: true, ..middle.identity.clone() }, ..middle.copy() };
    (promoted_again("m", ["s1", "s2"], middle, times / 2), half)
}

#[test]
fn thousands_of_promotions_without_an_append_refuse_no_append_and_are_fetched_in_parts() {
    let (log, half) = log_of_promotions(2_000);
    let whole = Disk { identity: Identity { whole: true, ..log.identity.clone() }, ..log.copy() };
    let mut master = leading(log);
    assert_eq!(master.log().marks().len(), 2_002);
    for (nth, (node, disk)) in [("s1", Disk::default()), ("s2", half)].into_iter().enumerate() {
        let mut secondary = Secondary::start(node, disk);
        secondary.follow(&mut master);
        secondary.assert_follows(&master);
        secondary.append_to(&mut master, &format!("pushed{nth}"));
        secondary.assert_follows(&master);
    }
    assert_eq!(master.log().tip().place.length, Order::new(3));
    // Until the process that had the name has fallen silent.
    master.pass(5_000);
    let mut s1 = Secondary::start("s1", Disk::default());
    s1.follow(&mut master);
    s1.assert_follows(&master);

    let mut source = Secondary::start("s1", whole);
    let empty = promoted("s2", ["m", "s1"], Disk::default(), 1, &mut [&mut source]);
    assert!(empty.core().epoch().is_some(), "{:?}", empty.core().not_leading());
    assert_eq!(empty.log().marks().len(), 2_002);
    assert!(source.reads > 5, "{} pages", source.reads);
}

#[test]
fn on_a_bus_that_takes_little_promotions_pile_up_without_harm() {
    let (log, half) = log_of_promotions(64);
    let whole = Disk { identity: Identity { whole: true, ..log.identity.clone() }, ..log.copy() };
    let mut master = leading(log).on_small_bus();
    for (nth, (node, disk)) in [("s1", Disk::default()), ("s2", half)].into_iter().enumerate() {
        let mut secondary = Secondary::start(node, disk).on_small_bus();
        secondary.follow(&mut master);
        secondary.assert_follows(&master);
        secondary.append_to(&mut master, &format!("pushed{nth}"));
        secondary.assert_follows(&master);
    }
    let mut source = Secondary::start("s1", whole).on_small_bus();
    let empty = promoted("s2", ["m", "s1"], Disk::default(), 1, &mut [&mut source]);
    assert!(empty.core().epoch().is_some(), "{:?}", empty.core().not_leading());
    assert!(source.reads > 5, "{} pages", source.reads);
}
