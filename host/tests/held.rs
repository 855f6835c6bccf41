//! What a node is told of a run that its log does not take.

#![expect(clippy::unwrap_used, reason = "a test may stop at the first surprise")]

use bytes::Bytes;
use replog_host::{
    held::{Held, HeldFailure},
    storage::Storage,
};
use replog_shared::{
    Epoch, Incarnation, Lines, Mark, MarkKind, Message, MessageId, Order, WallTime,
    entry::{self, EntryHead},
    lines::Tip,
    store::{LogView as _, MemoryStore, Store as _},
};

fn mark(start: u32, tip: &Tip) -> Lines {
    let owner = "master".parse().unwrap();
    let epoch = Epoch { reign: 1, owner, start, incarnation: Incarnation::from_random(1) };
    let mark = Mark { epoch, kind: MarkKind::Start, reached: vec![], members: vec![], first: Order::ZERO };
    Lines::of_mark(mark, tip)
}

fn entry_after(tip: &Tip) -> Lines {
    let epoch = tip.epoch.as_ref().unwrap().number();
    let head = EntryHead { order: tip.place.length, epoch, at: WallTime::from_ms(7), more: false };
    let (id, message) = (MessageId::new("a").unwrap(), Message::from_json(Bytes::from_static(b"1")).unwrap());
    let mut line = Vec::new();
    entry::encode(&mut line, head, &id, &message);
    let end = line.len();
    Lines::of_entries(line.into(), [end], WallTime::from_ms(7), tip)
}

#[test]
fn a_run_that_does_not_continue_the_log_is_a_failure_of_its_own() {
    let mut held = Held::new(Storage::in_memory(false));
    held.append(&mark(0, held.log().tip())).unwrap();
    let run = entry_after(held.log().tip());
    held.append(&run).unwrap();
    let length = held.log().tip().place.length;
    let refused = held.append(&run).unwrap_err();
    assert_eq!(refused, HeldFailure::NotTaken { order: run.from(), bytes: run.bytes().len() });
    assert!(refused.to_string().contains("please report it"), "{refused}");
    assert_eq!(held.log().tip().place.length, length);
    assert_eq!((held.check(), held.refresh()), (Ok(()), Ok(())), "the storage itself is well");
}

#[test]
fn a_storage_that_failed_tells_so_and_blames_no_run() {
    let mut storage: Storage<MemoryStore> = Storage::in_memory(false);
    let _never_done = storage.store.run(Box::new(|| Err("the disk is gone".to_owned())));
    let mut held = Held::new(storage);
    assert_eq!(held.append(&mark(0, &Tip::default())), Ok(()));
    assert!(matches!(held.check(), Err(HeldFailure::Store(_))));
    assert!(matches!(held.refresh(), Err(HeldFailure::Store(_))));
}
