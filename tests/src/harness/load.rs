//! Clients that append and read while a test breaks the cluster, and what they saw as a history.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering::Relaxed},
    },
    time::{Duration, Instant},
};

use serde_json::{Value, json};
use tokio::task::JoinHandle;

use super::{Answer, Client, SOON, wait_until};
use crate::history::{History, Operation, Outcome, Read, Shown};

/// Appends of one client of which one has a w that no cluster can meet.
const APPENDS_PER_WRONG_W: usize = 40;

/// One append of so many is given up by its client once its fate is unknown.
const GIVEN_UP_SHARE: u8 = 10;

/// How long a client that found no master waits until it asks again.
const RETRY_DELAY: Duration = Duration::from_millis(5);

/// What the clients of a run do.
#[derive(Clone, Copy, Debug)]
pub struct Pace {
    /// How many clients append at once.
    pub clients: usize,
    /// How many appends each makes, unless it is told to stop before.
    pub appends: usize,
    /// The longest time that a client does nothing after an append.
    pub longest_pause: Duration,
    /// Between two reads of one node.
    pub read_interval: Duration,
}

impl Pace {
    /// A number of appends as fast as they go, and frequent reads.
    pub const BRISK: Pace = Pace {
        clients: 12,
        appends: 110,
        longest_pause: Duration::ZERO,
        read_interval: Duration::from_millis(50),
    };

    /// Until the test says that it has seen enough; with pauses, so that the log stays of a size that can be
    /// read again and again.
    pub const STEADY: Pace = Pace {
        clients: 12,
        appends: usize::MAX,
        longest_pause: Duration::from_millis(30),
        read_interval: Duration::from_millis(150),
    };
}

/// Clients at work.
#[derive(Debug)]
pub struct Load {
    run: Run,
    clients: Vec<JoinHandle<Vec<Operation>>>,
    readers: Vec<JoinHandle<Vec<Read>>>,
}

/// What all clients of a run share.
#[derive(Clone, Debug)]
struct Run {
    pace: Pace,
    started: Instant,
    /// Nodes that may lead: a client that finds one that does not asks the next.
    masters: Vec<Client>,
    /// Clients that are not done.
    busy: Arc<AtomicUsize>,
    acknowledged: Arc<AtomicUsize>,
    stopping: Arc<AtomicBool>,
}

impl Load {
    /// Clients that append to whichever of `masters` leads, and a reader of each of `nodes`.
    pub fn start(pace: Pace, masters: &[Client], nodes: &[(&str, Client)]) -> Load {
        let run = Run {
            pace,
            started: Instant::now(),
            masters: masters.to_vec(),
            busy: Arc::new(AtomicUsize::new(pace.clients)),
            acknowledged: Arc::default(),
            stopping: Arc::default(),
        };
        let clients = (0..pace.clients).map(|writer| tokio::spawn(run.clone().client(writer))).collect();
        let read = |(node, client): &(&str, Client)| {
            tokio::spawn(run.clone().reader((*node).to_owned(), client.clone()))
        };
        let readers = nodes.iter().map(read).collect();
        Load { run, clients, readers }
    }

    /// Whether a client is at work still.
    pub fn is_busy(&self) -> bool {
        self.run.busy.load(Relaxed) > 0
    }

    /// Appends that were acknowledged so far.
    pub fn acknowledged(&self) -> usize {
        self.run.acknowledged.load(Relaxed)
    }

    /// Waits until so many more appends are acknowledged: what the test did is behind the clients then.
    pub async fn goes_on(&self, further: usize) {
        let enough = self.acknowledged() + further;
        let what = format!("{further} more appends are acknowledged");
        wait_until(&what, SOON, async || self.acknowledged() >= enough || !self.is_busy()).await;
    }

