use super::*;

fn promise(master: &Master, epoch: Epoch, forced: bool) -> wire::Promise {
    wire::Promise { sender: master.sender("s2"), request: 5, epoch, forced }
}

impl Secondary {
    fn asked_to_promise(&mut self, promise: wire::Promise) -> wire::State {
        self.event(|core, now, log| core.on_promise(now, promise, "inbox".into(), log));
        self.states().pop().unwrap()
    }

    fn asked_to_read(&mut self, epoch: Epoch, from: Place, master: &Master) -> Option<ReadAnswer> {
        let read = wire::Read { sender: master.sender("s2"), request: 9, epoch, from };
        self.event(|core, _, _| core.on_read(read, "inbox".into()));
        self.reads().pop()
    }
}

#[test]
fn a_promise_fences_what_is_older() {
    let mut master = Master::with(3);
    let mut secondary = Secondary::caught_up_with(&master);
    let state = secondary.asked_to_promise(promise(&master, epoch(2, 0), true));
    assert_eq!((state.promised, state.fence.clone()), (Some(epoch(2, 0)), Some(epoch(2, 0))));
    assert_eq!(
        (state.outline.length, state.digest, state.whole),
        (order(3), master.store.tip().digest, true)
    );
    master.append(1);
    secondary.receive(master.entries(3, 4, None));
    secondary.hear(&master.heartbeat());
    secondary.end_burst();
    assert_eq!(secondary.length(), 3, "nothing older is accepted");
    let acks = secondary.acks();
    assert_eq!((acks.len(), acks[0].fence.clone()), (1, Some(epoch(2, 0))));
    assert!(secondary.joins().is_empty());
    let lower = secondary.asked_to_promise(promise(&master, epoch(1, 9), true));
    assert_eq!(lower.promised, None);
    let again = secondary.asked_to_promise(promise(&master, epoch(2, 0), false));
    assert_eq!(again.promised, Some(epoch(2, 0)), "an answer that was lost is given again");
}

#[test]
fn a_reign_is_promised_to_one_node_only() {
    let master = Master::with(3);
    let mut secondary = Secondary::caught_up_with(&master);
    let of = |owner: &str, process| Epoch {
        owner: owner.parse().unwrap(),
        incarnation: Incarnation::from_random(process),
        ..epoch(2, 0)
    };
    let promised = |secondary: &mut Secondary, epoch: &Epoch| {
        secondary.asked_to_promise(promise(&master, epoch.clone(), true)).promised
    };
    let first = of("m", 7);
    assert_eq!(promised(&mut secondary, &first), Some(first.clone()));
    for other in [of("z", 7), of("a", 7), of("m", 8)] {
        assert!(other != first);
        assert_eq!(promised(&mut secondary, &other), None, "{other} of another process or owner");
    }
    assert_eq!(promised(&mut secondary, &first), Some(first), "an answer that was lost is given again");
    let next = Epoch { reign: 3, ..of("a", 7) };
    assert_eq!(promised(&mut secondary, &next), Some(next));
}

#[test]
fn while_a_master_is_heard_only_force_gets_a_promise() {
    let master = Master::with(3);
    let mut secondary = Secondary::caught_up_with(&master);
    let state = secondary.asked_to_promise(promise(&master, epoch(2, 0), false));
    assert_eq!((state.promised, state.hears), (None, Some("master".parse().unwrap())));
    secondary.pass(HEARTBEAT_INTERVAL * UNHEALTHY_AFTER_INTERVALS);
    let state = secondary.asked_to_promise(promise(&master, epoch(2, 0), false));
    assert_eq!((state.promised, state.hears), (Some(epoch(2, 0)), None));
}

#[test]
fn a_blank_or_foreign_node_promises_nothing() {
    let mut master = Master::with(3);
    let mut blank = Secondary::new();
    assert_eq!(blank.asked_to_promise(promise(&master, epoch(2, 0), true)).promised, None);
    let mut secondary = Secondary::caught_up_with(&master);
    master.log_id = LogId::from_random(2);
    assert_eq!(secondary.asked_to_promise(promise(&master, epoch(2, 0), true)).promised, None);
}

#[test]
fn an_ask_is_always_answered() {
    let master = Master::with(3);
    let mut secondary = Secondary::caught_up_with(&master);
    let ask = wire::Ask::new(master.sender("s2"), 4);
    secondary.event(|core, now, log| core.on_ask(now, &ask, "inbox".into(), log));
    let state = secondary.states().pop().unwrap();
    assert_eq!((state.request, state.promised, state.outline.marks.len()), (4, None, 1));
}

#[test]
fn the_log_is_read_only_by_whom_it_was_promised_to() {
    let master = Master::with(3);
    let mut secondary = Secondary::caught_up_with(&master);
    assert_eq!(secondary.asked_to_read(epoch(2, 0), Place::START, &master), None);
    secondary.asked_to_promise(promise(&master, epoch(2, 0), true));
    let answer = secondary.asked_to_read(epoch(2, 0), Place::new(order(1), 1), &master).unwrap();
    assert_eq!((answer.from, answer.request), (Place::new(order(1), 1), 9));
}
