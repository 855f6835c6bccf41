//! A node over a disk that is slow: what it says while it works, and how it stops.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering::SeqCst},
    },
    time::Duration,
};

use bytes::Bytes;
use replog_host::{
    bus::{InProcessBus, InProcessHub},
    commands::Asked,
    storage::{Keeper, Storage},
};
use replog_shared::{
    Digest, Identity, Incarnation, Lines, LogName, Message, MessageId, Order, Place, PlacedMark,
    WriteConcern,
    lines::Tip,
    store::{Chore, Cut, IdSeed, LogView, MemoryStore, OldPages, StoreError, StoreFigures, Ticket},
};
use tokio::{
    sync::{Notify, oneshot},
    task::JoinHandle,
    time::timeout,
};

use super::*;
use replog_core::master::{
    PushLimits, Settings, StartTerms,
    events::{Append, Interruption, NewMessage, NotLeading, Refusal, WriteOutcome},
};

/// Longer than a node may take to stop.
const STOP_LIMIT: Duration = Duration::from_secs(10);

/// In memory; it becomes durable only while it does not stand still.
struct SlowStore {
    memory: MemoryStore,
    durable: Place,
    stands_still: Arc<AtomicBool>,
    /// What is durable has to be read before it is looked at.
    is_old: bool,
    lent: OldPages,
    news: Arc<Notify>,
}

impl LogView for SlowStore {
    fn tip(&self) -> &Tip {
        self.memory.tip()
    }

    fn durable(&self) -> Place {
        self.durable
    }

    fn pending_bytes(&self) -> usize {
        0
    }

    fn visible_through(&self) -> Order {
        self.durable.length
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
        if self.is_old { self.durable.length } else { Order::ZERO }
    }

    fn has_at_hand(&self, from: Order, to: Order) -> bool {
        let until = to.min(self.recent_from());
        from >= until || self.lent.cover(from, until)
    }

    fn candidates(&self, id: &MessageId, show: &mut dyn FnMut(Order)) {
        self.memory.find(id).into_iter().for_each(show);
    }
}

impl Store for SlowStore {
    type Reader = <MemoryStore as Store>::Reader;

    fn reader(&self) -> Self::Reader {
        self.memory.reader()
    }

    fn append(&mut self, lines: &Lines) -> bool {
        self.news.notify_one();
        self.memory.append(lines)
    }

    fn refresh(&mut self) -> Result<(), StoreError> {
        if !self.stands_still.load(SeqCst) {
            self.durable = self.memory.tip().place;
        }
        self.memory.refresh()
    }

    fn failure(&self) -> Option<StoreError> {
        self.memory.failure()
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
        self.durable = self.durable.min(place);
        self.news.notify_one();
        self.memory.truncate(place, cut)
    }

    fn run(&mut self, chore: Chore) -> Ticket {
        self.memory.run(chore)
    }

    fn done(&self) -> Ticket {
        self.memory.done()
    }

    fn close(self) -> Result<(), StoreError> {
        assert!(!self.stands_still.load(SeqCst), "nobody can close a log that does not answer");
        self.memory.close()
    }
}

/// A master with one secondary that never comes, and its disk.
struct Running {
    handle: Handle<<MemoryStore as Store>::Reader>,
    stands_still: Arc<AtomicBool>,
    stop: CancellationToken,
    node: JoinHandle<Result<(), NodeFailure>>,
}

type SlowNode = Node<SlowStore, InProcessBus>;

fn node(stands_still: Arc<AtomicBool>) -> (SlowNode, Handle<<MemoryStore as Store>::Reader>) {
    let log: LogName = "main".parse().unwrap();
    let name = "master".parse().unwrap();
    let settings = Settings {
        name: "master".parse().unwrap(),
        secondaries: vec!["secondary1".parse().unwrap()],
        incarnation: Incarnation::from_random(1),
        heartbeat_interval: Duration::from_millis(250),
        recovery_wait: Duration::from_millis(1),
        read_only_without_majority: false,
        start: StartTerms::default(),
        push: PushLimits::default(),
        http: None,
        outline_marks: 10,
    };
    let core = MasterCore::new(settings, Identity::default(), Moment::default(), 1);
    let news = Arc::<Notify>::default();
    let memory = MemoryStore::with_ids(IdSeed::from_random(1));
    let store = SlowStore {
        memory,
        durable: Place::default(),
        stands_still,
        is_old: false,
        lent: OldPages::default(),
        news: news.clone(),
    };
    let storage = Storage { store, identity: Identity::default(), keeper: Keeper::Memory, news };
    let translator = Translator::new(log, &name);
    let bus = InProcessHub::new().connect(translator.subscriptions(), translator.inbox());
    Node::new(core, storage, bus, translator, Spans::default())
}

impl Running {
    async fn leading() -> Running {
        let mut running = Running::started(false);
        running.handle.readiness.wait_for(|readiness| readiness.leading).await.unwrap();
        running
    }

    fn started(stands_still: bool) -> Running {
        let stands_still = Arc::new(AtomicBool::new(stands_still));
        let (node, handle) = node(stands_still.clone());
        let stop = CancellationToken::new();
        let node = tokio::spawn(node.run(stop.clone()));
        Running { handle, stands_still, stop, node }
    }

    async fn append(&self, id: &str, w: u64) -> Asked<WriteOutcome> {
        self.append_at(None, id, w).await
    }

