use replog_shared::{Epoch, Incarnation};

use super::*;

fn translator() -> Translator {
    Translator::new("main".parse().unwrap(), &"s1".parse().unwrap())
}

fn packet(subject: &str, reply: Option<&str>, payload: Bytes) -> Incoming {
    Incoming { subject: subject.into(), reply: reply.map(Into::into), payload, status: None }
}

fn sender() -> wire::Sender {
    let incarnation = Incarnation::from_random(1);
    wire::Sender { v: wire::VERSION, log_id: None, node: "master".parse().unwrap(), incarnation }
}

fn header(request: Option<u64>) -> wire::EntriesHeader {
    let owner = "master".parse().unwrap();
    wire::EntriesHeader {
        sender: sender(),
        epoch: Epoch { reign: 1, owner, start: 0, incarnation: Incarnation::from_random(1) },
        from: replog_shared::Order::ZERO,
        marks_before: None,
        count: 0,
        length: replog_shared::Order::ZERO,
        digest: replog_shared::Digest::EMPTY,
        request,
        traces: Vec::new(),
    }
}

#[test]
fn answers_go_only_to_the_inbox_of_who_asks() {
    let translator = translator();
    let ask = wire::encode(&wire::Ask::new(sender(), 1));
    let theirs = packet("replog.main.ask", Some("replog.main.inbox.master.ask.1"), ask.clone());
    assert!(matches!(translator.read(&theirs), Ok(Event::Ask(_, reply)) if reply.ends_with("ask.1")));
    for reply in [None, Some("replog.main.entries.s2"), Some("replog.main.inbox.s2.x")] {
        assert!(translator.read(&packet("replog.main.ask", reply, ask.clone())).is_err());
    }
}

#[test]
fn what_is_not_understood_is_refused_by_kind() {
    let translator = translator();
    let kinds = [
        ("replog.main.heartbeat", "heartbeat"),
        ("replog.main.entries.s1", "entries"),
        ("replog.main.inbox.s1.join.1", "join answer"),
        ("replog.main.inbox.s1.other.1", "inbox"),
        ("something.else", "unknown"),
    ];
    for (subject, kind) in kinds {
        let refused = translator.read(&packet(subject, None, Bytes::from_static(b"{}"))).unwrap_err();
        assert_eq!(refused.kind, kind);
    }
}

#[test]
fn the_subject_tells_pushed_from_fetched() {
    let translator = translator();
    let envelope = wire::encode_entries(&header(Some(7)), b"");
    let pushed = translator.read(&packet("replog.main.entries.s1", None, envelope.clone()));
    assert!(matches!(pushed, Ok(Event::Entries(header, _)) if header.request.is_none()));
    let fetched = translator.read(&packet("replog.main.inbox.s1.fetch.7", None, envelope));
    assert!(matches!(fetched, Ok(Event::Entries(header, _)) if header.request == Some(7)));
    let unasked = wire::encode_entries(&header(None), b"");
    assert!(translator.read(&packet("replog.main.inbox.s1.fetch.7", None, unasked)).is_err());
}

#[test]
fn a_packet_that_nobody_heard_is_no_answer() {
    let translator = translator();
    let mut packet = packet("replog.main.inbox.s1.join.1", None, Bytes::new());
    packet.status = Some(503);
    assert!(matches!(translator.read(&packet), Ok(Event::Unanswered)));
}
