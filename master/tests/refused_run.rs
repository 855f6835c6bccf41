//! A store that does not take what the core appends stops the node: its orders were given already.

use std::time::Duration;

use bytes::Bytes;
use replog_core::master::{CoreConfig, MasterCore, PushLimits, StartTerms};
use replog_host::{
    bus::InProcessHub,
    held::HeldFailure,
    spans::Spans,
    storage::{Keeper, Storage},
};
use replog_master::{
    bus::Translator,
    node::{Node, NodeFailure},
};
use replog_shared::{
    Digest, Identity, Incarnation, Lines, MessageId, Moment, NodeName, Order, Place, PlacedMark,
    limits::OUTLINE_MARKS,
    lines::Tip,
    store::{Chore, Cut, IdSeed, LogView, MemoryStore, Store, StoreError, StoreFigures, Ticket},
};
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

/// A log that takes no run.
struct Stubborn(MemoryStore);

impl LogView for Stubborn {
    fn tip(&self) -> &Tip {
        self.0.tip()
    }

    fn durable(&self) -> Place {
        self.0.durable()
    }

    fn pending_bytes(&self) -> usize {
        self.0.pending_bytes()
    }

    fn visible_through(&self) -> Order {
        self.0.visible_through()
    }

    fn marks(&self) -> &[PlacedMark] {
        self.0.marks()
    }

    fn digest_at(&self, place: Place) -> Option<Digest> {
        self.0.digest_at(place)
    }

    fn find(&self, id: &MessageId) -> Option<Order> {
        self.0.find(id)
    }

    fn entry(&self, order: Order) -> Option<Bytes> {
        self.0.entry(order)
    }

    fn size(&self, from: Order, to: Order) -> usize {
        self.0.size(from, to)
    }

    fn fit(&self, from: Order, bytes: usize) -> Order {
        self.0.fit(from, bytes)
    }
}

impl Store for Stubborn {
    type Reader = <MemoryStore as Store>::Reader;

    fn reader(&self) -> Self::Reader {
        self.0.reader()
    }

    fn append(&mut self, _: &Lines) -> bool {
        false
    }

    fn refresh(&mut self) -> Result<(), StoreError> {
        self.0.refresh()
    }

    fn failure(&self) -> Option<StoreError> {
        self.0.failure()
    }

    fn figures(&self) -> StoreFigures {
        self.0.figures()
    }

    fn truncate(&mut self, place: Place, cut: Cut) -> Result<Ticket, StoreError> {
        self.0.truncate(place, cut)
    }

    fn run(&mut self, chore: Chore) -> Ticket {
        self.0.run(chore)
    }

    fn done(&self) -> Ticket {
        self.0.done()
    }

    fn close(self) -> Result<(), StoreError> {
        self.0.close()
    }
}

#[tokio::test]
async fn a_run_that_the_store_does_not_take_stops_the_node() {
    let node: NodeName = "master".parse().unwrap();
    let config = CoreConfig {
        node: node.clone(),
        secondaries: Vec::new(),
        incarnation: Incarnation::from_random(1),
        heartbeat_interval: Duration::from_millis(250),
        recovery_wait: Duration::from_millis(1),
        read_only_without_majority: false,
        start: StartTerms::default(),
        push: PushLimits::default(),
        http: None,
        outline_marks: OUTLINE_MARKS,
    };
    let core = MasterCore::new(config, Identity::default(), Moment::default(), 7);
    let storage = Storage {
        store: Stubborn(MemoryStore::with_ids(IdSeed::from_random(1))),
        identity: Identity::default(),
        keeper: Keeper::Memory,
        news: std::sync::Arc::default(),
    };
    let translator = Translator::new("main".parse().unwrap(), &node);
    let bus = InProcessHub::new().connect(translator.subscriptions(), translator.inbox());
    let (node, _handle) = Node::new(core, storage, bus, translator, Spans::default());
    // It appends the first mark of a new log by itself.
    let ended = timeout(Duration::from_secs(20), node.run(CancellationToken::new())).await;
    let failure = ended.expect("it stops").unwrap_err();
    assert!(
        matches!(failure, NodeFailure::Held(HeldFailure::NotTaken { order: Order::ZERO, .. })),
        "{failure}"
    );
}
