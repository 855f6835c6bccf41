//! An empty master takes over the log that its secondaries hold.

use replog_shared::store::Reader as _;

use super::*;

/// The log that s1 and s2 hold: `messages` entries.
fn held(messages: u64) -> Told {
    let mut told = Told::leading();
    for id in 0..messages {
        told.append(&id.to_string(), "x", 1);
    }
    told
}

impl Told {
    /// The answer of `node`, which holds the log of `holder`, to the last question or the last promise.
    fn answer_for(&mut self, node: &str, holder: &Told, promised: Option<Epoch>) {
        let asked = self.sent.iter().rev().find_map(|effect| match effect {
            Effect::Ask(ask) => Some(ask.request),
            Effect::Promise(_, promise) => Some(promise.request),
            _ => None,
        });
        let identity = Identity { whole: true, ..holder.saved.clone() };
        let sender = Sender { log_id: identity.log_id, ..self.sender(node, 11) };
        let told_marks = self.core.config.outline_marks;
        let state =
            wire::State::of(sender, asked.unwrap(), promised, &identity, &holder.log, None, told_marks);
        self.core.on_state(self.now, state, &self.log);
        self.settle();
    }

    fn promise_asked(&self) -> Option<Epoch> {
        self.sent.iter().rev().find_map(|effect| match effect {
            Effect::Promise(_, promise) => Some(promise.epoch.clone()),
            _ => None,
        })
    }

    fn read_asked(&self) -> Option<(String, wire::Read)> {
        self.sent.iter().rev().find_map(|effect| match effect {
            Effect::Read(node, read) => Some((node.to_string(), read.clone())),
            _ => None,
        })
    }

    /// All that `holder` has, from where it was asked.
    fn read_from(&mut self, holder: &Told) {
        let (node, read) = self.read_asked().expect("it reads");
        let (from, length) = (read.from.length, holder.log.durable().length);
        let page = holder.log.reader().read(from, length, usize::MAX).unwrap();
        let header = wire::EntriesHeader {
            sender: Sender { log_id: holder.core.log_id(), ..self.sender(&node, 11) },
            epoch: read.epoch,
            from,
            count: page.to.since(from),
            length,
            digest: page.digest,
            request: Some(read.request),
            traces: Vec::new(),
        };
        self.core.on_read_answer(self.now, &header, &page.bytes, &self.log);
        self.settle();
    }
}

/// An empty master that both have told what they hold, and promised.
fn promised(holder: &Told) -> Told {
    let mut told = Told::recovering();
    told.pass(1);
    told.answer_for("s1", holder, None);
    told.answer_for("s2", holder, None);
    let epoch = told.promise_asked();
    assert!(epoch.is_some(), "everybody holds all of one log");
    told.answer_for("s1", holder, epoch.clone());
    told.answer_for("s2", holder, epoch);
    told
}

#[test]
fn an_empty_master_leads_on_in_the_log_that_was_promised() {
    let holder = held(3);
    let mut told = promised(&holder);
    told.read_from(&holder);
    assert_eq!(told.core.log_id(), holder.core.log_id());
    let epoch = told.core.epoch().expect("it leads");
    assert!(epoch.reign > holder.core.epoch().unwrap().reign);
    assert_eq!(told.log.durable(), Place::new(Order::new(3), 2));
}

#[test]
fn what_reached_the_winners_disk_after_its_promise_is_not_taken_over() {
    let mut holder = held(3);
    let mut told = promised(&holder);
    holder.append("late", "x", 1);
    told.read_from(&holder);
    assert!(told.core.epoch().is_some(), "{:?}", told.core.not_leading());
    assert_eq!(told.log.durable(), Place::new(Order::new(3), 2));
}
