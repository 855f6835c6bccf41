use proptest::prelude::*;

use super::*;
use crate::limits::MAX_TRACES_IN_ENVELOPE;

fn sender() -> Sender {
    Sender { v: VERSION, log_id: None, node: "s1".parse().unwrap(), incarnation: Incarnation::from_random(1) }
}

fn epoch() -> Epoch {
    let owner = "master".parse().unwrap();
    Epoch { reign: 2, owner, start: 5, incarnation: Incarnation::from_random(2) }
}

fn ack(epoch: Option<Epoch>) -> Ack {
    let state = SecondaryState::Streaming;
    let (through, digest, durability) = (Order::new(44), Digest::EMPTY, Durability::Memory);
    let (whole, fence, joined, diverged_from, error) = (true, None, Some(7), None, None);
    Ack {
        sender: sender(),
        epoch,
        through,
        digest,
        durability,
        fence,
        whole,
        state,
        joined,
        diverged_from,
        error,
    }
}

#[test]
fn an_ack_reads_as_the_contract_says() {
    let text = String::from_utf8(encode(&ack(Some(epoch()))).to_vec()).unwrap();
    for member in
        [r#""v":2"#, r#""epoch":"2.5""#, r#""node":"s1""#, r#""through":44"#, r#""durability":"memory""#]
    {
        assert!(text.contains(member), "{member} in {text}");
    }
    assert_eq!(decode::<Ack>(text.as_bytes()).unwrap(), ack(Some(epoch())));
}

#[test]
#[should_panic(expected = "can be written as JSON")]
fn an_envelope_that_cannot_be_written_is_not_sent_empty() {
    encode(&std::collections::BTreeMap::from([([1, 2], 3)]));
}

#[test]
fn an_ack_without_an_epoch_reads_back() {
    assert_eq!(decode::<Ack>(&encode(&ack(None))).unwrap(), ack(None));
}

/// The outline of a log of very many marks with the longest names and numbers that there are.
fn long_outline() -> Outline {
    let owner: NodeName = "n".repeat(crate::limits::MAX_NAME_LENGTH).parse().unwrap();
    let mark = |start| {
        let incarnation = Incarnation::from_random(u64::MAX);
        let epoch = Epoch { reign: u32::MAX, owner: owner.clone(), start, incarnation };
        let (kind, first) = (crate::MarkKind::Promotion, Order::ZERO);
        let mark = crate::Mark { epoch, kind, reached: vec![], members: vec![], first };
        crate::PlacedMark { mark, at: Order::new(u64::MAX), digest: Digest::EMPTY }
    };
    let marks: Vec<_> = (u32::MAX - 10_000..u32::MAX).map(mark).collect();
    Outline::of(&marks, Place::new(Order::new(u64::MAX), 10_000), crate::limits::OUTLINE_MARKS)
}

#[test]
fn a_join_and_a_state_of_a_log_with_very_many_marks_are_small_and_read_back() {
    let outline = long_outline();
    let (sender, fence) = (sender(), outline.epoch().cloned());
    let join = Join { sender, request: 7, epoch: epoch(), outline, fence, whole: true };
    let bytes = encode(&join);
    assert!(bytes.len() < 64 * 1024, "{} bytes", bytes.len());
    assert_eq!(decode::<Join>(&bytes).unwrap(), join);
    let Join { sender, request, epoch, outline, fence, whole } = join;
    let (promised, turn, digest, hears) = (Some(epoch.clone()), Some(epoch), Digest::EMPTY, None);
    let state = State { sender, request, promised, fence, outline, digest, turn, whole, hears };
    let bytes = encode(&state);
    assert!(bytes.len() < 64 * 1024, "{} bytes", bytes.len());
    assert_eq!(decode::<State>(&bytes).unwrap(), state);
}

fn entries_header(traces: Vec<Trace>) -> EntriesHeader {
    EntriesHeader {
        sender: sender(),
        epoch: epoch(),
        from: Order::new(42),
        marks_before: None,
        count: 2,
        length: Order::new(1000),
        digest: Digest::EMPTY,
        request: None,
        traces,
    }
}

#[test]
fn entries_are_a_header_line_and_the_lines_of_the_log() {
    let header = entries_header(Vec::new());
    let envelope = encode_entries(&header, b"one\ntwo\n");
    let (read, lines) = decode_entries(&envelope).unwrap();
    assert_eq!(read, header);
    assert_eq!(&lines[..], b"one\ntwo\n");
}

#[test]
fn what_is_no_envelope_is_refused() {
    for bad in [&b""[..], b"{}", b"null", br#"{"stream":"S","seq":1}"#, &b"[".repeat(100_000)] {
        assert!(decode::<Ack>(bad).is_err());
        assert!(decode_entries(&Bytes::copy_from_slice(bad)).is_err());
    }
    for unknown in [0, VERSION + 1] {
        let mut other = serde_json::to_value(ack(None)).unwrap();
        other["v"] = unknown.into();
        let read = decode::<Ack>(other.to_string().as_bytes());
        assert!(matches!(read, Err(WireError::Version(v)) if v == unknown), "{unknown}");
    }
}

#[test]
fn an_ask_is_understood_by_every_version_and_answered_in_the_newest_that_both_read() {
    let ask = Ask::new(sender(), 7);
    assert_eq!((ask.sender.v, ask.answer_version()), (OLDEST_VERSION, VERSION));
    let old = br#"{"v":1,"log_id":null,"node":"s1","incarnation":"0000000000000001","request":7}"#;
    assert_eq!(decode::<Ask>(old).unwrap().answer_version(), 1);
    let newer = Ask { reads: Some(VERSION + 1), ..ask };
    assert_eq!(newer.answer_version(), VERSION);
}

proptest! {
    #[test]
    fn arbitrary_bytes_never_panic(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
        let _ = decode::<Ack>(&bytes);
        let _ = decode::<JoinAnswer>(&bytes);
        let _ = decode_entries(&bytes.into());
    }
}

#[test]
fn traces_travel_in_the_header_of_entries_and_are_absent_where_there_are_none() {
    let traceparent = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01".parse().unwrap();
    let trace = Trace { order: Order::new(u64::MAX), count: 10_000, traceparent };
    let without = entries_header(Vec::new());
    assert!(!encode(&without).windows(6).any(|window| window == b"traces"));
    let with = entries_header(vec![trace; MAX_TRACES_IN_ENVELOPE]);
    let envelope = encode_entries(&with, b"");
    assert!(envelope.len() < MAX_ENTRIES_HEADER_BYTES, "{} bytes", envelope.len());
    assert_eq!(decode_entries(&envelope).unwrap().0, with);
}
