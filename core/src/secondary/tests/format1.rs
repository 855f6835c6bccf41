//! The rolling upgrade: this secondary follows a master of version 1, by envelopes that one has sent
//! (`tests/data/version1/envelopes.ndjson`).

use std::path::Path;

use serde::Deserialize;

use super::*;

#[derive(Deserialize)]
struct Recorded {
    subject: String,
    payload: String,
}

fn recorded() -> Vec<Recorded> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/data/version1/envelopes.ndjson");
    let text = std::fs::read_to_string(path).unwrap();
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

/// The secondary `name` of the cluster that was recorded.
fn secondary(name: &str) -> Secondary {
    let mut secondary = Secondary::new();
    let settings = Settings { name: name.parse().unwrap(), ..secondary.core.settings.clone() };
    secondary.core = SecondaryCore::new(settings, Identity::default(), Moment::default(), 1);
    secondary
}

/// The payload as one of version 1 reads it: no other version is in it.
fn assert_version_1(payload: &Bytes) {
    let value: serde_json::Value = serde_json::from_slice(payload).unwrap();
    assert_eq!(value["v"], 1, "{value}");
}

impl Secondary {
    /// Brings what was recorded, with the numbers of this node's own requests in the answers.
    fn replay(&mut self, name: &str, records: &[Recorded]) {
        let inbox = format!("replog.main.inbox.{name}.");
        for Recorded { subject, payload } in records {
            let payload = Bytes::copy_from_slice(payload.as_bytes());
            if subject == "replog.main.heartbeat" {
                self.hear(&wire::decode(&payload).unwrap());
            } else if subject.starts_with(&format!("{inbox}join.")) {
                let Some(join) = self.joins().pop() else { continue };
                assert_version_1(&wire::encode(&join));
                let answer: wire::JoinAnswer = wire::decode(&payload).unwrap();
                let answer = wire::JoinAnswer { request: join.request, ..answer };
                self.event(|core, now, log| core.on_join_answer(now, answer, log));
            } else if subject.starts_with(&format!("{inbox}fetch.")) {
                let Some(fetch) = self.fetches().pop() else { continue };
                assert_version_1(&wire::encode(&fetch));
                let (header, lines) = wire::decode_entries(&payload).unwrap();
                self.receive((wire::EntriesHeader { request: Some(fetch.request), ..header }, lines));
            } else if *subject == format!("replog.main.entries.{name}") {
                self.receive(wire::decode_entries(&payload).unwrap());
            }
            self.end_burst();
        }
    }
}

/// What was recorded while `b` followed `a` as long as that ran the first time.
fn first_session() -> Vec<Recorded> {
    let ends = |record: &Recorded| record.subject == "replog.main.entries.b";
    let mut records = recorded();
    let last = records.iter().position(ends).unwrap();
    records.truncate(last + 1);
    records
}

#[test]
fn a_secondary_follows_a_master_of_version_1_and_answers_in_its_version() {
    let mut b = secondary("b");
    b.replay("b", &first_session());
    assert_eq!(b.status().state, SecondaryState::Streaming);
    assert_eq!((b.length(), b.store.tip().at, b.store.tip().batch), (5, None, None));
    assert!(b.saved.whole);
    let acks = b.acks();
    assert!(!acks.is_empty());
    acks.iter().for_each(|ack| assert_version_1(&wire::encode(ack)));
    assert_eq!(acks.last().map(|ack| ack.through), Some(order(5)));
}

#[test]
fn every_envelope_of_version_1_is_understood() {
    for Recorded { subject, payload } in recorded() {
        let payload = Bytes::copy_from_slice(payload.as_bytes());
        let kind: Vec<&str> =
            subject.split('.').skip(2).filter(|token| token.parse::<u64>().is_err()).collect();
        let version = match kind[..] {
            ["ask"] => wire::decode::<wire::Ask>(&payload).unwrap().sender.v,
            ["heartbeat"] => wire::decode::<wire::Heartbeat>(&payload).unwrap().sender.v,
            ["join", _] => wire::decode::<wire::Join>(&payload).unwrap().sender.v,
            ["fetch", _] => wire::decode::<wire::Fetch>(&payload).unwrap().sender.v,
            ["acks", _] => wire::decode::<wire::Ack>(&payload).unwrap().sender.v,
            ["promise", _] => wire::decode::<wire::Promise>(&payload).unwrap().sender.v,
            ["read", _] => wire::decode::<wire::Read>(&payload).unwrap().sender.v,
            ["inbox", _, "join"] => wire::decode::<wire::JoinAnswer>(&payload).unwrap().sender.v,
            ["inbox", _, "state"] => wire::decode::<wire::State>(&payload).unwrap().sender.v,
            ["entries", _] | ["inbox", _, "fetch" | "read"] => {
                wire::decode_entries(&payload).unwrap().0.sender.v
            }
            _ => panic!("{subject} is of no kind"),
        };
        assert_eq!(version, 1, "{subject}");
    }
}

#[test]
fn a_master_of_version_1_that_starts_is_answered_in_its_version() {
    let mut b = secondary("b");
    b.replay("b", &first_session());
    let asks = recorded().into_iter().filter(|record| record.subject == "replog.main.ask");
    for ask in asks {
        let ask: wire::Ask = wire::decode(ask.payload.as_bytes()).unwrap();
        b.event(|core, now, log| core.on_ask(now, &ask, "inbox".into(), log));
        assert_version_1(&wire::encode(&b.states().pop().unwrap()));
    }
    // A promise that nobody forces waits until the master before is silent.
    b.pass(HEARTBEAT_INTERVAL * 20);
    let promise = recorded().into_iter().find(|record| record.subject == "replog.main.promise.a").unwrap();
    let promise: wire::Promise = wire::decode(promise.payload.as_bytes()).unwrap();
    b.event(|core, now, log| core.on_promise(now, promise, "inbox".into(), log));
    let state = b.states().pop().unwrap();
    assert!(state.promised.is_some());
    assert_version_1(&wire::encode(&state));
}

#[test]
fn a_master_of_version_2_takes_over_and_is_answered_in_version_2() {
    let mut b = secondary("b");
    b.replay("b", &first_session());
    b.said.clear();
    b.core.settings.name = "s1".parse().unwrap();
    let mut newer = Master::with(0);
    newer.log_id = b.saved.log_id.unwrap();
    newer.store = MemoryStore::without_ids();
    let page = b.store.reader().read(Order::ZERO, order(5), usize::MAX).unwrap();
    assert!(newer.store.append(&Lines::checked(page.bytes, &Default::default()).unwrap()));
    newer.open(epoch(2, 0), MarkKind::Promotion);
    newer.append(2);
    b.join(&newer);
    b.serve_fetches(&newer);
    b.assert_equals(&newer);
    assert_eq!(b.acks().last().map(|ack| ack.sender.v), Some(wire::VERSION));
    assert_eq!(b.store.tip().at, Some(WallTime::from_ms(7)));
}
