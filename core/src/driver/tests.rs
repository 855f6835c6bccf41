//! The loop over a core that does as it is told, and a log whose disk is slow.

use bytes::Bytes;
use replog_shared::{
    Digest, Epoch, Identity, Incarnation, LogId, Mark, MarkKind, MessageId, PlacedMark,
    lines::Tip,
    store::{Chore, LogView, MemoryStore, OldPages, ReadError, Reader as _, StoreFigures},
};

use super::*;

/// What the core wants done, and what is said of it.
#[derive(Clone, Debug)]
enum Effect {
    Save(u64),
    Append(Lines),
    Cut(Place),
    Send(&'static str),
    Answer(&'static str),
    Refuse(&'static str),
    Notice(&'static str),
}

/// Something that looks at an old line, or at none, and makes these effects.
#[derive(Debug)]
struct Event {
    name: &'static str,
    looks_at: Option<u64>,
    overdue_at: Option<Moment>,
    effects: Vec<Effect>,
}

impl Event {
    fn of(effects: impl Into<Vec<Effect>>) -> Event {
        Event { name: "event", looks_at: None, overdue_at: None, effects: effects.into() }
    }

    fn looking_at(name: &'static str, order: u64) -> Event {
        Event { looks_at: Some(order), name, ..Event::of([Effect::Send(name)]) }
    }
}

/// Does as it is told.
#[derive(Default)]
struct Obedient {
    effects: Vec<Effect>,
    due: Option<Moment>,
    /// What is due looks at this old line.
    due_looks_at: Option<u64>,
    held: Vec<Event>,
    is_broken: bool,
}

fn look(order: Option<u64>, log: &LookAhead<'_>) {
    if let Some(order) = order {
        log.entry(Order::new(order));
    }
}

impl Core for Obedient {
    type Event = Event;
    type Effect = Effect;
    type Packet = &'static str;
    type Answer = &'static str;
    type Notice = &'static str;
    type Why = &'static str;

    const DEADLINES_AT_ONCE: usize = 2;

    fn on(&mut self, _: Moment, event: Event, log: &dyn LogView) {
        if let Some(order) = event.looks_at {
            assert!(log.has_at_hand(Order::new(order), Order::new(order + 1)), "the old line was not lent");
        }
        self.effects.extend(event.effects);
    }

    fn look_ahead(&self, event: &Event, log: &LookAhead<'_>) {
        look(event.looks_at, log);
    }

    fn next_deadline(&self) -> Option<Moment> {
        self.due
    }

    fn on_deadline(&mut self, _: Moment, _: &dyn LogView) {
        self.due = None;
        self.effects.push(Effect::Send("due"));
    }

    fn look_ahead_deadline(&self, _: Moment, log: &LookAhead<'_>) {
        look(self.due_looks_at, log);
    }

    fn on_deadline_without_log(&mut self, _: Moment) {
        self.effects.push(Effect::Send("due without the log"));
    }

    fn take_up_held(&mut self, _: Moment, _: &dyn LogView) -> bool {
        let held = self.held.pop();
        let more = held.is_some();
        self.effects.extend(held.into_iter().flat_map(|event| event.effects));
        more
    }

    fn look_ahead_held(&self, log: &LookAhead<'_>) {
        look(self.held.last().and_then(|event| event.looks_at), log);
    }

    fn take_held_if(&mut self, has_room: &dyn Fn(usize) -> bool) -> Option<Event> {
        if has_room(1) { self.held.pop() } else { None }
    }

    fn on_burst_end(&mut self, _: Moment, _: &dyn LogView) {}

    fn on_stop(&mut self, _: Moment, _: &dyn LogView) {
        self.effects.push(Effect::Answer("stops"));
    }

    fn turn_away(&mut self, _: Moment, _: Event) {
        self.effects.push(Effect::Refuse("turned away"));
    }

    fn take_effects(&mut self, into: &mut Vec<Effect>) {
        into.append(&mut self.effects);
    }

    fn deed(&self, effect: Effect, _: &impl Store) -> Result<Deed<Obedient>, ReadError> {
        Ok(match effect {
            Effect::Save(log_id) => Deed::Save(Identity {
                log_id: Some(LogId::from_random(log_id.into())),
                ..Identity::default()
            }),
            Effect::Append(lines) => Deed::Append(lines),
            Effect::Cut(place) => Deed::Truncate(place, Cut::Drop),
            Effect::Send(what) => Deed::Send(what),
            Effect::Answer(what) => Deed::Answer(what),
            Effect::Refuse(what) => Deed::Refuse(what),
            Effect::Notice(what) => Deed::Notice(what),
        })
    }

    fn ends(notice: &&'static str) -> Option<&'static str> {
        (*notice == "over").then_some("over")
    }

    fn bytes(_: &Event) -> usize {
        1
    }

    fn overdue_at(event: &Event) -> Option<Moment> {
        event.overdue_at
    }

    fn is_awaited(event: &Event) -> bool {
        event.name != "packet"
    }

    fn packet_bytes(_: &&'static str) -> usize {
        1
    }

    fn check(&self, _: &dyn LogView) {
        assert!(!self.is_broken, "the core is broken");
    }
}

/// A log in memory of which old lines count as not in memory, and that saves and cuts when it is told to.
struct SlowLog {
    memory: MemoryStore,
    recent_from: Order,
    lent: OldPages,
    given: Ticket,
    done: Ticket,
    failure: Option<StoreError>,
}

impl SlowLog {
    fn new(entries: u64) -> SlowLog {
        let mut memory = MemoryStore::without_ids();
        assert!(memory.append(&mark(&Tip::default())));
        for _ in 0..entries {
            assert!(memory.append(&entry(memory.tip())));
        }
        SlowLog {
            memory,
            recent_from: Order::new(entries),
            lent: OldPages::default(),
            given: Ticket::NONE,
            done: Ticket::NONE,
            failure: None,
        }
    }

    fn give(&mut self) -> Ticket {
        self.given = self.given.next();
        self.given
    }
}

impl LogView for SlowLog {
    fn tip(&self) -> &Tip {
        self.memory.tip()
    }

    fn durable(&self) -> Place {
        self.memory.durable()
    }

    fn pending_bytes(&self) -> usize {
        0
    }

    fn visible_through(&self) -> Order {
        self.memory.visible_through()
    }

    fn marks(&self) -> &[PlacedMark] {
        self.memory.marks()
    }

    fn digest_at(&self, place: Place) -> Option<Digest> {
        self.memory.digest_at(place)
    }

    fn find(&self, id: &MessageId) -> Option<Order> {
        self.memory.find(id)
    }

    fn entry(&self, order: Order) -> Option<Bytes> {
        self.memory.entry(order)
    }

    fn size(&self, from: Order, to: Order) -> usize {
        self.memory.size(from, to)
    }

    fn fit(&self, from: Order, bytes: usize) -> Order {
        self.memory.fit(from, bytes)
    }

    fn recent_from(&self) -> Order {
        self.recent_from
    }

    fn has_at_hand(&self, from: Order, to: Order) -> bool {
        let until = to.min(self.recent_from);
        from >= until || self.lent.cover(from, until)
    }
}

impl Store for SlowLog {
    type Reader = <MemoryStore as Store>::Reader;

    fn reader(&self) -> Self::Reader {
        self.memory.reader()
    }

    fn append(&mut self, lines: &Lines) -> bool {
        self.memory.append(lines)
    }

    fn refresh(&mut self) -> Result<(), StoreError> {
        self.failure.clone().map_or(Ok(()), Err)
    }

    fn failure(&self) -> Option<StoreError> {
        self.failure.clone()
    }

    fn figures(&self) -> StoreFigures {
        self.memory.figures()
    }

    fn lend(&mut self, pages: OldPages) {
        self.lent = pages;
    }

    fn take_back(&mut self) -> OldPages {
        std::mem::take(&mut self.lent)
    }

    fn truncate(&mut self, place: Place, cut: Cut) -> Result<Ticket, StoreError> {
        self.memory.truncate(place, cut)?;
        Ok(self.give())
    }

    fn run(&mut self, _: Chore) -> Ticket {
        self.give()
    }

    fn done(&self) -> Ticket {
        self.done
    }

    fn close(self) -> Result<(), StoreError> {
        Ok(())
    }
}

/// What the driver did and said, in order.
#[derive(Default)]
struct Seen(Vec<String>);

impl Environment<Obedient, SlowLog> for Seen {
    fn save(&mut self, _: &Identity, log: &mut SlowLog) -> Option<Ticket> {
        self.0.push("saves".to_owned());
        Some(log.run(Box::new(|| Ok(()))))
    }

    fn send(&mut self, packet: &'static str, _: &SlowLog) {
        self.0.push(packet.to_owned());
    }

    fn answer(&mut self, answer: &'static str, _: &SlowLog) {
        self.0.push(answer.to_owned());
    }

    fn notice(&mut self, notice: &'static str, _: &Obedient, _: &SlowLog) {
        self.0.push(notice.to_owned());
    }

    fn on_outbox_full(&mut self) {
        self.0.push("full".to_owned());
    }

    fn on_appended(&mut self, _: &Lines, _: &Obedient, _: &SlowLog) {
        self.0.push("appended".to_owned());
    }

    fn before_cut(&mut self, _: Place, _: &Obedient, log: &SlowLog) {
        self.0.push(format!("cuts at most {}", log.tip().place.length));
    }

    fn on_cut(&mut self, _: Place, _: &Obedient, log: &SlowLog) {
        self.0.push(format!("cut at {}", log.tip().place.length));
    }
}

fn mark(tip: &Tip) -> Lines {
    let (owner, incarnation) = ("master".parse().unwrap(), Incarnation::from_random(1));
    let epoch = Epoch { reign: 1, owner, start: 0, incarnation };
    Lines::of_mark(
        Mark { epoch, kind: MarkKind::Start, reached: vec![], members: vec![], first: Order::ZERO },
        tip,
    )
}

fn entry(tip: &Tip) -> Lines {
    let (id, message) =
        (MessageId::new("a").unwrap(), replog_shared::Message::from_json(Bytes::from_static(b"1")).unwrap());
    let epoch = tip.epoch.as_ref().unwrap().number();
    let at = replog_shared::WallTime::from_ms(7);
    let head = replog_shared::entry::EntryHead { order: tip.place.length, epoch, at, more: false };
    let mut line = Vec::new();
    replog_shared::entry::encode(&mut line, head, &id, &message);
    let end = line.len();
    Lines::of_entries(line.into(), [end], at, tip)
}

const NOW: Moment = Moment::after_start(std::time::Duration::ZERO);

/// A driver over a log of so many old entries, and what it did.
struct Bench {
    driver: Driver<Obedient, SlowLog>,
    seen: Seen,
}

impl Bench {
    fn new(entries: u64) -> Bench {
        Bench { driver: Driver::new(Obedient::default(), SlowLog::new(entries)), seen: Seen::default() }
    }

    fn bring(&mut self, event: Event) {
        self.driver.bring(NOW, event, 0, &mut self.seen);
    }

    /// All saves and cuts so far are done.
    fn all_done(&mut self) {
        let log = self.driver.log_mut();
        log.done = log.given;
        self.driver.refresh(&mut self.seen);
    }

    fn read(&mut self) {
        while let Some((turn, lookup)) = self.driver.next_read() {
            let lines = self.driver.log().reader().old(lookup).unwrap();
            self.driver.on_read(NOW, turn, lines, &mut self.seen);
        }
    }

    fn seen(&mut self) -> Vec<String> {
        std::mem::take(&mut self.seen.0)
    }
}

#[test]
fn nothing_is_said_before_what_was_decided_before_it_is_durable_but_refusals() {
    let mut bench = Bench::new(0);
    bench.bring(Event::of([
        Effect::Send("before"),
        Effect::Save(1),
        Effect::Send("promise"),
        Effect::Refuse("refusal"),
        Effect::Answer("answer"),
    ]));
    assert_eq!(bench.seen(), ["before", "saves", "refusal"]);
    bench.bring(Event::of([Effect::Cut(Place::START), Effect::Send("cut")]));
    assert_eq!(bench.seen(), ["cuts at most 0", "cut at 0"]);
    assert!(!bench.driver.is_settled());
    let first = Ticket::NONE.next();
    bench.driver.log_mut().done = first;
    bench.driver.refresh(&mut bench.seen);
    assert_eq!(bench.seen(), ["promise", "answer"]);
    bench.all_done();
    assert_eq!(bench.seen(), ["cut"]);
    assert!(bench.driver.is_settled());
    bench.bring(Event::of([Effect::Send("at once")]));
    assert_eq!(bench.seen(), ["at once"]);
}

#[test]
fn an_event_that_looks_at_old_lines_comes_when_they_were_read_and_others_overtake_it() {
    let mut bench = Bench::new(3);
    bench.bring(Event::looking_at("old", 1));
    bench.bring(Event::of([Effect::Send("recent")]));
    assert_eq!(bench.seen(), ["recent"]);
    assert_eq!(bench.driver.parked().0, 1);
    bench.read();
    assert_eq!(bench.seen(), ["old"]);
    assert!(!bench.driver.log().has_at_hand(Order::new(1), Order::new(2)), "nothing stays lent");
}

#[test]
fn lines_that_were_read_before_a_cut_are_read_again() {
    let mut bench = Bench::new(3);
    bench.bring(Event::looking_at("old", 1));
    let (turn, lookup) = bench.driver.next_read().unwrap();
    let lines = bench.driver.log().reader().old(lookup).unwrap();
    bench.bring(Event::of([Effect::Cut(Place::new(Order::new(2), 1))]));
    bench.seen();
    bench.driver.on_read(NOW, turn, lines, &mut bench.seen);
    assert!(bench.seen().is_empty(), "the lines of another log are none of this one's");
    bench.read();
    bench.all_done();
    assert_eq!(bench.seen(), ["old"]);
}

#[test]
fn what_is_due_waits_for_old_lines_once_and_the_clock_goes_on() {
    let mut bench = Bench::new(3);
    let core = bench.driver.core_mut();
    (core.due, core.due_looks_at) = (Some(NOW), Some(1));
    bench.driver.end_burst(NOW, &mut bench.seen);
    assert_eq!(bench.driver.next_deadline(), None, "it waits for the disk, not for the clock");
    bench.seen();
    bench.driver.end_burst(NOW, &mut bench.seen);
    assert_eq!(bench.seen(), ["due without the log", "due without the log"]);
    assert_eq!(bench.driver.parked().0, 1);
    bench.read();
    assert_eq!(bench.seen(), ["due"]);
}

#[test]
fn what_is_due_and_lacks_nothing_any_more_is_done_once() {
    let mut bench = Bench::new(3);
    let core = bench.driver.core_mut();
    (core.due, core.due_looks_at) = (Some(NOW), Some(1));
    bench.driver.end_burst(NOW, &mut bench.seen);
    bench.seen();
    bench.driver.core_mut().due_looks_at = None;
    bench.driver.end_burst(NOW, &mut bench.seen);
    assert_eq!(bench.seen(), ["due"]);
    bench.read();
    assert!(bench.seen().is_empty(), "it is not due again because its lines have come");
}

#[test]
fn who_waits_no_longer_is_told_and_who_hung_up_is_forgotten() {
    let later = NOW.plus(std::time::Duration::from_secs(1));
    let mut bench = Bench::new(3);
    bench.bring(Event { overdue_at: Some(later), ..Event::looking_at("overdue", 1) });
    bench.bring(Event::looking_at("hung up", 1));
    bench.bring(Event::looking_at("packet", 2));
    assert_eq!(bench.driver.next_deadline(), Some(later));
    bench.driver.end_burst(NOW, &mut bench.seen);
    assert!(bench.seen().is_empty());
    bench.driver.end_burst(later, &mut bench.seen);
    assert_eq!(bench.seen(), ["turned away"]);
    bench.driver.forget(|event| event.name == "hung up");
    bench.read();
    assert_eq!(bench.seen(), ["packet"]);
}

#[test]
fn a_node_that_stops_tells_who_waits_and_drops_packets() {
    let mut bench = Bench::new(3);
    bench.bring(Event::looking_at("packet", 1));
    bench.bring(Event { effects: vec![Effect::Refuse("caller is told")], ..Event::looking_at("caller", 1) });
    // The core that stops looks at nothing.
    bench.driver.log_mut().recent_from = Order::ZERO;
    bench.driver.stop(NOW, &mut bench.seen);
    assert_eq!(bench.seen(), ["stops", "caller is told"]);
}

#[test]
fn what_came_before_its_time_is_taken_up_in_the_end_and_may_wait_for_old_lines() {
    let mut bench = Bench::new(3);
    let held = [Event::looking_at("old", 1), Event::of([Effect::Send("new")])];
    bench.driver.core_mut().held.extend(held);
    bench.driver.end_burst(NOW, &mut bench.seen);
    assert_eq!(bench.seen(), ["new"]);
    bench.read();
    assert_eq!(bench.seen(), ["old"]);
}

#[test]
fn more_than_may_wait_is_turned_away() {
    let mut bench = Bench::new(3);
    bench.driver.bring(NOW, Event::looking_at("large", 1), PARKED_BYTES - 1, &mut bench.seen);
    bench.driver.bring(NOW, Event::looking_at("one more", 1), 0, &mut bench.seen);
    assert_eq!(bench.seen(), ["turned away"]);
}

#[test]
fn after_the_end_nothing_is_done() {
    let mut bench = Bench::new(0);
    bench.bring(Event::of([Effect::Notice("over"), Effect::Send("after")]));
    assert_eq!(bench.seen(), ["over"]);
    bench.bring(Event::of([Effect::Send("later")]));
    assert!(bench.seen().is_empty());
    assert_eq!(bench.driver.take_end(), Some(End::Over("over")));
}

#[test]
fn a_run_that_does_not_continue_the_log_is_a_failure_of_its_own() {
    let mut bench = Bench::new(0);
    let run = entry(bench.driver.log().tip());
    let again = run.clone();
    bench.bring(Event::of([Effect::Append(run.clone()), Effect::Append(again), Effect::Send("after")]));
    assert_eq!(bench.seen(), ["appended"]);
    let failure = Failure::NotTaken { order: run.from(), bytes: run.bytes().len() };
    assert!(failure.to_string().contains("please report it"), "{failure}");
    assert_eq!(bench.driver.take_end(), Some(End::Failed(failure)));
    assert_eq!(bench.driver.log().failure(), None, "the storage itself is well");
}

#[test]
fn what_was_decided_over_a_log_that_failed_is_no_decision() {
    let mut bench = Bench::new(0);
    let failure = StoreError::Failed { reason: "the disk is gone".to_owned() };
    bench.driver.log_mut().failure = Some(failure.clone());
    bench.bring(Event::of([Effect::Save(1), Effect::Send("said")]));
    assert!(bench.seen().is_empty());
    assert_eq!(bench.driver.take_end(), Some(End::Failed(failure.clone().into())));
    bench.driver.refresh(&mut bench.seen);
    assert_eq!(bench.driver.take_end(), Some(End::Failed(failure.into())));
}

#[test]
#[should_panic(expected = "the core is broken")]
fn a_core_is_checked_after_each_event() {
    let mut bench = Bench::new(0);
    bench.driver.core_mut().is_broken = true;
    bench.bring(Event::of([]));
}

#[test]
#[should_panic(expected = "what is due is parked once, or not at all")]
fn what_is_due_and_would_never_be_done_is_found() {
    let mut bench = Bench::new(0);
    bench.driver.deadline_waits = true;
    bench.bring(Event::of([]));
}

#[test]
#[should_panic(expected = "the outbox waits for what nobody was asked to do")]
fn the_outbox_is_checked_after_each_event() {
    let mut bench = Bench::new(0);
    bench.bring(Event::of([Effect::Save(1), Effect::Send("promise")]));
    bench.driver.last = Ticket::NONE;
    bench.bring(Event::of([]));
}

#[test]
#[should_panic(expected = "more events are parked than may be")]
fn parked_events_are_checked_after_each_event() {
    let mut bench = Bench::new(3);
    for _ in 0..PARKED_EVENTS + 2 {
        bench
            .driver
            .parking
            .park_surely(Late::Event(Event::looking_at("one more", 1)), Lookup::Cut { at: Order::ZERO });
    }
    bench.bring(Event::of([]));
}

#[test]
fn nothing_is_checked_of_a_core_whose_log_failed() {
    let mut bench = Bench::new(0);
    bench.driver.core_mut().is_broken = true;
    bench.driver.log_mut().failure = Some(StoreError::Failed { reason: "the disk is gone".to_owned() });
    bench.bring(Event::of([]));
}
