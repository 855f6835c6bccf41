//! Every input of the corpora, through its target.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]
#![expect(clippy::print_stdout, reason = "whoever sees a test fail sees at which input")]

use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
};

use replog_fuzz::{TARGETS, target};

/// What the process of one target may have in memory at its peak, whatever its inputs say: they are a few KiB each.
const PEAK_BYTES: u64 = 256 * 1024 * 1024;

fn corpora() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("corpus")
}

fn names_in(folder: &Path) -> BTreeSet<String> {
    let entries = fs::read_dir(folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display()));
    entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect()
}

/// The most memory that this process has had, as Linux tells.
fn peak_bytes() -> Option<u64> {
    let status = fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    line.trim().strip_suffix(" kB")?.trim().parse::<u64>().ok().map(|kilobytes| kilobytes * 1024)
}

fn replay(name: &str) {
    let target = target(name).unwrap();
    let folder = corpora().join(name);
    let inputs = names_in(&folder);
    assert!(inputs.len() >= 5, "{} inputs prove nothing", inputs.len());
    (target.run)(b"");
    for input in inputs {
        let bytes = fs::read(folder.join(&input)).unwrap();
        println!("{name}/{input}");
        (target.run)(&bytes);
    }
    let peak = peak_bytes();
    assert!(peak.is_none_or(|peak| peak < PEAK_BYTES), "{peak:?} bytes were needed");
}

macro_rules! replayed {
    ($($target:ident)*) => {
        $(#[test]
        fn $target() {
            replay(stringify!($target));
        })*

        #[test]
        fn every_target_is_replayed_and_every_corpus_has_its_target() {
            let targets: BTreeSet<String> = TARGETS.iter().map(|target| target.name.to_owned()).collect();
            let replayed: BTreeSet<String> = [$(stringify!($target)),*].map(str::to_owned).into();
            assert_eq!(replayed, targets);
            assert_eq!(names_in(&corpora()), targets);
        }
    };
}

replayed! {
    accept append batch batch_lines damaged_log frames http lines master_core members nats_url node_file outline
    query secondary_core segments subjects tokens wire words
}
