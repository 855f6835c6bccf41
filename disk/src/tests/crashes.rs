//! Random lives of a log: appends, cuts, restarts, crashes of process and power.

use proptest::prelude::*;
use replog_shared::store::{Cut, LogView, Store};

use super::support::*;
use crate::files::simulated::SimulatedFiles;

#[derive(Clone, Debug)]
enum Step {
    Append { entries: u64, size: usize, with_mark: bool },
    Settle,
    HoldSyncs,
    Look,
    Truncate { pick: prop::sample::Index, quarantine: bool },
    Close,
    CrashProcess,
    CrashPower,
}

fn step() -> impl Strategy<Value = Step> {
    let append = (0..5u64, 0..120usize, prop::bool::weighted(0.2));
    prop_oneof![
        8 => append.prop_map(|(entries, size, with_mark)| Step::Append { entries, size, with_mark }),
        3 => Just(Step::Settle),
        2 => Just(Step::HoldSyncs),
        3 => Just(Step::Look),
        1 => (any::<prop::sample::Index>(), any::<bool>())
            .prop_map(|(pick, quarantine)| Step::Truncate { pick, quarantine }),
        1 => Just(Step::Close),
        2 => Just(Step::CrashProcess),
        3 => Just(Step::CrashPower),
    ]
}

/// A log and the truth about it.
struct Life {
    files: SimulatedFiles,
    log: Option<Log>,
    model: Model,
}

impl Life {
    fn new(seed: u64) -> Life {
        let files = SimulatedFiles::new(seed);
        let log = Log::open(&files, STRICT).unwrap();
        Life { files, log: Some(log), model: Model::new() }
    }

    fn log(&mut self) -> &mut Log {
        self.log.as_mut().unwrap()
    }

    fn take(&mut self, step: &Step) {
        match step {
            Step::Append { entries, size, with_mark } => {
                let first = self.log().store.tip().epoch.is_none();
                let lines = run(self.log().store.tip(), *entries, *size, *with_mark || first);
                assert!(self.log().store.append(&lines));
                if !lines.is_empty() {
                    self.model.on_append(&lines);
                }
            }
            Step::Settle => {
                self.files.hold_syncs(false);
                self.log().settle().unwrap();
            }
            Step::HoldSyncs => self.files.hold_syncs(true),
            Step::Look => {
                // Lets the threads come as far as they do; how far must make no difference.
                (0..100).for_each(|_| std::thread::yield_now());
                self.log().store.refresh().unwrap();
            }
            Step::Truncate { pick, quarantine } => self.truncate(pick, *quarantine),
            Step::Close => {
                self.files.hold_syncs(false);
                self.log.take().unwrap().store.close().unwrap();
                self.reopen(true);
            }
            Step::CrashProcess => {
                self.files.crash_process();
                self.after_crash();
            }
            Step::CrashPower => {
                self.files.crash_power();
                self.after_crash();
            }
        }
    }

    fn truncate(&mut self, pick: &prop::sample::Index, quarantine: bool) {
        self.files.hold_syncs(false);
        let (tip, bytes) = pick.get(&self.model.all_places()).clone();
        let kept = if quarantine { Cut::Quarantine } else { Cut::Drop };
        self.log().cut(tip.place, kept);
        self.log().settle().unwrap();
        self.model.cut_within(&tip, bytes);
        assert_eq!(self.log().store.durable(), tip.place, "a cut log is durable");
        assert_holds(self.log.as_ref().unwrap(), &self.model);
    }

    /// What was durable when the node last looked must be there.
    fn after_crash(&mut self) {
        let log = self.log.take().unwrap();
        let durable = log.store.durable();
        drop(log);
        self.reopen(false);
        let tip = self.log().store.tip().clone();
        assert!(tip.place >= durable, "{:?} is left where {durable:?} was durable", tip.place);
    }

    fn reopen(&mut self, whole: bool) {
        let log = Log::open(&self.files, STRICT).unwrap();
        let tip = log.store.tip().clone();
        assert!(!whole || tip == self.model.ends.last().unwrap().0, "a closed log is whole");
        assert_eq!(log.store.durable(), tip.place);
        self.model.cut(&tip);
        assert_holds(&log, &self.model);
        self.log = Some(log);
    }
}

#[test]
fn what_is_written_and_not_synced_is_not_durable() {
    for seed in 0..50 {
        let files = SimulatedFiles::new(seed);
        let mut log = Log::open(&files, STRICT).unwrap();
        log.append(1, 10, true);
        log.settle().unwrap();
        files.hold_syncs(true);
        log.append(1, 10, false);
        wait_until_written(&files, b"id1");
        (0..20).for_each(|_| std::thread::yield_now());
        log.store.refresh().unwrap();
        assert_eq!(log.store.durable(), place(1, 1));
        files.crash_power();
        drop(log);
        assert!(Log::open(&files, STRICT).unwrap().store.tip().place >= place(1, 1));
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn what_was_durable_survives_and_nothing_else_appears(
        seed in any::<u64>(),
        steps in proptest::collection::vec(step(), 1..40),
    ) {
        let mut life = Life::new(seed);
        for step in &steps {
            life.take(step);
        }
        life.files.crash_power();
        life.after_crash();
    }
}