    /// Lets every client finish its append, and gives what they did and saw. The logs are not in it yet.
    ///
    /// # Panics
    /// A client panicked.
    pub async fn finish(self) -> History {
        self.run.stopping.store(true, Relaxed);
        let mut history = History::default();
        for client in self.clients {
            history.operations.extend(client.await.expect("no client panics"));
        }
        for reader in self.readers {
            history.reads.extend(reader.await.expect("no reader panics"));
        }
        history
    }
}

/// Adds what each node shows in the end, the master's log first.
///
/// # Panics
/// A node does not answer.
pub async fn add_logs(history: &mut History, nodes: &[(&str, Client)]) {
    history.nodes = nodes.iter().map(|(node, _)| (*node).to_owned()).collect();
    for (node, client) in nodes {
        let entries = client.entries().await.unwrap_or_else(|| panic!("{node} does not show its log"));
        let shown = entries.into_iter().map(|entry| Shown { order: entry.order, id: entry.id }).collect();
        history.logs.insert((*node).to_owned(), shown);
    }
}

impl Run {
    fn now(&self) -> u64 {
        u64::try_from(self.started.elapsed().as_micros()).unwrap_or(u64::MAX)
    }

    async fn client(self, writer: usize) -> Vec<Operation> {
        let mut operations = Vec::new();
        for nth in 0..self.pace.appends {
            if self.stopping.load(Relaxed) {
                break;
            }
            operations.push(self.append(writer, nth).await);
            if !self.pace.longest_pause.is_zero() {
                tokio::time::sleep(self.pace.longest_pause.mul_f32(fastrand::f32())).await;
            }
        }
        self.busy.fetch_sub(1, Relaxed);
        operations
    }

    /// One append: usually retried until it is answered, sometimes given up, sometimes wrong.
    async fn append(&self, writer: usize, nth: usize) -> Operation {
        let (id, sent) = (format!("{writer}-{nth}"), self.now());
        let is_wrong = nth % APPENDS_PER_WRONG_W == APPENDS_PER_WRONG_W - 1;
        let w = if is_wrong { 9 } else { 1 + fastrand::usize(..3) };
        let gives_up = fastrand::u8(..GIVEN_UP_SHARE) == 0;
        let mut masters = self.masters.iter().cycle();
        let mut master = masters.next();
        let outcome = loop {
            let Some(asked) = master else { break Outcome::Unknown };
            let body = json!({"message": id, "id": id, "w": w, "timeout_ms": fastrand::u64(20..400)});
            let answer = asked.try_post("/messages", &body).await;
            if !answer.as_ref().is_ok_and(|answer| answer.status != 503) {
                master = masters.next();
                tokio::time::sleep(RETRY_DELAY).await;
            }
            match answer.map_or(Outcome::Unknown, |answer| self.outcome(&answer)) {
                Outcome::Unknown if !gives_up => {}
                outcome => break outcome,
            }
        };
        Operation { id, w, sent, outcome }
    }

    fn outcome(&self, answer: &Answer) -> Outcome {
        match (answer.status, &answer.body["applied"]) {
            (200, _) => {
                self.acknowledged.fetch_add(1, Relaxed);
                Outcome::Acknowledged { at: self.now(), order: answer.order(), nodes: named(&answer.body) }
            }
            (400..500, Value::Bool(false)) => Outcome::Refused,
            _ => Outcome::Unknown,
        }
    }

    /// Reads a node again and again while the clients work.
    async fn reader(self, node: String, client: Client) -> Vec<Read> {
        let mut reads = Vec::new();
        while self.busy.load(Relaxed) > 0 {
            if let Some(entries) = client.entries().await {
                reads.push((node.clone(), entries.into_iter().map(|entry| entry.id).collect()));
            }
            tokio::time::sleep(self.pace.read_interval).await;
        }
        reads
    }
}

/// The nodes as the answer names them, repetitions and all.
fn named(body: &Value) -> Vec<String> {
    serde_json::from_value(body["nodes"].clone()).unwrap_or_default()
}
