//! A batch is shown as a whole or not at all.

use super::*;

impl Master {
    fn append_batch(&mut self, count: u64) {
        let tip = self.store.tip().clone();
        let mut bytes = Vec::new();
        for nth in 0..count {
            let at = tip.place.length.plus(nth);
            let (id, message) =
                (MessageId::new(&format!("id{at}")).unwrap(), Message::from_json("1".into()).unwrap());
            let (epoch, wall, more) = (self.epoch.number(), WallTime::from_ms(8), nth + 1 < count);
            entry::encode(&mut bytes, EntryHead { order: at, epoch, at: wall, more }, &id, &message);
        }
        assert!(self.store.append(&Lines::checked(bytes.into(), &tip).unwrap()));
    }
}

#[test]
fn nothing_of_a_batch_is_shown_before_all_of_it_is_held_and_what_is_held_is_acked() {
    let mut master = Master::with(2);
    let mut secondary = Secondary::caught_up_with(&master);
    master.append_batch(4);
    secondary.receive(master.entries(2, 4, None));
    secondary.end_burst();
    let digest_of_two = master.store.digest_at(Place::new(order(2), 1)).unwrap();
    assert_eq!((secondary.status().length, secondary.status().digest), (order(2), digest_of_two));
    assert_eq!(secondary.acks().last().map(|ack| ack.through), Some(order(4)), "it is held");
    secondary.receive(master.entries(4, 6, None));
    secondary.end_burst();
    assert_eq!(secondary.status().length, order(6));
}

#[test]
fn the_beginning_of_a_batch_is_cut_where_the_next_epoch_begins_before_it() {
    let mut old = Master::with(2);
    let mut secondary = Secondary::caught_up_with(&old);
    let mut promoted = Master { store: MemoryStore::without_ids(), ..Master::with(2) };
    let page = old.store.reader().read(Order::ZERO, order(2), usize::MAX).unwrap();
    assert!(promoted.store.append(&Lines::checked(page.bytes, &Default::default()).unwrap()));
    promoted.open(epoch(2, 0), MarkKind::Promotion);
    old.append_batch(4);
    secondary.receive(old.entries(2, 5, None));
    secondary.end_burst();
    assert_eq!((secondary.length(), secondary.status().length), (5, order(2)));
    secondary.catch_up(&promoted);
    assert_eq!(secondary.status().length, order(2));
}