    async fn append_at(&self, expect_order: Option<Order>, id: &str, w: u64) -> Asked<WriteOutcome> {
        self.handle.append(append(expect_order, id, w), None, None, true).await.unwrap()
    }
}

fn append(expect_order: Option<Order>, id: &str, w: u64) -> Append {
    let message = Message::from_json(Bytes::from_static(b"1")).unwrap();
    let messages = vec![NewMessage { id: MessageId::new(id).unwrap(), message }];
    let w = WriteConcern::checked(Some(w), 2).unwrap();
    Append { messages, w, expect_order, deadline: None }
}

#[tokio::test(start_paused = true)]
async fn a_node_whose_disk_stands_still_stops_in_time_and_says_nothing_of_what_is_not_durable() {
    let running = Running::leading().await;
    let durable = running.append("durable", 2).await;
    running.handle.health(0).await.unwrap();
    running.stands_still.store(true, SeqCst);
    let not_durable = running.append("not durable", 1).await;
    running.handle.health(0).await.unwrap();
    running.stop.cancel();
    let stopped = timeout(STOP_LIMIT, running.node).await.expect("it stops").unwrap();
    assert!(matches!(stopped, Err(NodeFailure::Held(HeldFailure::StandsStill { .. }))), "{stopped:?}");
    let told = durable.answer().await.unwrap();
    assert!(
        matches!(told, WriteOutcome::Interrupted { by: Interruption::Stopping, .. }),
        "what is durable is told: {told:?}"
    );
    assert!(not_durable.answer().await.is_err(), "of the other nobody knows");
}

#[tokio::test(start_paused = true)]
async fn what_is_told_of_the_log_is_durable() {
    let running = Running::leading().await;
    let first = running.append("a", 1).await.answer().await.unwrap();
    assert!(matches!(first, WriteOutcome::Met { .. }), "{first:?}");
    let before = running.handle.health(0).await.unwrap();
    running.stands_still.store(true, SeqCst);
    let _waits = running.append("b", 1).await;
    let after = running.handle.health(0).await.unwrap();
    assert_eq!((before.length, before.digest), (Order::new(1), after.digest));
    assert_eq!(after.length, Order::new(1), "the second may still get lost");
    let missing = running.handle.wait(Order::new(7), WriteConcern::ONE, None, true).await.unwrap();
    assert_eq!(missing, WriteOutcome::Refused(Refusal::NoSuchOrder { length: Order::new(1) }));
    // What is decided over the whole log says so.
    let unexpected = running.append_at(Some(Order::new(1)), "c", 1).await.answer().await.unwrap();
    let refusal = Refusal::UnexpectedOrder { length: Order::new(2), durable: Order::new(1) };
    assert_eq!(unexpected, WriteOutcome::Refused(refusal));
}

#[tokio::test(start_paused = true)]
async fn reads_are_of_an_epoch_whose_mark_is_durable() {
    let mut running = Running::started(true);
    running.handle.readiness.wait_for(|readiness| readiness.has_epoch).await.unwrap();
    running.handle.health(0).await.unwrap();
    assert_eq!(running.handle.shown.borrow().epoch, None, "a crash may still take the epoch back");
    running.stands_still.store(false, SeqCst);
    running.handle.health(0).await.unwrap();
    running.handle.readiness.wait_for(|readiness| readiness.leading).await.unwrap();
    assert!(running.handle.shown.borrow().epoch.is_some());
}

/// A caller of a node that leads, whose turns are the test's: it waits until the line behind its id is read, which is not
/// before the test waits, too.
async fn parked() -> (SlowNode, oneshot::Receiver<WriteOutcome>) {
    let (mut node, _handle) = node(Arc::default());
    while node.driver.core().epoch().is_none() {
        sleep_until(node.next_wake_up()).await;
        node.turn(Wake::News).unwrap();
    }
    let _answer = node.append("old", 1);
    node.turn(Wake::News).unwrap();
    node.driver.log_mut().is_old = true;
    let answer = node.append("old", 2);
    assert_eq!(node.driver.parked().0, 1);
    (node, answer)
}

impl SlowNode {
    fn append(&mut self, id: &str, w: u64) -> oneshot::Receiver<WriteOutcome> {
        let (answer, asked) = oneshot::channel();
        let (append, arrived) = (append(None, id, w), Instant::now());
        let command = Command::Append { append, arrived, trace: None, timeout: None, may_wait: true, answer };
        self.turn(Wake::Command(command)).unwrap();
        asked
    }
}

#[tokio::test(start_paused = true)]
async fn a_caller_that_waits_for_an_old_line_and_hangs_up_is_forgotten() {
    let (mut node, answer) = parked().await;
    drop(answer);
    node.swept_at -= SWEEP_INTERVAL;
    node.turn(Wake::News).unwrap();
    assert_eq!(node.driver.parked().1, 0, "what it sent is gone");
    let news = node.env.held.news().clone();
    while node.driver.parked().0 > 0 {
        news.notified().await;
        node.turn(Wake::News).unwrap();
    }
    let now = node.env.now();
    assert_eq!(node.health(now, 0).pending_writes, 0, "nobody waits for a secondary");
}

#[tokio::test(start_paused = true)]
async fn a_caller_that_waits_for_an_old_line_is_told_that_the_node_stops() {
    let (node, answer) = parked().await;
    let stop = CancellationToken::new();
    stop.cancel();
    node.run(stop).await.unwrap();
    let told = answer.await.unwrap();
    assert_eq!(told, WriteOutcome::Refused(Refusal::NotLeading(NotLeading::Stopping)));
}
