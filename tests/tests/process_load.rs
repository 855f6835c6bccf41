//! Load from several clients while nodes and the broker die, and the whole history checked afterwards.

use std::{
    cell::Cell,
    rc::Rc,
    time::{Duration, Instant},
};

use replog_tests::{
    harness::{Answer, Client, Cluster, Options, SOON},
    history::{History, Operation, Outcome, Shown},
};
use serde_json::{Value, json};

const CLIENTS: usize = 12;
const APPENDS_PER_CLIENT: usize = 110;

/// The run must have seen each fault this often at least.
const FAULT_ROUNDS: usize = 3;

/// What all clients of a run share.
#[derive(Clone)]
struct Run {
    started: Instant,
    master: Client,
    /// Clients that are not done.
    busy: Rc<Cell<usize>>,
}

impl Run {
    fn now(&self) -> u64 {
        u64::try_from(self.started.elapsed().as_micros()).unwrap_or(u64::MAX)
    }

    /// One append: usually retried until it is answered, sometimes given up, sometimes wrong.
    async fn append(&self, writer: usize, nth: usize) -> Operation {
        let (id, sent) = (format!("{writer}-{nth}"), self.now());
        let w = if nth % 40 == 39 { 9 } else { 1 + fastrand::usize(..3) };
        let gives_up = fastrand::u8(..10) == 0;
        let outcome = loop {
            let body = json!({"message": id, "id": id, "w": w, "timeout_ms": fastrand::u64(20..400)});
            let outcome = match self.master.try_post("/messages", &body).await {
                Ok(answer) => self.outcome(&answer),
                Err(_) => Outcome::Unknown,
            };
            match outcome {
                Outcome::Unknown if !gives_up => {}
                outcome => break outcome,
            }
        };
        Operation { id, w, sent, outcome }
    }

    fn outcome(&self, answer: &Answer) -> Outcome {
        match (answer.status, &answer.body["applied"]) {
            (200, _) => {
                Outcome::Acknowledged { at: self.now(), order: answer.order(), nodes: named(&answer.body) }
            }
            (400..500, Value::Bool(false)) => Outcome::Refused,
            _ => Outcome::Unknown,
        }
    }

    async fn client(self, writer: usize) -> Vec<Operation> {
        let mut operations = Vec::new();
        for nth in 0..APPENDS_PER_CLIENT {
            operations.push(self.append(writer, nth).await);
        }
        self.busy.set(self.busy.get() - 1);
        operations
    }

    /// Reads a node again and again while the clients work.
    async fn reader(self, node: String, client: Client) -> Vec<(String, Vec<String>)> {
        let mut reads = Vec::new();
        while self.busy.get() > 0 {
            if let Some(entries) = client.entries().await {
                reads.push((node.clone(), entries.into_iter().map(|entry| entry.id).collect()));
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        reads
    }
}

/// The nodes as the answer names them, repetitions and all.
fn named(body: &Value) -> Vec<String> {
    serde_json::from_value(body["nodes"].clone()).unwrap_or_default()
}

/// Kills a secondary and the broker, and lets the other secondary hang, until the clients are done.
async fn break_things(cluster: &mut Cluster, busy: &Cell<usize>) -> usize {
    let mut rounds = 0;
    while busy.get() > 0 {
        cluster.secondary(1).process.kill();
        cluster.wait_for_missing(1).await;
        cluster.secondary(1).start().await;
        cluster.nats.kill();
        cluster.wait_for_missing(2).await;
        cluster.start_nats().await;
        cluster.secondary(2).process.pause();
        cluster.wait_for_missing(2).await;
        cluster.secondary(2).process.resume();
        cluster.wait_for_status(1, "healthy").await;
        cluster.wait_for_status(2, "healthy").await;
        rounds += 1;
    }
    rounds
}

/// Kills every node and the broker, one after the other and then all at once, until the clients are done.
async fn kill_everything(cluster: &mut Cluster, busy: &Cell<usize>) -> usize {
    let mut rounds = 0;
    while busy.get() > 0 {
        cluster.master.process.kill();
        cluster.master.start().await;
        for number in [1, 2] {
            cluster.secondary(number).process.kill();
            cluster.secondary(number).start().await;
        }
        cluster.nats.kill();
        cluster.master.process.kill();
        cluster.secondary(1).process.kill();
        cluster.secondary(2).process.kill();
        cluster.start_nats().await;
        cluster.secondary(1).process.start();
        cluster.secondary(2).process.start();
        cluster.master.start().await;
        cluster.all_healthy().await;
        rounds += 1;
    }
    rounds
}

#[tokio::test]
async fn under_load_and_faults_no_promise_is_broken() {
    let cluster = Cluster::running().await;
    cluster.reader(2).set_faults(json!({"drop_rate": 0.1, "error_rate": 0.1, "delay_ms": 2})).await;
    no_promise_is_broken(cluster, break_things).await;
}

#[tokio::test]
async fn with_disks_no_promise_is_broken_whatever_is_killed() {
    let cluster = Cluster::start(Options::on_disk()).await;
    no_promise_is_broken(cluster, kill_everything).await;
}

async fn no_promise_is_broken(
    mut cluster: Cluster,
    faults: impl AsyncFnOnce(&mut Cluster, &Cell<usize>) -> usize,
) {
    let busy = Rc::new(Cell::new(CLIENTS));
    let run = Run { started: Instant::now(), master: cluster.client(), busy: Rc::clone(&busy) };
    let nodes =
        [("master", cluster.client()), ("secondary1", cluster.reader(1)), ("secondary2", cluster.reader(2))];
    let local = tokio::task::LocalSet::new();
    let clients: Vec<_> = (0..CLIENTS).map(|writer| local.spawn_local(run.clone().client(writer))).collect();
    let read = |(node, client): &(&str, Client)| {
        local.spawn_local(run.clone().reader((*node).to_owned(), client.clone()))
    };
    let readers: Vec<_> = nodes.iter().map(read).collect();
    let rounds = local.run_until(faults(&mut cluster, &busy)).await;

    let mut history =
        History { nodes: nodes.iter().map(|(node, _)| (*node).to_owned()).collect(), ..History::default() };
    for client in clients {
        history.operations.extend(local.run_until(client).await.expect("no client panics"));
    }
    for reader in readers {
        history.reads.extend(local.run_until(reader).await.expect("no reader panics"));
    }
    cluster.equal_logs(SOON).await;
    for (node, client) in &nodes {
        let entries = client.entries().await.expect("every node serves");
        let shown = entries.into_iter().map(|entry| Shown { order: entry.order, id: entry.id }).collect();
        history.logs.insert((*node).to_owned(), shown);
    }
    assert_eq!(history.violations(), []);
    assert_eq!(history.check_validity(1_000), Ok(()));
    assert!(rounds >= FAULT_ROUNDS, "the run is invalid: only {rounds} rounds of faults");
    assert!(history.reads.len() >= 50, "the run is invalid: only {} reads", history.reads.len());
}
