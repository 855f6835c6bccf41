//! A takeover is paced by the disk that it fills.

use replog_shared::limits::PULL_PENDING_BYTES;

use super::*;
use crate::behind::Behind;

const FULL: usize = PULL_PENDING_BYTES;

/// Longer than a step of a promotion may stand still.
const LONG: Duration = Duration::from_secs(60);

impl Told {
    /// A page of the takeover comes while so many bytes wait to become durable.
    fn page_behind(&mut self, holder: &Told, pending: usize) {
        let (header, bytes) = self.page_asked(holder, 1);
        self.core.on_read_answer(self.now, &header, &bytes, &Behind(&self.log, pending));
        self.execute();
    }

    fn burst_end_behind(&mut self, pending: usize) {
        self.core.on_burst_end(self.now, &Behind(&self.log, pending));
        self.execute();
    }

    /// Time passes, and the disk does not come further.
    fn pass_behind(&mut self, time: Duration, pending: usize) {
        let end = self.now.plus(time);
        while let Some(due) = self.core.next_deadline().filter(|due| *due < end) {
            self.now = self.now.max(due);
            self.core.on_deadline(self.now, &Behind(&self.log, pending));
            self.execute();
            self.burst_end_behind(pending);
        }
        self.now = end;
    }

    /// From where it has asked for the log that it takes over, in order.
    fn asked_from(&self) -> Vec<Place> {
        let read = |effect: &Effect| if let Effect::Read(_, read) = effect { Some(read.from) } else { None };
        self.sent.iter().filter_map(read).collect()
    }
}

fn place(length: u64) -> Place {
    Place::new(Order::new(length), 1)
}

/// A takeover whose first page has come; the next one is asked for.
fn that_takes_over(holder: &Told) -> Told {
    let mut told = takeovers::promised(holder);
    told.page_behind(holder, 0);
    assert_eq!(told.asked_from(), [Place::START, place(1)]);
    told
}

#[test]
fn a_takeover_asks_for_nothing_more_while_its_disk_is_behind() {
    let holder = takeovers::held(4);
    let mut told = that_takes_over(&holder);
    told.page_behind(&holder, FULL);
    assert_eq!(told.log.tip().place, place(2), "what has come is taken");
    assert_eq!(told.asked_from(), [Place::START, place(1)]);
    told.pass_behind(LONG, FULL);
    assert_eq!(told.asked_from(), [Place::START, place(1)]);
    assert!(matches!(told.core.not_leading(), Some(NotLeading::Recovering { .. })), "it is not given up");
    told.burst_end_behind(FULL - 1);
    assert_eq!(told.asked_from().last(), Some(&place(2)), "as soon as there is room, and without a timer");
    told.read_from(&holder);
    assert!(told.core.epoch().is_some(), "{:?}", told.core.not_leading());
    assert_eq!(told.log.tip().place, Place::new(Order::new(4), 2));
}

#[test]
fn a_page_counts_as_soon_as_it_is_there() {
    let holder = takeovers::held(4);
    let mut told = that_takes_over(&holder);
    let page = told.page_asked(&holder, 1).1.len();
    told.page_behind(&holder, FULL - page);
    assert_eq!(told.asked_from().last(), Some(&place(1)), "with it there is as much as there may be");
    let mut told = that_takes_over(&holder);
    told.page_behind(&holder, FULL - page - 1);
    assert_eq!(told.asked_from().last(), Some(&place(2)));
}
